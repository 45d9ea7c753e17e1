/**
 * Pooled shared memory for message bytes: slabs (SharedArrayBuffers) cut into blocks of one size class each.
 * One pool for each session thread, used by message-writer.ts; other threads read the same memory through a SlabTable
 * after they were told of each slab once. Blocks are reused as they are, never zeroed: a fresh SharedArrayBuffer for
 * every message is the slowest way there is. When the limit is reached `take` answers undefined and nothing breaks.
 */
import type { SlabRange, SlabTable } from './message-bytes.ts';

const SMALLEST_BLOCK_BYTES = 8 * 1024;
const SMALLEST_SLAB_BYTES = 1024 * 1024;
/** Slab ids are `threadIndex * SLABS_PER_THREAD + n`: unique in a process, exact as a number, never used twice. */
const SLABS_PER_THREAD = 2 ** 32;

/** A piece of a slab, owned by whoever took it until it is given back. */
export interface Block {
  readonly slab: number;
  readonly offset: number;
  /** The whole block, of its class's size; what lies in it before it is written is left over from earlier messages. */
  readonly bytes: Uint8Array;
}

export interface SlabPoolOptions {
  /** Never the same for two pools in the life of a process: part of every slab id. */
  readonly threadIndex: number;
  /** Bytes of slabs at the most. */
  readonly limitBytes: number;
  /** The largest block that will be asked for. */
  readonly largestBlockBytes: number;
  /** Bytes of wholly unused slabs to keep for the next burst; more go back to the system. Default 16 MiB. */
  readonly keepBytes?: number;
  /** Called once for each new slab, before any block of it is handed out. */
  readonly onNewSlab?: (id: number, memory: SharedArrayBuffer) => void;
  /** Called when a slab went back to the system; no block of it is in use. */
  readonly onSlabGone?: (id: number) => void;
}

interface Slab {
  readonly id: number;
  readonly memory: SharedArrayBuffer;
  sizeClass: number;
  blocks: OwnedBlock[];
  free: OwnedBlock[];
}

interface OwnedBlock extends Block {
  readonly home: Slab;
  inUse: boolean;
}

/** The smallest class that holds `bytes`: 8 KiB doubled `class` times. */
function classFor(bytes: number): number {
  return bytes <= SMALLEST_BLOCK_BYTES ? 0 : Math.ceil(Math.log2(bytes / SMALLEST_BLOCK_BYTES));
}

/** Size of a slab, in bytes, of a pool with this largest block. */
export function slabBytesFor(largestBlockBytes: number): number {
  return Math.max(SMALLEST_SLAB_BYTES, SMALLEST_BLOCK_BYTES * 2 ** classFor(largestBlockBytes));
}

export class SlabPool {
  readonly #options: SlabPoolOptions;
  readonly #slabBytes: number;
  readonly #mostKept: number;
  /** For each class the slabs that have a free block, the last one freed on top: it is warm in the cache. */
  readonly #open: Slab[][] = [];
  readonly #unused: Slab[] = [];
  #slabs = 0;
  #made = 0;
  #usedBytes = 0;

  constructor(options: SlabPoolOptions) {
    this.#options = options;
    const largest = classFor(options.largestBlockBytes);
    this.#slabBytes = slabBytesFor(options.largestBlockBytes);
    this.#mostKept = Math.floor((options.keepBytes ?? 16 * 1024 * 1024) / this.#slabBytes);
    for (let size = 0; size <= largest; size += 1) this.#open.push([]);
  }

  /** Bytes of blocks in use. */
  get usedBytes(): number {
    return this.#usedBytes;
  }

  /** Bytes of slabs held, in use or not. */
  get heldBytes(): number {
    return this.#slabs * this.#slabBytes;
  }

  /**
   * Takes a block of at least `bytes`.
   * @returns undefined when the pool is at its limit, or `bytes` is more than its largest block.
   */
  take(bytes: number): Block | undefined {
    const sizeClass = classFor(bytes);
    const open = this.#open[sizeClass];
    if (open === undefined) return undefined;
    const slab = open.at(-1) ?? this.#openSlab(sizeClass);
    if (slab === undefined) return undefined;
    const block = slab.free.pop()!;
    if (slab.free.length === 0) open.pop();
    block.inUse = true;
    this.#usedBytes += block.bytes.length;
    return block;
  }

