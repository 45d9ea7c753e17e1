/**
 * Where the bytes of incoming messages are kept: shared memory up to `spillBytes`, a spool file beyond it. Made once
 * for each session thread; `begin` gives a transaction its writer (MessageWriter of smtp/ports.ts). A writer that could
 * not keep its message sets `failure`, gives everything back at once and swallows the rest: it never throws into the
 * session. Whoever ends with the message calls `drop`, once or more.
 */
import { randomBytes } from 'node:crypto';
import { mkdir, readdir, unlink } from 'node:fs/promises';
import { join } from 'node:path';
import type { BytesPlace, SlabRange } from './message-bytes.ts';
import { FileBytes, headerLength, MemoryBytes, type PlacedBytes } from './placed-bytes.ts';
import { type Block, SlabPool, slabBytesFor } from './slab-pool.ts';
import { SpoolFile, systemDisk, type SpoolDisk } from './spool-file.ts';

/** The header section kept in memory beside a spool file, at the most. */
const HEAD_LIMIT_BYTES = 256 * 1024;
/** What a declared SIZE reserves at the most: a client that says much and sends nothing must not hold memory. */
const FIRST_BLOCK_LIMIT_BYTES = 64 * 1024;
const SPOOL_SUFFIX = '.spool';

export interface MessageMemoryOptions {
  /** Never the same for two session threads in the life of a process, not even for one that replaces another. */
  readonly threadIndex: number;
  /** Bytes of shared memory for messages at the most; `begin` refuses and writers fail past it. */
  readonly limitBytes: number;
  /** A message larger than this goes to a file. */
  readonly spillBytes: number;
  /** An existing folder of this process's own, see `clearSpool`. */
  readonly spoolDirectory: string;
  /** Told of each new slab before a message lies in it, and when it is gone: for the other threads' SharedSlabs. */
  readonly onNewSlab?: (id: number, memory: SharedArrayBuffer) => void;
  readonly onSlabGone?: (id: number) => void;
  /** Told why a message could not be kept; for the log. */
  readonly onFailure?: (failure: 'memory' | 'disk', cause: string) => void;
  readonly disk?: SpoolDisk;
}

export interface MessageMemory {
  /** @returns undefined when memory for messages is short. `declaredBytes` is the SIZE of MAIL, if given. */
  begin(declaredBytes: number | undefined): HeldMessage | undefined;
  /** Bytes in use by messages, and bytes of shared memory held for them. */
  readonly usedBytes: number;
  readonly heldBytes: number;
}

/**
 * Makes the spool folder if need be, and removes what was left there.
 * @param threadIndex of a thread that ended; absent: what a process that was killed left, whatever the thread
 */
export async function clearSpool(directory: string, threadIndex?: number): Promise<void> {
  await mkdir(directory, { recursive: true, mode: 0o700 });
  const prefix = threadIndex === undefined ? '' : `${threadIndex}-`;
  for (const name of await readdir(directory)) {
    if (name.startsWith(prefix) && name.endsWith(SPOOL_SUFFIX)) await unlink(join(directory, name));
  }
}

/** The least memory, in bytes, in which a message of up to `spillBytes` can grow: it needs two blocks while it does. */
export function leastMemoryBytes(spillBytes: number): number {
  return 2 * slabBytesFor(spillBytes);
}

/** The memory of one session thread. */
export function createMessageMemory(options: MessageMemoryOptions): MessageMemory {
  const pool = new SlabPool({ ...options, largestBlockBytes: Math.max(options.spillBytes, FIRST_BLOCK_LIMIT_BYTES) });
  const prefix = `${options.threadIndex}-${randomBytes(6).toString('hex')}`;
  let spilled = 0;
  const keep: Keep = {
    pool,
    spillBytes: options.spillBytes,
    disk: options.disk ?? systemDisk,
    nextPath: () => join(options.spoolDirectory, `${prefix}-${(spilled += 1)}${SPOOL_SUFFIX}`),
    onFailure: options.onFailure ?? (() => undefined),
  };
  return {
    begin(declaredBytes) {
      const block = pool.take(Math.min(declaredBytes ?? 0, FIRST_BLOCK_LIMIT_BYTES));
      return block === undefined ? undefined : new HeldMessage(keep, block);
    },
    get usedBytes() {
      return pool.usedBytes;
    },
    get heldBytes() {
      return pool.heldBytes;
    },
  };
}

interface Keep {
  readonly pool: SlabPool;
  readonly spillBytes: number;
  readonly disk: SpoolDisk;
  readonly nextPath: () => string;
  readonly onFailure: (failure: 'memory' | 'disk', cause: string) => void;
}

/** The writer of one message. Satisfies MessageWriter of smtp/ports.ts. */
export class HeldMessage {
  readonly #keep: Keep;
  /** The message so far, or the head of a spilled one; undefined once given back. */
  #block: Block | undefined;
  #headBytes = 0;
  #file: SpoolFile | undefined;
  #sizeBytes = 0;
  #failure: 'memory' | 'disk' | undefined;
  #sealed: PlacedBytes | undefined;

