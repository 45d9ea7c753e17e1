/**
 * Which queue ids lie in a mailbox already: after a crash the queue delivers again what it does not know to be done.
 * A second delivery can only be of an earlier life of the server, or follow another one in this life. So a mailbox is
 * listed once, at its first delivery, and what is delivered afterwards is remembered: no delivery pays for a listing
 * of ten thousand files, and a message that moved to cur/ meanwhile is found as well as one in new/.
 * Bounded: what was used longest ago is forgotten, and listed again when it is needed.
 */
import { readdir, stat, unlink } from 'node:fs/promises';
import { join } from 'node:path';
import type { Clock } from '../mail/clock.ts';
import type { Log } from '../observe/log.ts';
import { unlessAbsent } from './absent.ts';
import { parseMessageName } from './file-name.ts';

/** Ends the unique part of the names of messages delivered here: `<queue id>.posthorn`. */
export const OWN_SUFFIX = '.posthorn';

/** Ids kept in all mailboxes together: some 80 bytes each. */
const MAX_IDS = 200_000;
/** What lies in tmp/ for longer was left by a crash; the time is Maildir's own convention. */
const STALE_TMP_MS = 36 * 3_600_000;

export class EarlierDeliveries {
  readonly #clock: Clock;
  readonly #log: Log;
  readonly #mailboxes = new Map<string, Set<string>>();
  readonly #listing = new Map<string, Promise<Set<string>>>();
  #ids = 0;

  constructor(clock: Clock, log: Log) {
    this.#clock = clock;
    this.#log = log;
  }

  /** Was this id delivered to that Maildir? At once when the mailbox is known. Rejects when it cannot be listed. */
  has(maildir: string, id: string): boolean | Promise<boolean> {
    const known = this.#mailboxes.get(maildir);
    if (known === undefined) return this.#list(maildir).then((ids) => ids.has(id));
    this.#mailboxes.delete(maildir);
    this.#mailboxes.set(maildir, known);
    return known.has(id);
  }

  /** It is there now. */
  add(maildir: string, id: string): void {
    const known = this.#mailboxes.get(maildir);
    if (known === undefined || known.has(id)) return;
    known.add(id);
    this.#ids++;
    this.#shrink();
  }

  /** It may be there or not: the mailbox is listed again before the next delivery. */
  forget(maildir: string): void {
    const known = this.#mailboxes.get(maildir);
    if (known === undefined) return;
    this.#mailboxes.delete(maildir);
    this.#ids -= known.size;
  }

  #list(maildir: string): Promise<Set<string>> {
    const underWay = this.#listing.get(maildir);
    if (underWay !== undefined) return underWay;
    const listing = this.#read(maildir).finally(() => this.#listing.delete(maildir));
    this.#listing.set(maildir, listing);
    return listing;
  }

  async #read(maildir: string): Promise<Set<string>> {
    const ids = new Set<string>();
    // New before cur: a file that is moved meanwhile is seen twice rather than not at all.
    for (const folder of ['new', 'cur']) {
      for (const name of await unlessAbsent(readdir(join(maildir, folder)), [])) {
        const { unique } = parseMessageName(name);
        if (unique.endsWith(OWN_SUFFIX)) ids.add(unique.slice(0, -OWN_SUFFIX.length));
      }
    }
    await this.#removeStaleTmp(join(maildir, 'tmp'));
    this.#mailboxes.set(maildir, ids);
    this.#ids += ids.size;
    this.#shrink();
    return ids;
  }

  async #removeStaleTmp(tmp: string): Promise<void> {
    try {
      for (const name of await unlessAbsent(readdir(tmp), [])) {
        const path = join(tmp, name);
        if (this.#clock.now() - (await stat(path)).mtimeMs > STALE_TMP_MS) await unlink(path);
      }
    } catch (error) {
      // Another thread may be at it too. Left files take room and nothing else.
      this.#log.warn('maildrop.stale-tmp-left', { folder: tmp, cause: String(error) });
    }
  }

  #shrink(): void {
    for (const [maildir, ids] of this.#mailboxes) {
      if (this.#ids <= MAX_IDS || this.#mailboxes.size === 1) return;
      this.#mailboxes.delete(maildir);
      this.#ids -= ids.size;
    }
  }
}
