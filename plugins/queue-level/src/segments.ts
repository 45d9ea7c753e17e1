/**
 * The segment files of a shard: which there are, how much in each is alive, and which are free to be used again.
 * Called by log.ts (the active one), recover.ts, checkpoint.ts (frees) and body.ts (reads). A file that is free is kept
 * as a spare and written over, which is faster than growing a new one, and on a full disk the spares are given back.
 * Descriptors for reading are opened when needed and at most `MAX_READERS` idle ones stay open.
 */
import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { crc32 } from 'node:zlib';
import type { FileOps } from './file-ops.ts';
import type { Salt } from './record.ts';

export interface Segment {
  readonly number: number;
  readonly path: string;
  /** Undefined when the header is damaged: then its records are found by their places only. */
  readonly salt: Salt | undefined;
  /** End of what was written. */
  size: number;
  /** Messages that lie in it, and the bytes of their records. */
  live: number;
  liveBytes: number;
  /** Readers at work: it is not freed under them. */
  pins: number;
  /** Compaction could move nothing of what lives in it. */
  immovable?: boolean;
}

/** The header stands twice, so that a damaged byte does not cost the salt. */
export const SEGMENT_HEAD_BYTES = 128;
const COPY_BYTES = 64;
const MAGIC = 'PHSEGM1\n';
const MAX_SPARES = 4;
const MAX_READERS = 16;
const NAME = /^(\d{10})\.log$/;
const SPARE = /^spare-(\d+)\.log$/;

/** The first bytes of a segment file. */
export function encodeSegmentHead(number: number, salt: Salt): Buffer {
  const head = Buffer.alloc(SEGMENT_HEAD_BYTES);
  head.write(MAGIC, 0, 'latin1');
  head.writeUInt32LE(number, 8);
  head.writeUInt32LE(salt.low, 16);
  head.writeUInt32LE(salt.high, 20);
  head.writeUInt32LE(crc32(head.subarray(0, COPY_BYTES - 4)), COPY_BYTES - 4);
  head.copy(head, COPY_BYTES, 0, COPY_BYTES);
  return head;
}

/** The salt of segment `number`; undefined when neither copy of the header is whole and of this segment. */
export function decodeSegmentHead(head: Buffer, number: number): Salt | undefined {
  for (let at = 0; at + COPY_BYTES <= head.length && at < SEGMENT_HEAD_BYTES; at += COPY_BYTES) {
    const copy = head.subarray(at, at + COPY_BYTES);
    const whole = copy.readUInt32LE(COPY_BYTES - 4) === crc32(copy.subarray(0, COPY_BYTES - 4));
    if (whole && copy.toString('latin1', 0, 8) === MAGIC && copy.readUInt32LE(8) === number) {
      return { low: copy.readUInt32LE(16), high: copy.readUInt32LE(20) };
    }
  }
  return undefined;
}

/** A salt that was never used and never is zero, as the rest of a fresh file may be. */
export function newSalt(): Salt {
  const bytes = randomBytes(8);
  return { low: (bytes.readUInt32LE(0) | 1) >>> 0, high: bytes.readUInt32LE(4) };
}

interface Reader {
  readonly fd: Promise<number>;
  users: number;
}

export class Segments {
  readonly #files: FileOps;
  readonly #directory: string;
  readonly #report: (event: string, fields: Record<string, unknown>) => void;
  readonly #segments = new Map<number, Segment>();
  readonly #spares: string[] = [];
  readonly #readers = new Map<number, Reader>();
  #closed = false;
  #last = 0;
  #spareNumber = 0;

  constructor(files: FileOps, directory: string, report: (event: string, fields: Record<string, unknown>) => void) {
    this.#files = files;
    this.#directory = directory;
    this.#report = report;
  }