  constructor(keep: Keep, block: Block) {
    this.#keep = keep;
    this.#block = block;
  }

  get sizeBytes(): number {
    return this.#sizeBytes;
  }

  get failure(): 'memory' | 'disk' | undefined {
    return this.#failure;
  }

  /** The message with its place once it is sealed, until it is dropped: for the sink and for other threads. */
  get sealed(): PlacedBytes | undefined {
    return this.#sealed;
  }

  write(chunk: Uint8Array, from: number, to: number): boolean {
    const at = this.#sizeBytes;
    this.#sizeBytes += to - from;
    const block = this.#block;
    if (block === undefined) return true;
    if (this.#file !== undefined) return this.#file.write(chunk, from, to);
    if (this.#sizeBytes > this.#keep.spillBytes) return this.#spill(block, at, chunk, from, to);
    const room = this.#sizeBytes <= block.bytes.length ? block : this.#grow(block, at);
    room?.bytes.set(chunk.subarray(from, to), at);
    return true;
  }

  onDrain(then: () => void): void {
    if (this.#file === undefined) then();
    else this.#file.onDrain(then);
  }

  /**
   * Ends writing.
   * @returns the bytes, at once for a message in memory.
   * @throws Error (or rejects with it) when `failure` is set: the message is not here.
   */
  seal(): PlacedBytes | Promise<PlacedBytes> {
    const file = this.#file;
    const block = this.#held();
    if (file !== undefined) return this.#sealFile(file);
    const range = { slab: block.slab, offset: block.offset, length: this.#sizeBytes };
    this.#sealed = new MemoryBytes(block.bytes.subarray(0, this.#sizeBytes), { in: 'memory', range });
    return this.#sealed;
  }

  drop(): void {
    this.#sealed = undefined;
    if (this.#block !== undefined) this.#keep.pool.give(this.#block);
    this.#block = undefined;
    this.#file?.discard();
  }

  #held(): Block {
    if (this.#block === undefined) throw new Error(`the message was not kept: ${this.#failure ?? 'dropped'}`);
    return this.#block;
  }

  async #sealFile(file: SpoolFile): Promise<PlacedBytes> {
    await file.finish();
    const block = this.#held();
    const head: SlabRange = { slab: block.slab, offset: block.offset, length: this.#headBytes };
    const place: BytesPlace = { in: 'file', path: file.path, sizeBytes: this.#sizeBytes, head };
    this.#sealed = new FileBytes(place, block.bytes.subarray(0, this.#headBytes));
    return this.#sealed;
  }

  #grow(block: Block, used: number): Block | undefined {
    // Doubling at least: a message that comes in small pieces is copied twice at the most, all in all.
    const { pool, spillBytes } = this.#keep;
    const larger = pool.take(Math.max(this.#sizeBytes, Math.min(block.bytes.length * 2, spillBytes)));
    if (larger === undefined) {
      this.#lose('memory', `no shared memory for ${this.#sizeBytes} bytes`);
      return undefined;
    }
    larger.bytes.set(block.bytes.subarray(0, used));
    pool.give(block);
    this.#block = larger;
    return larger;
  }

  #spill(block: Block, used: number, chunk: Uint8Array, from: number, to: number): boolean {
    const { pool, spillBytes, disk, nextPath } = this.#keep;
    const head = pool.take(Math.min(HEAD_LIMIT_BYTES, spillBytes, this.#sizeBytes));
    if (head === undefined) {
      this.#lose('memory', 'no shared memory for the header of a spilled message');
      return true;
    }
    const limit = Math.min(HEAD_LIMIT_BYTES, spillBytes, this.#sizeBytes);
    const fromBlock = Math.min(used, limit);
    head.bytes.set(block.bytes.subarray(0, fromBlock));
    head.bytes.set(chunk.subarray(from, from + limit - fromBlock), fromBlock);
    this.#headBytes = headerLength(head.bytes.subarray(0, limit));
    this.#block = this.#shrink(head);
    this.#file = new SpoolFile(nextPath(), pool, disk, (failure, cause) => this.#lose(failure, cause));
    this.#file.adopt(block, used);
    return this.#file.write(chunk, from, to);
  }

  /** A header is mostly far smaller than the room it was looked for in. */
  #shrink(head: Block): Block {
    const { pool } = this.#keep;
    if (this.#headBytes * 2 > head.bytes.length) return head;
    const smaller = pool.take(this.#headBytes);
    if (smaller === undefined) return head;
    smaller.bytes.set(head.bytes.subarray(0, this.#headBytes));
    pool.give(head);
    return smaller;
  }

  #lose(failure: 'memory' | 'disk', cause: string): void {
    this.#keep.onFailure(failure, cause);
    if (this.#failure !== undefined || this.#block === undefined) return;
    this.#failure = failure;
    this.drop();
  }
}
