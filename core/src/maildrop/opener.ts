/**
 * Opens maildrops for POP3: lock, then listing. Made once for each thread by wiring; the process that owns the threads
 * calls `clearThreadLocks` when one of them died. A mailbox that never got mail is an empty maildrop. Deliveries go on
 * while a maildrop is open and are not part of what was opened. Never throws: what fails is an OpenResult.
 * Small calls to the file system are made in place: docs/decisions/maildrop-syscalls.md.
 */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import type { Clock } from '../mail/clock.ts';
import { isPermanent } from '../mail/permanent.ts';
import type { Log } from '../observe/log.ts';
import type { MaildropOpener, OpenResult } from '../pop3/ports.ts';
import type { BufferPool } from '../wire/buffer-pool.ts';
import { stampOf } from './folder-stamp.ts';
import { listMessages, type ListedMessage } from './listing.ts';
import { ListingCache, type Stamps } from './listing-cache.ts';
import { acquireLock, clearLocksOf, lockPath, type HeldLock } from './lock.ts';
import { thisOwner, type LockOwner } from './lock-owner.ts';
import { LockedDrop } from './locked-drop.ts';
import { isTooSoon, stampLogin, stampPath } from './login-stamp.ts';
import { maildirOf } from './user-folder.ts';

export interface MaildropOpenerOptions {
  /** Folder of mailboxes: `<root>/<user>/Maildir`. */
  readonly root: string;
  /** Folder of locks; made when it is not there. One for all processes that share `root`; a folder in memory is faster. */
  readonly lockDirectory: string;
  /** Names this thread among those of the process: letters, digits, `.`, `_`, `-`; never used again in the same process. */
  readonly tag: string;
  /** Least time between two logins to one maildrop (LOGIN-DELAY); 0 or absent: none. */
  readonly loginDelayMs?: number;
  /** Messages in remembered listings, in all; some 170 bytes each. */
  readonly maxRememberedMessages?: number;
  /** What messages are read into. */
  readonly buffers: BufferPool;
  readonly clock: Clock;
  readonly log: Log;
}

/** Room for a maildrop of 100,000 beside the others of a thread. */
const DEFAULT_REMEMBERED_MESSAGES = 250_000;

/** @throws when the folder of locks cannot be made. */
export function createMaildropOpener(options: MaildropOpenerOptions): MaildropOpener {
  mkdirSync(options.lockDirectory, { recursive: true, mode: 0o700 });
  return new Opener(options, thisOwner(options.tag));
}

/**
 * Gives up the locks that a dead thread of this process left.
 * @param tag what its opener was made with.
 * @param clearer a tag of the thread that calls.
 * @returns how many there were. @throws when the folder cannot be read.
 */
export function clearThreadLocks(lockDirectory: string, tag: string, clearer: string): number {
  return clearLocksOf(lockDirectory, thisOwner(tag), thisOwner(clearer));
}

class Opener implements MaildropOpener {
  readonly #options: MaildropOpenerOptions;
  readonly #owner: LockOwner;
  readonly #listings: ListingCache;

  constructor(options: MaildropOpenerOptions, owner: LockOwner) {
    this.#options = options;
    this.#owner = owner;
    this.#listings = new ListingCache(options.maxRememberedMessages ?? DEFAULT_REMEMBERED_MESSAGES);
  }

  open(user: string): OpenResult | Promise<OpenResult> {
    const maildir = maildirOf(this.#options.root, user);
    if (maildir === undefined) {
      return { ok: false, why: 'failed', permanent: true, cause: 'the name cannot be the name of a mailbox' };
    }
    let lock: HeldLock | undefined;
    try {
      const { lockDirectory, loginDelayMs = 0, clock } = this.#options;
      lock = acquireLock(lockPath(lockDirectory, user), this.#owner);
      if (lock === undefined) return { ok: false, why: 'in-use' };
      if (loginDelayMs > 0 && isTooSoon(stampPath(lockDirectory, user), loginDelayMs, clock.now())) {
        lock.release();
        return { ok: false, why: 'too-soon' };
      }
      return this.#list(user, maildir, lock);
    } catch (error) {
      return this.#failed(maildir, lock, error);
    }
  }

  #list(user: string, maildir: string, lock: HeldLock): OpenResult | Promise<OpenResult> {
    const stamps: Stamps = [stampOf(join(maildir, 'new')), stampOf(join(maildir, 'cur'))];
    const known = this.#listings.get(maildir, stamps);
    if (known !== undefined) return this.#opened(user, maildir, known, lock);
    const nowMs = this.#options.clock.now();
    const listing = listMessages(
      maildir,
      stamps,
      () => this.#options.clock.now(),
      (path, error) => this.#options.log.warn('maildrop.skipped', { path, cause: String(error) }),
    );
    if (!(listing instanceof Promise)) return this.#remember(user, maildir, stamps, listing, nowMs, lock);
    return listing.then(
      (messages) => this.#remember(user, maildir, stamps, messages, nowMs, lock),
      (error: unknown) => this.#failed(maildir, lock, error),
    );
  }

  #remember(
    user: string,
    maildir: string,
    stamps: Stamps,
    messages: readonly ListedMessage[],
    nowMs: number,
    lock: HeldLock,
  ): OpenResult {
    this.#listings.set(maildir, stamps, messages, nowMs);
    return this.#opened(user, maildir, messages, lock);
  }

  #opened(user: string, maildir: string, messages: readonly ListedMessage[], lock: HeldLock): OpenResult {
    const noteLogin = () => this.#noteLogin(user);
    const { buffers, clock, log } = this.#options;
    return { ok: true, drop: new LockedDrop(maildir, messages, lock, buffers, noteLogin, () => clock.now(), log) };
  }

  #noteLogin(user: string): void {
    const { lockDirectory, loginDelayMs = 0, clock, log } = this.#options;
    if (loginDelayMs === 0) return;
    try {
      stampLogin(stampPath(lockDirectory, user), clock.now());
    } catch (error) {
      // A full disk above all: nobody is kept from his mail because the next login may come too soon.
      log.error('maildrop.login-not-noted', { user, cause: String(error) });
    }
  }

  #failed(maildir: string, lock: HeldLock | undefined, error: unknown): OpenResult {
    try {
      lock?.release();
    } catch (releaseError) {
      this.#options.log.error('maildrop.lock-stuck', { maildir, cause: String(releaseError) });
    }
    return { ok: false, why: 'failed', permanent: isPermanent(error), cause: String(error) };
  }
}
