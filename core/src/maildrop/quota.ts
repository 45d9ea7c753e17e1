/**
 * Whether mail for a mailbox has room in it. Asked at RCPT, where only what is sure refuses (`full`), and before a
 * delivery, where doubts are counted out (`refusal`). Made by wiring for each set of users. Mail that comes in at the same
 * moment does not see each other: a quota may be passed by that much.
 */
import type { Clock } from '../mail/clock.ts';
import type { Log } from '../observe/log.ts';
import { MailboxError } from './mailbox.ts';
import { countUsage, readUsage, type NotedUsage, type Usage } from './usage.ts';
import { maildirOf } from './user-folder.ts';

export interface QuotaOptions {
  /** Folder of mailboxes: `<root>/<user>/Maildir`. */
  readonly root: string;
  /** Of a mailbox; null: no quota. */
  readonly quotaBytesOf: (mailbox: string) => number | null;
  /** Whether mail for a full mailbox may come again. */
  readonly whenFull: 'defer' | 'reject';
  readonly clock: Clock;
  readonly log: Log;
}

/** What becomes of mail that does not fit. `never`: it is larger than the whole mailbox may be. */
export type Fullness = 'defer' | 'reject' | 'never';

export interface Quota {
  /**
   * Whether a message would surely not fit, by what is noted.
   * @param sizeBytes of the message as far as it is known. Never throws: where nothing is sure there is room.
   */
  full(mailbox: string, sizeBytes: number): Fullness | undefined;
  /** The refusal of a message that does not fit; undefined where there is room. @throws when the file system fails. */
  refusal(mailbox: string, sizeBytes: number): Promise<MailboxError | undefined>;
}

export function createQuota({ root, quotaBytesOf, whenFull, clock, log }: QuotaOptions): Quota {
  return {
    full(mailbox, sizeBytes) {
      const quotaBytes = quotaBytesOf(mailbox);
      const maildir = quotaBytes === null ? undefined : maildirOf(root, mailbox);
      if (quotaBytes === null || maildir === undefined) return undefined;
      if (sizeBytes > quotaBytes) return 'never';
      const noted = read(maildir, quotaBytes);
      // A doubt is for the delivery to count out: it must not refuse mail that has room.
      if (noted === undefined || noted.doubtful) return undefined;
      return noted.bytes + Math.max(1, sizeBytes) > quotaBytes ? whenFull : undefined;
    },
    async refusal(mailbox, sizeBytes) {
      const quotaBytes = quotaBytesOf(mailbox);
      const maildir = quotaBytes === null ? undefined : maildirOf(root, mailbox);
      if (quotaBytes === null || maildir === undefined) return undefined;
      if (sizeBytes > quotaBytes) return new MailboxError(true, '5.2.3', 'the message is larger than the mailbox may be');
      const noted = read(maildir, quotaBytes);
      // Nobody is refused by sums alone: they may have missed what went.
      const sure = noted !== undefined && !noted.doubtful && (noted.counted || noted.bytes + sizeBytes <= quotaBytes);
      const { bytes } = sure ? noted : await count(maildir, quotaBytes);
      if (bytes + sizeBytes <= quotaBytes) return undefined;
      return whenFull === 'reject'
        ? new MailboxError(true, '5.2.2', 'the mailbox is full')
        : new MailboxError(false, '4.2.2', 'the mailbox is full');
    },
  };

  /** What cannot be read is told once for each count, however much it is. */
  async function count(maildir: string, quotaBytes: number): Promise<Usage> {
    let first: { path: string; cause: string } | undefined;
    let unread = 0;
    const usage = await countUsage(maildir, quotaBytes, clock.now(), (path, error) => {
      first ??= { path, cause: String(error) };
      unread++;
    });
    if (unread > 0) log.warn('maildrop.usage-incomplete', { maildir, unread, ...first });
    return usage;
  }

  function read(maildir: string, quotaBytes: number): NotedUsage | undefined {
    try {
      return readUsage(maildir, quotaBytes);
    } catch (error) {
      log.warn('maildrop.usage-unreadable', { maildir, cause: String(error) });
      return undefined;
    }
  }
}
