/**
 * MessageBytes whose place is known, so that they can be read on any thread: in shared memory, or in a spool file with
 * the header section kept in memory. Made by message-writer.ts when a message is sealed, and by `openMessage` from the
 * place on a thread that reads. Nothing here owns memory or file: the writer does, and gives them back.
 */
import { open } from 'node:fs/promises';
import type { BytesPlace, MessageBytes, SlabTable } from './message-bytes.ts';

/** One reused buffer of this size for each reader of a file. */
export const READ_CHUNK_BYTES = 64 * 1024;
const HEADER_END = Buffer.from('\r\n\r\n');

export interface PlacedBytes extends MessageBytes {
  readonly place: BytesPlace;
}

/**
 * Where the header section ends: behind its closing empty line. A message that begins with a blank has none: its first line
 * would go on with whatever field is put before it.
 * @returns `bytes.length` when there is no empty line (then all of it is header, RFC 5322 §3.5).
 */
export function headerLength(bytes: Uint8Array): number {
  if (bytes[0] === 32 || bytes[0] === 9) return 0;
  if (bytes[0] === 13 && bytes[1] === 10) return 2;
  const at = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).indexOf(HEADER_END);
  return at < 0 ? bytes.length : at + HEADER_END.length;
}

/** A message that lies in memory as one piece; `place` says where, if it is shared memory. */
export class MemoryBytes<Place extends BytesPlace | undefined = BytesPlace | undefined> implements MessageBytes {
  readonly whole: Uint8Array;
  readonly place: Place;
  #header: Uint8Array | undefined;

  constructor(whole: Uint8Array, place: Place) {
    this.whole = whole;
    this.place = place;
  }

  get sizeBytes(): number {
    return this.whole.length;
  }

  get header(): Uint8Array {
    this.#header ??= this.whole.subarray(0, headerLength(this.whole));
    return this.#header;
  }

  async *chunks(): AsyncIterableIterator<Uint8Array> {
    yield this.whole;
  }
}

/** A message in a spool file. `chunks` throws the file system's error when it cannot be read. */
export class FileBytes implements PlacedBytes {
  readonly place: BytesPlace & { readonly in: 'file' };
  readonly whole = undefined;
  readonly header: Uint8Array;

  constructor(place: BytesPlace & { readonly in: 'file' }, header: Uint8Array) {
    this.place = place;
    this.header = header;
  }

  get sizeBytes(): number {
    return this.place.sizeBytes;
  }

  async *chunks(): AsyncIterableIterator<Uint8Array> {
    const file = await open(this.place.path, 'r');
    try {
      const buffer = new Uint8Array(READ_CHUNK_BYTES);
      for (let at = 0; at < this.place.sizeBytes;) {
        const { bytesRead } = await file.read(buffer, 0, Math.min(buffer.length, this.place.sizeBytes - at), at);
        if (bytesRead === 0) throw new Error(`spool file ends at ${at} of ${this.place.sizeBytes} bytes`);
        at += bytesRead;
        yield buffer.subarray(0, bytesRead);
      }
    } finally {
      await file.close();
    }
  }
}

/**
 * Opens a message on the reading side.
 * @throws Error when the slab is not known on this thread.
 */
export function openMessage(place: BytesPlace, slabs: SlabTable): MessageBytes {
  if (place.in === 'file') return new FileBytes(place, slabs.view(place.head));
  return new MemoryBytes(slabs.view(place.range), place);
}

/** Where these bytes lie; undefined when they are in plain memory that no other thread sees. */
export function placeOf(bytes: MessageBytes): BytesPlace | undefined {
  return bytes instanceof MemoryBytes || bytes instanceof FileBytes ? bytes.place : undefined;
}