  /**
   * Gives a block back; its bytes may be another message's at once.
   * @throws Error when it was given back before: two owners of one block would mix messages.
   */
  give(block: Block): void {
    const owned = block as OwnedBlock;
    if (!owned.inUse) throw new Error(`block ${block.slab}:${block.offset} was given back twice`);
    owned.inUse = false;
    this.#usedBytes -= owned.bytes.length;
    const slab = owned.home;
    slab.free.push(owned);
    const open = this.#open[slab.sizeClass]!;
    if (slab.free.length === 1) open.push(slab);
    if (slab.free.length === slab.blocks.length) this.#retire(slab, open);
  }

  #openSlab(sizeClass: number): Slab | undefined {
    // Cutting a slab anew costs some microseconds: while little is held, each class gets slabs of its own.
    const alike = this.#unused.findLastIndex((one) => one.sizeClass === sizeClass);
    const few = this.#unused.length < this.#open.length;
    const slab =
      alike >= 0
        ? this.#unused.splice(alike, 1)[0]
        : ((few ? this.#newSlab() : undefined) ?? this.#unused.pop() ?? this.#newSlab());
    if (slab === undefined) return undefined;
    if (slab.sizeClass !== sizeClass) this.#cut(slab, sizeClass);
    this.#open[sizeClass]!.push(slab);
    return slab;
  }

  #newSlab(): Slab | undefined {
    if (this.heldBytes + this.#slabBytes > this.#options.limitBytes) return undefined;
    const id = this.#options.threadIndex * SLABS_PER_THREAD + this.#made;
    const slab: Slab = { id, memory: new SharedArrayBuffer(this.#slabBytes), sizeClass: -1, blocks: [], free: [] };
    this.#made += 1;
    this.#slabs += 1;
    this.#options.onNewSlab?.(id, slab.memory);
    return slab;
  }

  #cut(slab: Slab, sizeClass: number): void {
    const size = SMALLEST_BLOCK_BYTES * 2 ** sizeClass;
    slab.sizeClass = sizeClass;
    slab.blocks = [];
    for (let offset = 0; offset < slab.memory.byteLength; offset += size) {
      slab.blocks.push({ slab: slab.id, offset, bytes: new Uint8Array(slab.memory, offset, size), home: slab, inUse: false });
    }
    slab.free = slab.blocks.toReversed();
  }

  /** A slab without a block in use may serve any class; past the kept ones it goes back to the system. */
  #retire(slab: Slab, open: Slab[]): void {
    open.splice(open.lastIndexOf(slab), 1);
    if (this.#unused.length < this.#mostKept) {
      this.#unused.push(slab);
      return;
    }
    this.#slabs -= 1;
    this.#options.onSlabGone?.(slab.id);
  }
}

/** The reader's side: what a thread was told of slabs, its own or other threads'. */
export class SharedSlabs implements SlabTable {
  readonly #slabs = new Map<number, SharedArrayBuffer>();

  announce(id: number, memory: SharedArrayBuffer): void {
    this.#slabs.set(id, memory);
  }

  /** The memory is freed once nobody holds a view of it. */
  forget(id: number): void {
    this.#slabs.delete(id);
  }

  /** All slabs of a thread that ended. */
  forgetThread(threadIndex: number): void {
    for (const id of this.#slabs.keys()) if (Math.floor(id / SLABS_PER_THREAD) === threadIndex) this.#slabs.delete(id);
  }

  /** All that are known, to tell a new thread of them. */
  entries(): IterableIterator<[number, SharedArrayBuffer]> {
    return this.#slabs.entries();
  }

  /** @throws Error when this thread was never told of the slab. */
  view(range: SlabRange): Uint8Array {
    const memory = this.#slabs.get(range.slab);
    if (memory === undefined) throw new Error(`shared memory ${range.slab} is not known on this thread`);
    return new Uint8Array(memory, range.offset, range.length);
  }
}
