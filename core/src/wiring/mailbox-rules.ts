/** What holds for each mailbox: the rules of the configuration, and those of single users before them. */
import type { Config } from '@posthorn/config';
import type { User } from '../directory/directory.ts';
import type { Retention } from '../pop3/ports.ts';

export interface MailboxRules extends Retention {
  /** null: no quota. */
  readonly quotaBytesOf: (mailbox: string) => number | null;
}

export function mailboxRules({ quotaBytes, retentionDays }: Config['mailboxes'], users: readonly User[]): MailboxRules {
  const own = new Map(users.map((user) => [user.name, user]));
  const daysOf = (user: User | undefined): number | null =>
    user?.retentionDays === undefined ? retentionDays : user.retentionDays;
  const all = users.length === 0 ? [retentionDays] : users.map(daysOf);
  const leastDays = Math.min(...new Set(all.map((days) => days ?? Infinity)));
  return {
    quotaBytesOf(mailbox) {
      const user = own.get(mailbox);
      return user?.quotaBytes === undefined ? quotaBytes : user.quotaBytes;
    },
    leastDays: leastDays === Infinity ? null : leastDays,
    sameForAll: all.every((days) => days === all[0]),
    daysOf: (name) => daysOf(own.get(name)),
  };
}
