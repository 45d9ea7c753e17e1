/**
 * The bytes of one received message, where they lie, and how to read them without copying.
 * Written by the session thread while DATA comes in; read by hooks on any thread and by the queue. Small messages lie
 * in pooled shared memory, larger ones in a spool file with the first bytes kept in memory.
 */

/** A range of a shared slab; `slab` names a SharedArrayBuffer that every thread of the process was told of once. */
export interface SlabRange {
  readonly slab: number;
  readonly offset: number;
  readonly length: number;
}

/** Where the bytes lie. Plain data: it crosses threads. `head` always holds the whole header section, or `headLimitBytes` of it. */
export type BytesPlace =
  | { readonly in: 'memory'; readonly range: SlabRange }
  | { readonly in: 'file'; readonly path: string; readonly sizeBytes: number; readonly head: SlabRange };

/** A reader's view of a message. It must not be written to: shared bytes cannot be frozen, the SDK's test kit checks. */
export interface MessageBytes {
  readonly sizeBytes: number;
  /** The header section with its closing empty line (as far as it fits the head kept in memory), a view. */
  readonly header: Uint8Array;
  /** The whole message when it lies in memory, else undefined: then use `chunks`. */
  readonly whole: Uint8Array | undefined;
  /** All bytes in order; chunks are views or a reused buffer, valid until the next one is asked for. */
  chunks(): AsyncIterable<Uint8Array>;
}

/** Maps slab ids to the shared memory behind them. Each thread has one. */
export interface SlabTable {
  view(range: SlabRange): Uint8Array;
}
