/**
 * An open maildrop: a listing that stays as it was, and the lock. Made by the opener for one POP3 session.
 * Another program may rename files (flags, new/ to cur/) or remove them while it is open: places.ts finds what moved;
 * what is gone cannot be read, and counts as deleted. A message that turns out to be of another size than the listing said
 * is sent as it is, with its real size, and counted anew for the next login.
 * Whatever fails, `commit` and `release` give the lock up.
 */
import { closeSync, fstatSync, read, readSync } from 'node:fs';
import { setImmediate } from 'node:timers/promises';
import { promisify } from 'node:util';
import { isPermanent } from '../mail/permanent.ts';
import type { Log } from '../observe/log.ts';
import type { CommitResult, LentBytes, Maildrop } from '../pop3/ports.ts';
import type { BufferPool } from '../wire/buffer-pool.ts';
import type { ListedMessage } from './listing.ts';
import type { HeldLock } from './lock.ts';
import { Places } from './places.ts';
import { noteUsage } from './usage.ts';
import { CrlfStream, toCrlf } from './wire-form.ts';
import { forgetSizes } from './wrong-sizes.ts';

const readAsync = promisify(read);
/** Deletions between two turns of the loop: about a millisecond. */
const UNLINKS_PER_TURN = 32;
/** Longer ones tell nothing of how lines end. */
const FIRST_LINE_BYTES = 4096;
const LF = 10;
const CR = 13;

export class LockedDrop implements Maildrop {
  readonly messages: readonly ListedMessage[];
  readonly #maildir: string;
  readonly #lock: HeldLock;
  readonly #log: Log;
  readonly #noteLogin: () => void;
  readonly #buffers: BufferPool;
  readonly #places: Places;
  /** Not what the listing says. */
  readonly #wrong = new Set<ListedMessage>();
  #committing = false;

  constructor(
    maildir: string,
    messages: readonly ListedMessage[],
    lock: HeldLock,
    buffers: BufferPool,
    noteLogin: () => void,
    now: () => number,
    log: Log,
  ) {
    this.#maildir = maildir;
    this.messages = messages;
    this.#places = new Places(maildir, now);
    this.#lock = lock;
    this.#buffers = buffers;
    this.#log = log;
    this.#noteLogin = noteLogin;
  }

  noteLogin(): void {
    this.#noteLogin();
  }

  readWhole(index: number, maxBytes: number): LentBytes | undefined {
    const message = this.#message(index);
    if (message.fileBytes > maxBytes || message.sizeBytes > maxBytes) return undefined;
    const file = this.#open(message);
    // One byte more than there should be: whether the file is as long as its name says takes no call of its own.
    const room = message.fileBytes + 1;
    const buffer = this.#buffers.take(room);
    const giveBack = () => this.#buffers.give(buffer);
    let lent: LentBytes | undefined;
    try {
      const length = readFully(file, buffer, room);
      if (length > message.fileBytes) return undefined;
      const bytes = buffer.subarray(0, length);
      const sent = isWireForm(message, bytes) ? bytes : toCrlf(bytes);
      this.#check(message, sent.length);
      return (lent = { bytes: sent, giveBack });
    } finally {
      closeSync(file);
      if (lent === undefined) giveBack();
    }
  }

  sizeOf(index: number): number | Promise<number> {
    const message = this.#message(index);
    const file = this.#open(message);
    try {
      const begin = Buffer.allocUnsafe(FIRST_LINE_BYTES);
      const bytes = begin.subarray(0, readFully(file, begin, FIRST_LINE_BYTES));
      if (isWireForm(message, bytes) && fstatSync(file).size === message.fileBytes) return message.sizeBytes;
    } finally {
      closeSync(file);
    }
    return this.#count(index, message);
  }

