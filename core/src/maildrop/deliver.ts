/**
 * Local delivery into Maildirs, as the LocalMailbox port. Made once by wiring, used by delivery for all users.
 * tmp/, sync, rename into new/, sync of new/: when `deliver` resolves the message outlives a crash of the machine, and
 * until then a reader sees all of it or nothing. Messages are stored as they are sent by POP3, so that RETR streams
 * the file. What fails is a MailboxError, the half-written file is removed.
 */
import { dirname, join, resolve } from 'node:path';
import type { Clock } from '../mail/clock.ts';
import type { Log } from '../observe/log.ts';
import { isAbsent } from './absent.ts';
import { EarlierDeliveries, OWN_SUFFIX } from './earlier-deliveries.ts';
import { nodeFileCalls, type FileCalls } from './file-calls.ts';
import { formatMessageName } from './file-name.ts';
import { FolderSync } from './folder-sync.ts';
import { MailboxError, type LocalMailbox, type Manner } from './mailbox.ts';
import type { Quota } from './quota.ts';
import { maildirOf } from './user-folder.ts';
import { SurrogateSize } from './surrogate-size.ts';
import { noteUsage } from './usage.ts';
import { WireCounter } from './wire-form.ts';

export interface LocalMailboxOptions {
  /** Folder of mailboxes: `<root>/<user>/Maildir`. */
  readonly root: string;
  readonly clock: Clock;
  readonly log: Log;
  /** Why a message of this size has no room in the mailbox; absent: mailboxes may grow as they like. */
  readonly refusal?: Quota['refusal'];
  /** The file system; tests bring one that fails. */
  readonly files?: FileCalls;
}

/** Where one message goes. */
interface Place {
  readonly mailbox: string;
  readonly inbox: string;
  /** The inbox, or a folder of it. */
  readonly maildir: string;
  /** What has to fit, where there is a quota. */
  readonly roomBytes: number | undefined;
}

interface Written {
  readonly name: string;
  readonly fileBytes: number;
}

export const QUARANTINE = '.Quarantine';
const CRLF = Buffer.from('\r\n');
const QUEUE_ID = /^[A-Za-z0-9_-][A-Za-z0-9._-]{0,99}$/;
/** A message is written in place up to here: into the page cache, some microseconds for each chunk. */
const WRITE_IN_PLACE_BYTES = 256 * 1024;

export function createLocalMailbox(options: LocalMailboxOptions): LocalMailbox {
  return new Maildirs(options);
}

class Maildirs implements LocalMailbox {
  readonly #root: string;
  readonly #log: Log;
  readonly #refusal: Quota['refusal'] | undefined;
  readonly #files: FileCalls;
  readonly #earlier: EarlierDeliveries;
  readonly #folders: FolderSync;
  readonly #underWay = new Map<string, Promise<void>>();
  readonly #startedAtMs: number;
  #written = 0;

  constructor({ root, clock, log, refusal, files = nodeFileCalls }: LocalMailboxOptions) {
    this.#root = resolve(root);
    this.#log = log;
    this.#refusal = refusal;
    this.#files = files;
    this.#startedAtMs = clock.now();
    this.#earlier = new EarlierDeliveries(clock, log);
    this.#folders = new FolderSync((path) => files.syncFolder(path));
  }

  deliver(
    mailbox: string,
    id: string,
    head: Uint8Array,
    body: AsyncIterable<Uint8Array>,
    { folder = 'inbox', sizeBytes }: Manner = {},
  ): Promise<void> {
    const inbox = maildirOf(this.#root, mailbox);
    if (inbox === undefined) {
      return Promise.reject(new MailboxError(true, '5.1.1', `${JSON.stringify(mailbox)} cannot be the name of a mailbox`));
    }
    if (!QUEUE_ID.test(id)) return Promise.reject(new MailboxError(false, '4.3.0', `${JSON.stringify(id)} is no queue id`));
    const place: Place = {
      mailbox,
      inbox,
      maildir: folder === 'inbox' ? inbox : join(inbox, QUARANTINE),
      roomBytes: sizeBytes === undefined ? undefined : head.length + sizeBytes,
    };
    // Two addresses of one message may lead to one mailbox.
    const key = `${place.maildir} ${id}`;
    const underWay = this.#underWay.get(key);
    if (underWay !== undefined) return underWay;
    const delivery = this.#deliverOnce(place, id, head, body).finally(() => this.#underWay.delete(key));
    this.#underWay.set(key, delivery);
    return delivery;
  }

  async #deliverOnce(place: Place, id: string, head: Uint8Array, body: AsyncIterable<Uint8Array>): Promise<void> {
    const { mailbox, inbox, maildir, roomBytes } = place;
    let written: Written;
    try {
      if (await this.#earlier.has(maildir, id)) {
        // Whether its folder was synced before the crash nobody knows.
        await this.#folders.sync(join(maildir, 'new'));
        return;
      }
      const refusal = roomBytes === undefined ? undefined : await this.#refusal?.(mailbox, roomBytes);
      if (refusal !== undefined) throw refusal;
      // Time tells it from what a process of the same number left, as each of a container's has it.
      const tmp = join(maildir, 'tmp', `${id}.${process.pid}.${this.#startedAtMs}.${++this.#written}`);
      written = await this.#write(maildir, tmp, id, head, body);
      await this.#rename(maildir, tmp, written.name);
    } catch (error) {
      throw asMailboxError(error);
    }
    try {
      await this.#folders.sync(join(maildir, 'new'));
    } catch (error) {
      this.#earlier.forget(maildir);
      throw asMailboxError(error);
    }
    this.#earlier.add(maildir, id);
    this.#note(inbox, written.fileBytes);
  }

