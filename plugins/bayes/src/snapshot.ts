/**
 * A model as one read-only file that every thread of every server process loads: Level lets only one process in at a time,
 * and that one is the trainer. Sorted 48-bit hashes in 65,536 buckets, 12 bytes a token, no objects: 300,000 tokens are
 * 4 MB a thread. Written beside and renamed, so a reader sees the old one or the new one; checked by length and CRC.
 */
import { open, readFile, rename, rm } from 'node:fs/promises';
import { crc32 } from 'node:zlib';
import type { Counts, Model } from './model.ts';
import { TOKENS_VERSION } from './tokens.ts';

const MAGIC = 0x50_48_42_31;
const HEADER_WORDS = 8;
const BUCKETS = 65_536;

/** The file is no model, is cut short, damaged, or of another version of the tokens. */
export class SnapshotError extends Error {
  override readonly name = 'SnapshotError';
}

/** The published model, in typed arrays over the bytes of the file. */
export class Snapshot implements Model {
  readonly spamMessages: number;
  readonly hamMessages: number;
  readonly tokens: number;
  readonly #starts: Uint32Array;
  readonly #lows: Uint32Array;
  readonly #spam: Uint32Array;
  readonly #ham: Uint32Array;

  /** @throws SnapshotError when the bytes are not a whole model of this version. */
  constructor(bytes: Uint8Array<ArrayBuffer>) {
    if (bytes.byteLength < HEADER_WORDS * 4 || bytes.byteLength % 4 !== 0) throw new SnapshotError('cut short');
    const words = new Uint32Array(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength));
    const [magic, version, tokens, spamMessages, hamMessages, crc] = words as unknown as readonly number[];
    if (magic !== MAGIC) throw new SnapshotError('not a model');
    if (version !== TOKENS_VERSION) throw new SnapshotError(`made with tokens of version ${version}, not ${TOKENS_VERSION}`);
    const content = words.subarray(HEADER_WORDS);
    if (content.length !== BUCKETS + 1 + 3 * tokens!) throw new SnapshotError('cut short');
    if (crc32(bytesOf(content)) !== crc) throw new SnapshotError('damaged: its checksum does not match');
    this.tokens = tokens!;
    this.spamMessages = spamMessages!;
    this.hamMessages = hamMessages!;
    this.#starts = content.subarray(0, BUCKETS + 1);
    this.#lows = content.subarray(BUCKETS + 1, BUCKETS + 1 + this.tokens);
    this.#spam = content.subarray(BUCKETS + 1 + this.tokens, BUCKETS + 1 + 2 * this.tokens);
    this.#ham = content.subarray(BUCKETS + 1 + 2 * this.tokens);
  }

  find(hash: number, into: Counts): void {
    const bucket = Math.floor(hash / 0x1_0000_0000);
    const low = hash >>> 0;
    let from = this.#starts[bucket]!;
    let to = this.#starts[bucket + 1]!;
    while (from < to) {
      const middle = (from + to) >>> 1;
      if (this.#lows[middle]! < low) from = middle + 1;
      else to = middle;
    }
    const found = from < this.#starts[bucket + 1]! && this.#lows[from] === low;
    into.spam = found ? this.#spam[from]! : 0;
    into.ham = found ? this.#ham[from]! : 0;
  }
}

/** A token as the store gives it, in ascending order of `hash`. */
export interface TokenRow extends Counts {
  readonly hash: number;
}

/**
 * Lays out a model. Rows must come in ascending order of hash.
 * @returns the file's bytes.
 */
export function encodeSnapshot(rows: readonly TokenRow[], spamMessages: number, hamMessages: number): Uint8Array<ArrayBuffer> {
  const words = new Uint32Array(HEADER_WORDS + BUCKETS + 1 + 3 * rows.length);
  const content = words.subarray(HEADER_WORDS);
  const lows = BUCKETS + 1;
  for (const [i, row] of rows.entries()) {
    content[Math.floor(row.hash / 0x1_0000_0000) + 1]!++;
    content[lows + i] = row.hash >>> 0;
    content[lows + rows.length + i] = row.spam;
    content[lows + 2 * rows.length + i] = row.ham;
  }
  for (let bucket = 1; bucket <= BUCKETS; bucket++) content[bucket]! += content[bucket - 1]!;
  words.set([MAGIC, TOKENS_VERSION, rows.length, spamMessages, hamMessages, crc32(bytesOf(content))]);
  return bytesOf(words);
}

/** Reads a published model. @throws SnapshotError, or the system's error (ENOENT when none was published). */
export async function loadSnapshot(path: string): Promise<Snapshot> {
  return new Snapshot(await readFile(path));
}

/** Puts a model in place of the one before, durably. @throws the system's errors; the old model stays then. */
export async function publishSnapshot(path: string, bytes: Uint8Array): Promise<void> {
  const beside = `${path}.new`;
  try {
    await using file = await open(beside, 'w', 0o640);
    await file.writeFile(bytes);
    await file.sync();
  } catch (error) {
    await rm(beside, { force: true });
    throw error;
  }
  await rename(beside, path);
}

function bytesOf(words: Uint32Array<ArrayBuffer>): Uint8Array<ArrayBuffer> {
  return new Uint8Array(words.buffer, words.byteOffset, words.byteLength);
}
