/**
 * Gathers the bytes of a group for one write: small pieces are copied into a buffer that is used again and again, large
 * ones are passed as they are. Called by log.ts. The pieces are read twice, for the checksum and by the write, and must
 * not change meanwhile.
 */
import { crc32 } from 'node:zlib';
import { HEAD_BYTES, type RecordHead, type Salt, writeHead } from './record.ts';

/** A piece this large is cheaper passed than copied. */
const PASS_BYTES = 32 * 1024;
const CHUNK_BYTES = 1024 * 1024;
/** Chunks kept from one group to the next; what a larger group needs beyond them is given back. */
const KEPT_CHUNKS = 9;

export class Stage {
  #chunks: Buffer[] = [Buffer.allocUnsafe(CHUNK_BYTES)];
  #chunk = 0;
  #from = 0;
  #at = 0;
  #done: Uint8Array[] = [];
  /** Bytes gathered so far. */
  bytes = 0;

  /** Adds raw bytes. */
  put(piece: Uint8Array): void {
    this.bytes += piece.length;
    if (piece.length >= PASS_BYTES) {
      this.#cut();
      this.#done.push(piece);
      return;
    }
    this.#reserve(piece.length).set(piece, this.#at);
    this.#at += piece.length;
  }

  /** Adds a record. */
  record(salt: Salt, head: RecordHead, meta: Uint8Array, pieces: readonly Uint8Array[]): void {
    const bytes = HEAD_BYTES + head.id.length + meta.length;
    const into = this.#reserve(bytes);
    this.#at = writeHead(into, this.#at, salt, head, meta);
    this.bytes += bytes;
    for (const piece of pieces) this.put(piece);
  }

  /** What was gathered, in order; valid until the next `reset`. */
  buffers(): readonly Uint8Array[] {
    this.#cut();
    return this.#done;
  }

  reset(): void {
    this.#chunks = this.#chunks.filter((chunk) => chunk.length === CHUNK_BYTES).slice(0, KEPT_CHUNKS);
    if (this.#chunks.length === 0) this.#chunks.push(Buffer.allocUnsafe(CHUNK_BYTES));
    this.#chunk = 0;
    this.#from = 0;
    this.#at = 0;
    this.#done = [];
    this.bytes = 0;
  }

  #cut(): void {
    if (this.#at > this.#from) this.#done.push(this.#chunks[this.#chunk]!.subarray(this.#from, this.#at));
    this.#from = this.#at;
  }

  /** The chunk with room for `bytes` at the current position. */
  #reserve(bytes: number): Buffer {
    const current = this.#chunks[this.#chunk]!;
    if (this.#at + bytes <= current.length) return current;
    this.#cut();
    this.#chunk++;
    const next = this.#chunks[this.#chunk];
    if (next === undefined || next.length < bytes) {
      this.#chunks.splice(this.#chunk, 0, Buffer.allocUnsafe(Math.max(CHUNK_BYTES, bytes)));
    }
    this.#from = 0;
    this.#at = 0;
    return this.#chunks[this.#chunk]!;
  }
}

/** Length and checksum of a body in pieces. */
export function measure(pieces: readonly Uint8Array[]): { bodyLength: number; bodyCrc: number } {
  let bodyLength = 0;
  let bodyCrc = 0;
  for (const piece of pieces) {
    bodyLength += piece.length;
    bodyCrc = crc32(piece, bodyCrc);
  }
  return { bodyLength, bodyCrc };
}
