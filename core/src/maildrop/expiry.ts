/**
 * Deletes mail that is older than its mailbox keeps it (`mailboxes.retentionDays`), in the inbox and in quarantine: what
 * POP3 clients are told by EXPIRE (RFC 2449 §6.7). Age is that of the file, which is when it arrived, or what an import or
 * another program says. Run by one process, one mailbox after the other. Looks without the lock and deletes under it:
 * a maildrop that somebody has open is left for the next time, and nobody is kept waiting by the looking.
 */
import { readdir, stat, unlink } from 'node:fs/promises';
import { join } from 'node:path';
import type { Clock } from '../mail/clock.ts';
import type { Log } from '../observe/log.ts';
import { unlessAbsent } from './absent.ts';
import { QUARANTINE } from './deliver.ts';
import { acquireLock, lockPath } from './lock.ts';
import { thisOwner, type LockOwner } from './lock-owner.ts';
import { noteUsage } from './usage.ts';
import { maildirOf } from './user-folder.ts';

export interface ExpiryOptions {
  /** Folder of mailboxes: `<root>/<user>/Maildir`. */
  readonly root: string;
  /** As that of the opener. */
  readonly lockDirectory: string;
  /** Names this user of locks in its process, as the opener's does. */
  readonly tag: string;
  readonly clock: Clock;
  readonly log: Log;
}

export interface Expiry {
  /**
   * Deletes what is older than `days` in one mailbox. What fails is logged, and tried again the next time.
   * @returns how many messages were deleted.
   */
  expire(user: string, days: number): Promise<number>;
}

interface Old {
  readonly path: string;
  readonly bytes: number;
}

const DAY_MS = 86_400_000;
const PARTS = ['new', 'cur', join(QUARANTINE, 'new'), join(QUARANTINE, 'cur')];
const FILES_AT_ONCE = 32;

export function createExpiry(options: ExpiryOptions): Expiry {
  const owner: LockOwner = thisOwner(options.tag);
  const { root, lockDirectory, clock, log } = options;

  async function deleteAll(user: string, maildir: string, old: readonly Old[]): Promise<number> {
    const lock = acquireLock(lockPath(lockDirectory, user), owner);
    if (lock === undefined) return 0;
    let messages = 0;
    let bytes = 0;
    try {
      for (const one of old) {
        // A file that another program renamed meanwhile has its turn the next time.
        if (!(await removed(one.path))) continue;
        messages += 1;
        bytes += one.bytes;
      }
    } finally {
      lock.release();
      if (messages > 0) noteUsage(maildir, -bytes, -messages);
    }
    return messages;
  }

  return {
    async expire(user, days) {
      const maildir = maildirOf(root, user);
      if (maildir === undefined) return 0;
      try {
        const old = await olderThan(maildir, clock.now() - days * DAY_MS);
        if (old.length === 0) return 0;
        const messages = await deleteAll(user, maildir, old);
        if (messages > 0) log.info('maildrop.expired', { user, messages, days });
        return messages;
      } catch (error) {
        log.error('maildrop.expiry-failed', { user, cause: String(error) });
        return 0;
      }
    },
  };
}

async function olderThan(maildir: string, beforeMs: number): Promise<Old[]> {
  const old: Old[] = [];
  for (const part of PARTS) {
    const folder = join(maildir, part);
    const names = (await namesIn(folder)).filter((name) => !name.startsWith('.'));
    for (let at = 0; at < names.length; at += FILES_AT_ONCE) {
      const paths = names.slice(at, at + FILES_AT_ONCE).map((name) => join(folder, name));
      const found = await Promise.all(paths.map(fileAt));
      for (const [index, file] of found.entries()) {
        if (file !== undefined && file.mtimeMs < beforeMs) old.push({ path: paths[index]!, bytes: file.bytes });
      }
    }
  }
  return old;
}

/** What is no file is not ours to delete. */
async function fileAt(path: string): Promise<{ readonly mtimeMs: number; readonly bytes: number } | undefined> {
  return unlessAbsent(
    stat(path).then((found) => (found.isFile() ? { mtimeMs: found.mtimeMs, bytes: found.size } : undefined)),
    undefined,
  );
}

function namesIn(folder: string): Promise<string[]> {
  return unlessAbsent(readdir(folder), []);
}

function removed(path: string): Promise<boolean> {
  return unlessAbsent(
    unlink(path).then(() => true),
    false,
  );
}