  /** Names of the segment files on disk in order, with their numbers; takes note of the spares. */
  async find(): Promise<{ number: number; path: string }[]> {
    const found: { number: number; path: string }[] = [];
    for (const name of await this.#files.list(this.#directory)) {
      const path = join(this.#directory, name);
      const match = NAME.exec(name);
      if (match !== null) found.push({ number: Number(match[1]), path });
      const spare = SPARE.exec(name);
      if (spare === null) continue;
      this.#spares.push(path);
      this.#spareNumber = Math.max(this.#spareNumber, Number(spare[1]));
    }
    return found;
  }

  /** Takes a segment in that is on disk. */
  adopt(segment: Segment): void {
    this.#segments.set(segment.number, segment);
    this.useNumbersAbove(segment.number);
  }

  useNumbersAbove(number: number): void {
    this.#last = Math.max(this.#last, number);
  }

  get(number: number): Segment | undefined {
    return this.#segments.get(number);
  }

  all(): Segment[] {
    return [...this.#segments.values()];
  }

  /** The newest. */
  last(): Segment | undefined {
    let last: Segment | undefined;
    for (const one of this.#segments.values()) if (last === undefined || one.number > last.number) last = one;
    return last;
  }

  /** Makes the next segment: a spare under a new name, or a new file. Its header is written by the caller. */
  async create(): Promise<Segment> {
    const number = ++this.#last;
    const path = join(this.#directory, `${String(number).padStart(10, '0')}.log`);
    const spare = this.#spares.pop();
    if (spare !== undefined) await this.#files.rename(spare, path);
    const segment: Segment = { number, path, salt: newSalt(), size: 0, live: 0, liveBytes: 0, pins: 0 };
    this.#segments.set(number, segment);
    return segment;
  }

  /** Lets a segment go whose file could not be opened. */
  forget(segment: Segment): void {
    this.#segments.delete(segment.number);
  }

  /** The names of new files on the disk. */
  syncNames(): Promise<void> {
    return this.#files.syncDirectory(this.#directory);
  }

  countIn(number: number, bytes: number): void {
    const segment = this.#segments.get(number);
    if (segment === undefined) return;
    segment.live++;
    segment.liveBytes += bytes;
  }

  countOut(number: number, bytes: number): void {
    const segment = this.#segments.get(number);
    if (segment === undefined) return;
    segment.live--;
    segment.liveBytes -= bytes;
  }

  /** Lets a file go in which nothing lives: kept as a spare when it is worth it. */
  async free(segment: Segment, worthBytes: number): Promise<void> {
    this.#segments.delete(segment.number);
    await this.#closeReader(segment.number);
    if (segment.size < worthBytes || this.#spares.length >= MAX_SPARES) return this.#files.unlink(segment.path);
    const spare = join(this.#directory, `spare-${++this.#spareNumber}.log`);
    await this.#files.rename(segment.path, spare);
    this.#spares.push(spare);
  }

  /** Gives the spares back to the file system. @returns whether there were any */
  async dropSpares(): Promise<boolean> {
    const spares = this.#spares.splice(0);
    for (const path of spares) await this.#files.unlink(path);
    return spares.length > 0;
  }

  /** A descriptor to read a segment with; `done` must be called. */
  async reader(segment: Segment): Promise<{ fd: number; done: () => void }> {
    // Pinned and counted before anything waits, else segment or descriptor could go meanwhile.
    segment.pins++;
    const reader = this.#readerOf(segment);
    reader.users++;
    let open = true;
    const done = (): void => {
      if (!open) return;
      open = false;
      reader.users--;
      segment.pins--;
      if (this.#closed && reader.users === 0) void this.#closeQuietly(segment.number);
    };
    try {
      const fd = await reader.fd;
      await this.#closeIdle();
      return { fd, done };
    } catch (cause) {
      done();
      throw cause;
    }
  }

  #readerOf(segment: Segment): Reader {
    let reader = this.#readers.get(segment.number);
    if (reader === undefined) {
      const made: Reader = { fd: this.#files.openRead(segment.path), users: 0 };
      made.fd.catch(() => this.#readers.get(segment.number) === made && this.#readers.delete(segment.number));
      reader = made;
    }
    // The map keeps the order of use: what was used longest ago comes first.
    this.#readers.delete(segment.number);
    this.#readers.set(segment.number, reader);
    return reader;
  }

  async #closeIdle(): Promise<void> {
    if (this.#readers.size <= MAX_READERS) return;
    for (const [number, reader] of this.#readers) {
      if (reader.users > 0) continue;
      return this.#closeQuietly(number);
    }
  }

  /** For those who have no part in it when a descriptor cannot be closed. */
  async #closeQuietly(number: number): Promise<void> {
    try {
      await this.#closeReader(number);
    } catch (error) {
      this.#report('store.close', { segment: number, reason: String(error) });
    }
  }

  async #closeReader(number: number): Promise<void> {
    const reader = this.#readers.get(number);
    if (reader === undefined) return;
    this.#readers.delete(number);
    await this.#files.close(await reader.fd);
  }

  /** Those at work are closed by their last reader. */
  async close(): Promise<void> {
    this.#closed = true;
    for (const [number, { users }] of this.#readers) if (users === 0) await this.#closeQuietly(number);
  }
}
