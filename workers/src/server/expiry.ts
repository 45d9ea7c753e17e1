/**
 * Goes through the mailboxes now and then for mail that is older than they keep it. In the server process of slot 0 alone,
 * so that there is one of it for each data folder.
 */
import { mkdirSync } from 'node:fs';
import type { Clock } from '@posthorn/core/mail/clock';
import { createExpiry } from '@posthorn/core/maildrop/expiry';
import type { Log } from '@posthorn/core/observe/log';
import { mailboxRules } from '@posthorn/core/wiring/mailbox-rules';
import type { Settings } from '../ipc.ts';
import { lockDirectoryOf } from '../lock-directory.ts';

/** EXPIRE counts days: an hour more is near enough. */
const EVERY_MS = 3_600_000;

/**
 * Starts at once.
 * @param settings asked at each round
 * @returns ends it; resolves when the mailbox it is at is done
 */
export function startExpiry(settings: () => Settings, clock: Clock, log: Log): () => Promise<void> {
  const { data } = settings().config;
  const lockDirectory = lockDirectoryOf(data);
  mkdirSync(lockDirectory, { recursive: true, mode: 0o700 });
  const expiry = createExpiry({ root: `${data}/mail`, lockDirectory, tag: 'expiry', clock, log });
  let ended = false;
  let cancel = (): void => undefined;
  let running = round();

  async function round(): Promise<void> {
    const { config, users } = settings();
    const rules = mailboxRules(config.mailboxes, users);
    for (const { name } of users) {
      const days = rules.daysOf(name);
      if (ended) return;
      if (days !== null) await expiry.expire(name, days);
    }
    if (!ended) cancel = clock.after(EVERY_MS, () => void (running = round()));
  }

  return () => {
    ended = true;
    cancel();
    return running;
  };
}