  /** The message is there: that its size could not be noted is found out when the mailbox is counted again. */
  #note(inbox: string, fileBytes: number): void {
    try {
      noteUsage(inbox, fileBytes, 1);
    } catch (error) {
      this.#log.warn('maildrop.usage-not-noted', { maildir: inbox, cause: String(error) });
    }
  }

  /** Writes and syncs the file. @returns the name it is to have, and its size. */
  async #write(maildir: string, tmp: string, id: string, head: Uint8Array, body: AsyncIterable<Uint8Array>): Promise<Written> {
    const file = await this.#create(maildir, tmp);
    const counter = new WireCounter();
    const surrogate = new SurrogateSize();
    try {
      try {
        this.#files.write(file, head);
        counter.push(head);
        surrogate.push(head);
        for await (const chunk of body) {
          if (counter.fileBytes < WRITE_IN_PLACE_BYTES) this.#files.write(file, chunk);
          else await this.#files.writeLater(file, chunk);
          counter.push(chunk);
          surrogate.push(chunk);
        }
        if (!counter.endsLine) {
          this.#files.write(file, CRLF);
          counter.push(CRLF);
        }
        await this.#files.sync(file);
      } finally {
        this.#files.close(file);
      }
    } catch (error) {
      this.#remove(tmp);
      throw error;
    }
    const { fileBytes, wireBytes } = counter;
    return { name: formatMessageName(id + OWN_SUFFIX, fileBytes, wireBytes, surrogate.of(wireBytes)), fileBytes };
  }

  /** A mailbox is made when its first message comes. */
  async #create(maildir: string, tmp: string): Promise<number> {
    try {
      return this.#files.create(tmp);
    } catch (error) {
      if (!isAbsent(error)) throw error;
    }
    await this.#makeMaildir(maildir);
    return this.#files.create(tmp);
  }

  async #makeMaildir(maildir: string): Promise<void> {
    let made = false;
    // The one that deliveries look for comes last: when it is there, so are the others.
    for (const folder of ['new', 'cur', 'tmp']) made = this.#files.makeFolder(join(maildir, folder)) || made;
    if (maildir.endsWith(QUARANTINE)) this.#markFolder(maildir);
    if (!made) return;
    for (let path = maildir; ; path = dirname(path)) {
      await this.#folders.sync(path);
      if (path === this.#root || path === dirname(path)) break;
    }
  }

  /** Maildir++: an empty file tells programs that this is a folder of the mailbox above it. */
  #markFolder(maildir: string): void {
    try {
      this.#files.close(this.#files.create(join(maildir, 'maildirfolder')));
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
    }
  }

  async #rename(maildir: string, tmp: string, name: string): Promise<void> {
    const to = join(maildir, 'new', name);
    try {
      try {
        this.#files.rename(tmp, to);
      } catch (error) {
        // Somebody took new/ away, or never made it.
        if (!isAbsent(error)) throw error;
        await this.#makeMaildir(maildir);
        this.#files.rename(tmp, to);
      }
    } catch (error) {
      this.#remove(tmp);
      throw error;
    }
  }

  #remove(tmp: string): void {
    try {
      this.#files.remove(tmp);
    } catch (error) {
      // It is removed when it is old enough; the delivery fails for a better reason than this.
      this.#log.warn('maildrop.tmp-left', { file: tmp, cause: String(error) });
    }
  }
}

/** The text is for the sender, who reads it in a bounce: no path of this machine in it; that is the cause, for the log. */
function asMailboxError(error: unknown): MailboxError {
  if (error instanceof MailboxError) return error;
  const { code } = error as NodeJS.ErrnoException;
  if (code === 'ENOSPC') return new MailboxError(false, '4.3.1', 'the disk of the mailbox is full', { cause: error });
  if (code === 'EDQUOT') return new MailboxError(false, '4.2.2', 'the mailbox is over the quota of its disk', { cause: error });
  return new MailboxError(false, '4.3.0', 'the message could not be put into the mailbox', { cause: error });
}
