/**
 * Counts that all session threads of a process share: a table of fixed size in shared memory, from a key to a number and
 * the time at which it ends. The throttle keeps failures and trust here, so that a client gains nothing by connecting
 * until it meets another thread. Keys are kept as digests under a key of the process. Where a bucket is full, what ends
 * first makes room. A bucket is locked while it is changed; a thread that dies in those few instructions costs nothing
 * but a short wait, since a lock is not waited for without end.
 */
import { createHmac, randomFillSync } from 'node:crypto';

export interface LedgerEntry {
  readonly count: number;
  readonly endsAtMs: number;
}

const KEY_BYTES = 32;
const SLOTS = 8;
/** Of a slot: digest, count, and 8 bytes of time behind a pad. */
const SLOT_BYTES = 24;
/** The lock, and a pad to keep times where a Float64Array can reach them. */
const BUCKET_BYTES = 8 + SLOTS * SLOT_BYTES;
const DEFAULT_BUCKETS = 8192;
/** As long as another thread that runs may take; then it has lost its turn on the processor, and is waited for. */
const MAX_SPINS = 200;
const WAIT_MS = 1;
const MAX_WAITS = 50;

/** 1.6 MiB at the usual size, for 65,536 keys. @param buckets of eight entries each. */
export function createLedgerMemory(buckets = DEFAULT_BUCKETS): SharedArrayBuffer {
  const memory = new SharedArrayBuffer(KEY_BYTES + buckets * BUCKET_BYTES);
  // randomFillSync takes no view of shared memory.
  new Uint8Array(memory).set(randomFillSync(new Uint8Array(KEY_BYTES)));
  return memory;
}

export class Ledger {
  readonly #key: Uint8Array;
  readonly #cells: Int32Array;
  readonly #times: Float64Array;
  readonly #buckets: number;

  /** @param memory of `createLedgerMemory`, the same in every thread. */
  constructor(memory: SharedArrayBuffer) {
    this.#key = new Uint8Array(memory).slice(0, KEY_BYTES);
    this.#cells = new Int32Array(memory);
    this.#times = new Float64Array(memory);
    this.#buckets = (memory.byteLength - KEY_BYTES) / BUCKET_BYTES;
  }

  /** @param nowMs on a clock that all threads read alike. @returns undefined when there is nothing, or it has ended. */
  get(key: string, nowMs: number): LedgerEntry | undefined {
    let found: LedgerEntry | undefined;
    this.change(key, nowMs, (entry) => (found = entry));
    return found;
  }

  /** Changes an entry while no other thread does. @param next gets what is there and gives what is to be there; must not throw. */
  change(key: string, nowMs: number, next: (entry: LedgerEntry | undefined) => LedgerEntry | undefined): void {
    const digest = createHmac('sha256', this.#key).update(key).digest();
    const bucket = (KEY_BYTES + (digest.readUInt32LE(8) % this.#buckets) * BUCKET_BYTES) / 4;
    const tags = [digest.readInt32LE(0), digest.readInt32LE(4)] as const;
    this.#lock(bucket);
    const { own, free } = this.#find(bucket, tags, nowMs);
    const before = own === undefined ? undefined : { count: this.#cells[own + 2]!, endsAtMs: this.#times[(own + 4) / 2]! };
    const after = next(before);
    if (after !== before) this.#put(own ?? free, tags, after);
    Atomics.store(this.#cells, bucket, 0);
    Atomics.notify(this.#cells, bucket, 1);
  }

  #put(slot: number, tags: readonly [number, number], entry: LedgerEntry | undefined): void {
    this.#cells[slot] = tags[0];
    this.#cells[slot + 1] = tags[1];
    this.#cells[slot + 2] = entry?.count ?? 0;
    this.#times[(slot + 4) / 2] = entry?.endsAtMs ?? 0;
  }

  /** `own`: the slot of this key, if it has one that has not ended. `free`: the one that ends first. */
  #find(bucket: number, tags: readonly [number, number], nowMs: number): { own: number | undefined; free: number } {
    let free = bucket + 2;
    for (let slot = bucket + 2; slot < bucket + BUCKET_BYTES / 4; slot += SLOT_BYTES / 4) {
      const endsAtMs = this.#times[(slot + 4) / 2]!;
      if (this.#cells[slot] === tags[0] && this.#cells[slot + 1] === tags[1]) {
        return endsAtMs > nowMs ? { own: slot, free: slot } : { own: undefined, free: slot };
      }
      if (endsAtMs < this.#times[(free + 4) / 2]!) free = slot;
    }
    return { own: undefined, free };
  }

  #lock(bucket: number): void {
    for (let spins = 0; spins < MAX_SPINS; spins += 1) if (Atomics.compareExchange(this.#cells, bucket, 0, 1) === 0) return;
    for (let waits = 0; waits < MAX_WAITS; waits += 1) {
      Atomics.wait(this.#cells, bucket, 1, WAIT_MS);
      if (Atomics.compareExchange(this.#cells, bucket, 0, 1) === 0) return;
    }
  }
}