  async #count(index: number, message: ListedMessage): Promise<number> {
    let sizeBytes = 0;
    let last = LF;
    for await (const chunk of this.read(index)) {
      sizeBytes += chunk.length;
      last = chunk.at(-1) ?? last;
    }
    this.#check(message, sizeBytes);
    return last === LF ? sizeBytes : sizeBytes + 2;
  }

  /** A line end that is missing at the end alone is no reason to rename what other programs know by its name. */
  #check(message: ListedMessage, sizeBytes: number): void {
    if (sizeBytes !== message.sizeBytes) this.#distrust(message, `sent as ${sizeBytes} octets`);
  }

  distrust(index: number, cause: string): void {
    this.#distrust(this.#message(index), cause);
  }

  #distrust(message: ListedMessage, cause: string): void {
    if (this.#wrong.has(message)) return;
    this.#wrong.add(message);
    this.#log.warn('maildrop.wrong-size', { maildir: this.#maildir, file: message.name, cause });
  }

  #open(message: ListedMessage): number {
    try {
      return this.#places.open(message);
    } catch (error) {
      // A symbolic link whose name tells sizes: without them it is looked at, and left out.
      if ((error as NodeJS.ErrnoException).code === 'ELOOP') this.#distrust(message, 'a symbolic link');
      throw error;
    }
  }

  async *read(index: number): AsyncGenerator<Uint8Array> {
    const message = this.#message(index);
    const file = this.#open(message);
    const buffer = this.#buffers.take();
    try {
      let lines: CrlfStream | undefined;
      for (let begun = false; ; begun = true) {
        const { bytesRead } = await readAsync(file, buffer, 0, buffer.length, null);
        if (bytesRead === 0) break;
        const chunk = buffer.subarray(0, bytesRead);
        if (!begun && !isWireForm(message, chunk)) lines = new CrlfStream();
        yield lines === undefined ? chunk : lines.push(chunk);
      }
      const rest = lines?.end();
      if (rest !== undefined && rest.length > 0) yield rest;
    } finally {
      this.#buffers.give(buffer);
      closeSync(file);
    }
  }

  async commit(deleted: readonly number[]): Promise<CommitResult> {
    this.#committing = true;
    const failed = new Set<string>();
    let permanent = false;
    const fail = (message: ListedMessage, error: unknown): void => {
      failed.add(message.uidl);
      permanent ||= isPermanent(error);
      this.#log.error('maildrop.delete-failed', { maildir: this.#maildir, file: message.name, cause: String(error) });
    };
    try {
      const removed: ListedMessage[] = [];
      const elsewhere: ListedMessage[] = [];
      for (const [done, index] of deleted.entries()) {
        if (done > 0 && done % UNLINKS_PER_TURN === 0) await setImmediate();
        for (const message of namesOf(this.#message(index))) {
          try {
            (this.#places.remove(message) ? removed : elsewhere).push(message);
          } catch (error) {
            fail(message, error);
          }
        }
      }
      removed.push(...(await this.#removeMoved(elsewhere, fail)));
      if (removed.length > 0) this.#note(sumOf(removed), removed.length);
    } finally {
      this.#giveUp();
    }
    return permanent ? { failed: failed.size, permanent } : { failed: failed.size };
  }

  async #removeMoved(
    messages: readonly ListedMessage[],
    fail: (message: ListedMessage, error: unknown) => void,
  ): Promise<ListedMessage[]> {
    try {
      return await this.#places.removeMoved(messages, fail);
    } catch (error) {
      for (const message of messages) fail(message, error);
      return [];
    }
  }

  #note(bytes: number, messages: number): void {
    try {
      noteUsage(this.#maildir, -bytes, -messages);
    } catch (error) {
      // They are deleted all the same; who looks next finds the folder changed, and counts.
      this.#log.warn('maildrop.usage-not-noted', { maildir: this.#maildir, cause: String(error) });
    }
  }

  release(): void {
    // Another session must not list what is being deleted.
    if (!this.#committing) this.#giveUp();
  }

  #giveUp(): void {
    this.#forgetSizes();
    try {
      this.#lock.release();
    } catch (error) {
      this.#log.error('maildrop.lock-stuck', { maildir: this.#maildir, cause: String(error) });
    }
  }

  #message(index: number): ListedMessage {
    const message = this.messages[index];
    if (message === undefined) throw new RangeError(`no message ${index} in a maildrop of ${this.messages.length}`);
    return message;
  }

  #forgetSizes(): void {
    forgetSizes(this.#maildir, this.#wrong, ({ name }, error) =>
      // Whoever reads it next finds it wrong again.
      this.#log.warn('maildrop.wrong-size-left', { maildir: this.#maildir, file: name, cause: String(error) }),
    );
    this.#wrong.clear();
  }
}

/**
 * Are these the first bytes of a file that can be sent as it is? Its name says so by two sizes that are the same, and
 * then its first line tells whether the name lies: to look at each would cost every good message.
 */
function isWireForm({ fileBytes, sizeBytes }: ListedMessage, bytes: Uint8Array): boolean {
  if (fileBytes !== sizeBytes) return false;
  const lf = bytes.indexOf(LF);
  return lf < 0 || bytes[lf - 1] === CR;
}

/** A message under each of its names. */
function namesOf(message: ListedMessage): readonly ListedMessage[] {
  return message.alias === undefined ? [message] : [message, { ...message, ...message.alias }];
}

function sumOf(messages: readonly ListedMessage[]): number {
  return messages.reduce((sum, { fileBytes }) => sum + fileBytes, 0);
}

/** Reads so many bytes, or all there are. @returns bytes read. */
function readFully(file: number, buffer: Uint8Array, wanted: number): number {
  let length = 0;
  while (length < wanted) {
    const bytesRead = readSync(file, buffer, length, wanted - length, null);
    if (bytesRead === 0) break;
    length += bytesRead;
  }
  return length;
}
