/**
 * Puts messages from elsewhere into a Maildir, with their dates and flags: for `posthorn mailbox import`, and for exports
 * to a Maildir. Needs no lock and no server: each message is written in tmp/, synced and renamed, so whoever reads sees
 * all of it or nothing. May be ended at any time and run again: what is there already is left out. A message is known
 * by its own name where it has one (which keeps its UIDL), else by a hash of its bytes in the name it gets; of messages
 * that are the same, as many are wanted as the source has.
 */
import { createHash, type Hash } from 'node:crypto';
import { type FileHandle, chown, link, mkdir, open, stat, unlink } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { isAbsent } from './absent.ts';
import { formatMessageName } from './file-name.ts';
import type { FoundFile } from './listing.ts';
import { SurrogateSize } from './surrogate-size.ts';
import { wireBytesOf } from './survey.ts';
import { Whereabouts, type MessagePlace, type OpenMessage } from './whereabouts.ts';
import { CrlfStream, WireCounter } from './wire-form.ts';

/** A message that comes. */
export interface Arrival {
  /** Becomes the time of the file; absent: now. */
  readonly dateMs?: number | undefined;
  /** Unique part of its name in another Maildir. */
  readonly unique?: string | undefined;
}

export interface ImportOptions {
  readonly maildir: string;
  /** Looks and counts, writes nothing. */
  readonly dryRun: boolean;
  readonly nowMs: number;
}

export interface ImportCount {
  readonly messages: number;
  readonly bytes: number;
  /** Were there already. */
  readonly present: number;
}

/** The one under way. */
interface Draft {
  readonly arrival: Arrival;
  readonly tmp: string;
  readonly file: FileHandle | undefined;
  readonly lines: CrlfStream;
  readonly counter: WireCounter;
  readonly surrogate: SurrogateSize;
  readonly hash: Hash;
}

/** Files that are synced at the same time: a file system makes one write of them. */
const AT_ONCE = 16;
const OWN_NAME = /^\d+\.[A-Za-z0-9]+H([A-Za-z0-9_-]{22})\.imported$/;
/** Of a file. */
const MAX_NAME_BYTES = 255;
/** Room that other programs need to mark a message. */
const COMMON_FLAGS = ':2,DFPRST';

export class MailboxImport {
  readonly #options: ImportOptions;
  /** How many of each hash are there and were not met again. */
  readonly #hashes = new Map<string, number>();
  readonly #places: Whereabouts;
  /** What was there at the start, by the unique part of its name. */
  readonly #names = new Map<string, MessagePlace>();
  /** Hashes of what came since, by the same. */
  readonly #brought = new Map<string, string>();
  readonly #owner: Owner | undefined;
  readonly #underWay: Promise<void>[] = [];
  #draft: Draft | undefined;
  #number = 0;
  #messages = 0;
  #bytes = 0;
  #present = 0;

  private constructor(options: ImportOptions, places: Whereabouts, there: Iterable<FoundFile>, owner: Owner | undefined) {
    this.#options = options;
    this.#places = places;
    this.#owner = owner;
    for (const file of there) {
      const { unique } = file.parsed;
      this.#names.set(unique, file);
      const hash = OWN_NAME.exec(unique)?.[1];
      if (hash !== undefined) this.#hashes.set(hash, (this.#hashes.get(hash) ?? 0) + 1);
    }
  }

  /** Looks what is there, and makes the Maildir where there is none. @throws when the file system fails. */
  static async into(options: ImportOptions): Promise<MailboxImport> {
    const places = new Whereabouts(options.maildir);
    const there = await places.all();
    const owner = await ownerFor(options.maildir);
    if (!options.dryRun) await makeMaildir(options.maildir, owner);
    return new MailboxImport(options, places, there, owner);
  }

  /** @throws when the file system fails, as all that follow do. */
  async begin(arrival: Arrival): Promise<void> {
    const { maildir, dryRun, nowMs } = this.#options;
    this.#number++;
    const tmp = join(maildir, 'tmp', `${nowMs}.P${process.pid}N${this.#number}.import`);
    const file = dryRun ? undefined : await open(tmp, 'wx', 0o600);
    if (file !== undefined && this.#owner !== undefined) await file.chown(this.#owner.uid, this.#owner.gid);
    this.#draft = {
      arrival,
      tmp,
      file,
      lines: new CrlfStream(),
      counter: new WireCounter(),
      surrogate: new SurrogateSize(),
      hash: createHash('sha256'),
    };
  }

  /** @param chunk with any line ends. */
  async write(chunk: Uint8Array): Promise<void> {
    const { lines } = this.#mustHave();
    await this.#put(lines.push(chunk));
  }

