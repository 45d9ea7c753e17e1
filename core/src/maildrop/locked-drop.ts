/**
 * An open maildrop: a listing that stays as it was, and the lock. Made by the opener for one POP3 session.
 * Another program may rename files (flags, new/ to cur/) or remove them while it is open: a file that is not where it
 * was is looked for under its base name; one that is gone cannot be read, and counts as deleted.
 * Whatever fails, `commit` and `release` give the lock up.
 */
import { closeSync, openSync, read, readSync, unlinkSync } from 'node:fs';
import { join } from 'node:path';
import { setImmediate } from 'node:timers/promises';
import { promisify } from 'node:util';
import type { Log } from '../observe/log.ts';
import type { Maildrop } from '../pop3/ports.ts';
import { isAbsent } from './absent.ts';
import { parseMessageName } from './file-name.ts';
import { readOrNone, type ListedMessage, type MessageFolder } from './listing.ts';
import type { HeldLock } from './lock.ts';
import { READ_ONLY } from './size-index.ts';
import { noteUsage } from './usage.ts';
import { CrlfStream, toCrlf } from './wire-form.ts';

const readAsync = promisify(read);
const CHUNK_BYTES = 64 * 1024;
/** Deletions between two turns of the loop: about a millisecond. */
const UNLINKS_PER_TURN = 32;

export class LockedDrop implements Maildrop {
  readonly messages: readonly ListedMessage[];
  readonly #maildir: string;
  readonly #lock: HeldLock;
  readonly #log: Log;
  readonly #noteLogin: () => void;
  #committing = false;

  constructor(maildir: string, messages: readonly ListedMessage[], lock: HeldLock, noteLogin: () => void, log: Log) {
    this.#maildir = maildir;
    this.messages = messages;
    this.#lock = lock;
    this.#log = log;
    this.#noteLogin = noteLogin;
  }

  noteLogin(): void {
    this.#noteLogin();
  }

  readWhole(index: number, maxBytes: number): Uint8Array | undefined {
    const message = this.#message(index);
    if (message.fileBytes > maxBytes || message.sizeBytes > maxBytes) return undefined;
    const file = this.#open(message);
    try {
      // One byte more than there should be: whether the file is as long as its name says takes no call of its own.
      const buffer = Buffer.allocUnsafe(message.fileBytes + 1);
      const length = readFully(file, buffer);
      if (length > message.fileBytes) return undefined;
      const bytes = buffer.subarray(0, length);
      return message.fileBytes === message.sizeBytes ? bytes : toCrlf(bytes);
    } finally {
      closeSync(file);
    }
  }

  async *read(index: number): AsyncGenerator<Uint8Array> {
    const message = this.#message(index);
    const file = this.#open(message);
    try {
      const lines = message.fileBytes === message.sizeBytes ? undefined : new CrlfStream();
      for (;;) {
        const buffer = Buffer.allocUnsafe(CHUNK_BYTES);
        const { bytesRead } = await readAsync(file, buffer, 0, CHUNK_BYTES, null);
        if (bytesRead === 0) break;
        const chunk = buffer.subarray(0, bytesRead);
        yield lines === undefined ? chunk : lines.push(chunk);
      }
      const rest = lines?.end();
      if (rest !== undefined && rest.length > 0) yield rest;
    } finally {
      closeSync(file);
    }
  }

  async commit(deleted: readonly number[]): Promise<{ failed: number }> {
    this.#committing = true;
    let failed = 0;
    let removed = 0;
    let removedBytes = 0;
    let moved: ReadonlyMap<string, string> | undefined;
    try {
      for (const [done, index] of deleted.entries()) {
        if (done > 0 && done % UNLINKS_PER_TURN === 0) await setImmediate();
        const message = this.#message(index);
        try {
          let gone = remove(this.#pathOf(message));
          if (!gone) {
            moved ??= this.#places();
            const place = moved.get(baseOf(message));
            gone = place !== undefined && remove(place);
          }
          if (!gone) continue;
          removed += 1;
          removedBytes += message.fileBytes;
        } catch (error) {
          failed++;
          this.#log.error('maildrop.delete-failed', { maildir: this.#maildir, file: message.name, cause: String(error) });
        }
      }
      if (removed > 0) this.#note(removedBytes, removed);
    } finally {
      this.#giveUp();
    }
    return { failed };
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

  #pathOf(message: ListedMessage): string {
    return join(this.#maildir, message.folder, message.name);
  }

  /** @returns a file descriptor. @throws when the message is gone or cannot be read. */
  #open(message: ListedMessage): number {
    try {
      return openSync(this.#pathOf(message), READ_ONLY);
    } catch (error) {
      if (!isAbsent(error)) throw error;
      const place = this.#places().get(baseOf(message));
      if (place === undefined) throw error;
      return openSync(place, READ_ONLY);
    }
  }

  /** Where each message is now: base name to path. */
  #places(): Map<string, string> {
    const places = new Map<string, string>();
    for (const folder of ['new', 'cur'] satisfies MessageFolder[]) {
      const path = join(this.#maildir, folder);
      for (const name of readOrNone(path)) places.set(parseMessageName(name).base, join(path, name));
    }
    return places;
  }
}

function baseOf(message: ListedMessage): string {
  return parseMessageName(message.name).base;
}

/** @returns false when there is no such file. */
function remove(path: string): boolean {
  try {
    unlinkSync(path);
    return true;
  } catch (error) {
    if (isAbsent(error)) return false;
    throw error;
  }
}

/** Reads until the buffer is full or the file ends. @returns bytes read. */
function readFully(file: number, buffer: Uint8Array): number {
  let length = 0;
  while (length < buffer.length) {
    const bytesRead = readSync(file, buffer, length, buffer.length - length, null);
    if (bytesRead === 0) break;
    length += bytesRead;
  }
  return length;
}
