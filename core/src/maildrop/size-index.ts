/**
 * Sizes of messages whose names do not tell them (files that other programs put there), counted once and remembered
 * in `<Maildir>/posthorn-sizes`. Used while the maildrop is locked, so there is one writer. It is a memory, not a
 * record: a missing, damaged or half-written file costs a recount, nothing else, and so does one that cannot be read or
 * written, which is told. Written as a new file and renamed.
 */
import { closeSync, constants, fstatSync, openSync, readSync } from 'node:fs';
import { open, readFile, rename, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setImmediate } from 'node:timers/promises';
import { isAbsent } from './absent.ts';
import { SurrogateSize } from './surrogate-size.ts';
import { CrlfStream, WireCounter } from './wire-form.ts';

export interface MessageSizes {
  readonly fileBytes: number;
  readonly wireBytes: number;
  /** Of the surrogate, where the message needs one. */
  readonly surrogateBytes?: number | undefined;
}

/** Told what was left out, or could not be remembered, and why. */
export type Skipped = (path: string, error: unknown) => void;

export const SIZE_INDEX = 'posthorn-sizes';
/** A line for each message: base name, bytes in the file, on the wire, of the surrogate (0: none). */
const HEADER = 'posthorn-sizes 2';
const MAX_ENTRIES = 250_000;
/** Read between two turns of the loop: some milliseconds. */
const LINES_PER_TURN = 8192;
const MAX_INDEX_BYTES = 32 * 1024 * 1024;
const CHUNK_BYTES = 64 * 1024;

/** What is remembered, by base name; empty when there is nothing, or nothing readable. */
export async function readSizeIndex(maildir: string, skipped: Skipped): Promise<Map<string, MessageSizes>> {
  const sizes = new Map<string, MessageSizes>();
  const path = join(maildir, SIZE_INDEX);
  let text: string;
  try {
    if ((await stat(path)).size > MAX_INDEX_BYTES) return sizes;
    text = await readFile(path, 'utf8');
  } catch (error) {
    if (!isAbsent(error)) skipped(path, error);
    return sizes;
  }
  const lines = text.split('\n');
  if (lines[0] !== HEADER) return sizes;
  // What follows the last line end was cut off while it was written.
  for (let at = 1; at < lines.length - 1; at++) {
    if (at % LINES_PER_TURN === 0) await setImmediate();
    const line = lines[at]!;
    const [, base, file, wire, surrogate] = /^(.+) (\d{1,15}) (\d{1,15}) (\d{1,15})$/.exec(line) ?? [];
    if (base === undefined) continue;
    sizes.set(base, { fileBytes: Number(file), wireBytes: Number(wire), surrogateBytes: Number(surrogate) || undefined });
  }
  return sizes;
}

/** Remembers `sizes` in place of what was there; past a bound the rest is counted again next time. */
export async function writeSizeIndex(maildir: string, sizes: ReadonlyMap<string, MessageSizes>, skipped: Skipped): Promise<void> {
  const lines = [HEADER];
  for (const [base, { fileBytes, wireBytes, surrogateBytes = 0 }] of sizes) {
    if (lines.length > MAX_ENTRIES) break;
    if (!base.includes('\n')) lines.push(`${base} ${fileBytes} ${wireBytes} ${surrogateBytes}`);
  }
  const path = join(maildir, SIZE_INDEX);
  try {
    await writeFile(`${path}.new`, `${lines.join('\n')}\n`);
    await rename(`${path}.new`, path);
  } catch (error) {
    // A full disk above all: whoever wants to fetch mail and delete it must not be kept from it.
    skipped(path, error);
  }
}

/**
 * How messages are opened. A pipe that nobody writes to would otherwise be waited for, and a symbolic link is no message:
 * it may lead out of the mailbox. Folders on the way, and the Maildir, may be links.
 */
export const READ_ONLY = constants.O_RDONLY | constants.O_NONBLOCK | constants.O_NOFOLLOW;

/** For files counted in place, one at a time. */
const scratch = Buffer.allocUnsafeSlow(CHUNK_BYTES);

/**
 * Reads a file to count it: a small one in place, which takes a tenth of the time that its trips to other threads would
 * take, a large one on other threads.
 * @returns undefined when it is gone. @throws when it cannot be read, or is none.
 */
export function measureFile(path: string): MessageSizes | undefined | Promise<MessageSizes | undefined> {
  let file;
  try {
    file = openSync(path, READ_ONLY);
  } catch (error) {
    if (isAbsent(error)) return undefined;
    throw error;
  }
  try {
    const found = fstatSync(file);
    if (!found.isFile()) throw new Error('no regular file');
    if (found.size < CHUNK_BYTES) {
      const bytesRead = readSync(file, scratch, 0, CHUNK_BYTES, 0);
      // Otherwise somebody writes to it still.
      if (bytesRead === found.size) return countWhole(scratch.subarray(0, bytesRead));
    }
  } finally {
    closeSync(file);
  }
  return measureLarge(path);
}

function countWhole(bytes: Buffer): MessageSizes {
  const counter = new WireCounter();
  counter.push(bytes);
  const surrogate = new SurrogateSize();
  const lines = new CrlfStream();
  surrogate.push(lines.push(bytes));
  surrogate.push(lines.end());
  const { fileBytes, wireBytes } = counter;
  return { fileBytes, wireBytes, surrogateBytes: surrogate.of(wireBytes) };
}

async function measureLarge(path: string): Promise<MessageSizes | undefined> {
  let file;
  try {
    file = await open(path, READ_ONLY);
  } catch (error) {
    if (isAbsent(error)) return undefined;
    throw error;
  }
  try {
    if (!(await file.stat()).isFile()) throw new Error('no regular file');
    const counter = new WireCounter();
    const surrogate = new SurrogateSize();
    const lines = new CrlfStream();
    const buffer = Buffer.allocUnsafe(CHUNK_BYTES);
    for (;;) {
      const { bytesRead } = await file.read(buffer, 0, CHUNK_BYTES, null);
      if (bytesRead === 0) {
        if (surrogate.begun) surrogate.push(lines.end());
        const { fileBytes, wireBytes } = counter;
        return { fileBytes, wireBytes, surrogateBytes: surrogate.of(wireBytes) };
      }
      const chunk = buffer.subarray(0, bytesRead);
      counter.push(chunk);
      if (surrogate.begun) surrogate.push(lines.push(chunk));
    }
  } finally {
    await file.close();
  }
}