  /** @param flags of Maildir; absent for a message that nobody has seen. */
  async end(flags?: string): Promise<void> {
    const draft = this.#mustHave();
    await this.#put(draft.lines.end());
    const hash = digestOf(draft.hash);
    const { unique } = draft.arrival;
    const isSame = unique === undefined ? undefined : await this.#isSame(unique, hash);
    // Two messages of one name are what a mistake made of a Maildir; both are wanted.
    const makesName = unique === undefined || isSame === false || !isKept(unique);
    const isPresent = isSame === true || (makesName && this.#met(hash));
    this.#draft = undefined;
    if (isPresent) {
      this.#present++;
      await draft.file?.close();
      if (draft.file !== undefined) await unlink(draft.tmp);
      return;
    }
    this.#messages++;
    this.#bytes += draft.counter.fileBytes;
    const name = this.#nameOf(draft, makesName ? this.#makeUnique(draft, hash) : unique, flags);
    if (!makesName) this.#brought.set(unique, hash);
    if (draft.file === undefined) return;
    this.#underWay.push(this.#settle(draft, draft.file, name));
    if (this.#underWay.length >= AT_ONCE) await this.#settleAll();
  }

  /** Throws the message away that is under way. */
  async drop(): Promise<void> {
    const draft = this.#draft;
    this.#draft = undefined;
    if (draft?.file === undefined) return;
    await draft.file.close();
    await unlink(draft.tmp);
  }

  /** When it resolves, all that was counted outlives a crash of the machine. */
  async finish(): Promise<ImportCount> {
    await this.#settleAll();
    if (!this.#options.dryRun) for (const folder of ['new', 'cur']) await syncFolder(join(this.#options.maildir, folder));
    return { messages: this.#messages, bytes: this.#bytes, present: this.#present };
  }

  #mustHave(): Draft {
    if (this.#draft === undefined) throw new Error('no message was begun');
    return this.#draft;
  }

  async #put(bytes: Uint8Array): Promise<void> {
    const { counter, surrogate, hash, file } = this.#mustHave();
    counter.push(bytes);
    surrogate.push(bytes);
    hash.update(bytes);
    for (let done = 0; file !== undefined && done < bytes.length;) {
      done += (await file.write(bytes, done, bytes.length - done)).bytesWritten;
    }
  }

  /** @returns whether the message of that name has these bytes; undefined when there is none. */
  async #isSame(unique: string, hash: string): Promise<boolean | undefined> {
    const brought = this.#brought.get(unique);
    if (brought !== undefined) return brought === hash;
    const place = this.#names.get(unique);
    if (place === undefined) return undefined;
    const there = await this.#hashAt(place);
    // Its owner deleted it meanwhile: it is not to come back.
    return there === undefined || there === hash;
  }

  /** @returns undefined when the message is gone. */
  async #hashAt(place: MessagePlace): Promise<string | undefined> {
    let opened: OpenMessage | undefined;
    try {
      opened = await this.#places.open(place);
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      throw new Error(`${this.#places.pathOf(place)} cannot be compared with what comes: ${reason}`, { cause: error });
    }
    if (opened === undefined) return undefined;
    try {
      const hash = createHash('sha256');
      for await (const chunk of wireBytesOf(opened.file)) hash.update(chunk);
      return digestOf(hash);
    } finally {
      await opened.file.close();
    }
  }

  #met(hash: string): boolean {
    const left = this.#hashes.get(hash) ?? 0;
    if (left === 0) return false;
    this.#hashes.set(hash, left - 1);
    return true;
  }

  /** Sorts by date and then as in the source. */
  #makeUnique({ arrival: { dateMs = this.#options.nowMs } }: Draft, hash: string): string {
    const seconds = Math.max(0, Math.floor(dateMs / 1000));
    const run = Math.trunc(this.#options.nowMs).toString(36);
    return `${seconds}.N${String(this.#number).padStart(7, '0')}R${run}H${hash}.imported`;
  }

  #nameOf({ counter: { fileBytes, wireBytes }, surrogate }: Draft, unique: string, flags: string | undefined): string {
    const sized = formatMessageName(unique, fileBytes, wireBytes, surrogate.of(wireBytes));
    const suffix = flags === undefined ? '' : `:2,${flags}`;
    const room = MAX_NAME_BYTES - Math.max(suffix.length, COMMON_FLAGS.length);
    // Sizes can be counted again; the unique part is what a client knows the message by.
    const name = Buffer.byteLength(sized) > room ? unique : sized;
    if (flags === undefined) return join('new', name);
    return join('cur', Buffer.byteLength(name + suffix) > MAX_NAME_BYTES ? name : name + suffix);
  }

  async #settle({ tmp, arrival: { dateMs } }: Draft, file: FileHandle, name: string): Promise<void> {
    try {
      if (dateMs !== undefined) await file.utimes(dateMs / 1000, dateMs / 1000);
      await file.sync();
    } finally {
      await file.close();
    }
    const path = join(this.#options.maildir, name);
    // Unlike a rename, a link never takes the place of a file that somebody else put there meanwhile.
    await link(tmp, path);
    await unlink(tmp);
  }

  async #settleAll(): Promise<void> {
    const results = await Promise.allSettled(this.#underWay.splice(0));
    for (const result of results) if (result.status === 'rejected') throw result.reason;
  }
}

/** Names that others could not have: a client gets them as UIDLs. */
function isKept(unique: string): boolean {
  return unique.length > 0 && !/[\p{Cc}\ufffd]/u.test(unique);
}

function digestOf(hash: Hash): string {
  return hash.digest('base64url').slice(0, 22);
}

interface Owner {
  readonly uid: number;
  readonly gid: number;
}

/** Whose the files are to be: an import by root must not shut the server out of a mailbox. Undefined: the caller's own. */
async function ownerFor(maildir: string): Promise<Owner | undefined> {
  if (process.getuid?.() !== 0) return undefined;
  for (let path = maildir; ; path = dirname(path)) {
    try {
      const { uid, gid } = await stat(path);
      return uid === 0 ? undefined : { uid, gid };
    } catch (error) {
      if (!isAbsent(error) || path === dirname(path)) throw error;
    }
  }
}

async function makeMaildir(maildir: string, owner: Owner | undefined): Promise<void> {
  for (const folder of ['new', 'cur', 'tmp']) {
    const path = join(maildir, folder);
    const first = await mkdir(path, { recursive: true, mode: 0o700 });
    if (first === undefined) continue;
    for (let made = path; ; made = dirname(made)) {
      if (owner !== undefined) await chown(made, owner.uid, owner.gid);
      await syncFolder(dirname(made));
      if (made === first) break;
    }
  }
}

async function syncFolder(path: string): Promise<void> {
  const folder = await open(path, 'r');
  try {
    await folder.sync();
  } finally {
    await folder.close();
  }
}
