/**
 * Where a message lies and what is known of it: one entry for each message, in memory while it is new, in Level later.
 * The Level value has a checksum of its own that covers the id, so that a damaged one is seen and never followed.
 */
import { crc32 } from 'node:zlib';
import { recordBytes } from './record.ts';

export interface Entry {
  readonly id: string;
  /** Place of the MESSAGE record. */
  segment: number;
  offset: number;
  readonly bodyLength: number;
  readonly bodyCrc: number;
  /** Range of the file `bodies/<id>` behind the body in the log; 0 and 0 without one. */
  readonly fileFrom: number;
  readonly fileTo: number;
  /** JSON. */
  readonly envelope: Buffer;
  /** JSON; undefined until the first settle. */
  state: Buffer | undefined;
  /** Level has it, or may have it: a removal must be told to Level. */
  indexed: boolean;
  /** It was removed; for those who hold it over a wait. */
  removed: boolean;
  /** Counts changes, so that a checkpoint notices one that happened while it was written. */
  changes: number;
}

const FIXED_BYTES = 52;
const VALUE_VERSION = 1;

/** Bytes of the record in its segment. */
export function bytesOf(entry: Entry): number {
  return recordBytes(entry.id.length, entry.envelope.length, entry.bodyLength);
}

/** Whether the body has a part in a file of its own. */
export function hasFile(entry: Entry): boolean {
  return entry.fileTo > entry.fileFrom;
}

/** The entry as a Level value. */
export function encodeEntry(entry: Entry): Buffer {
  const state = entry.state;
  const value = Buffer.allocUnsafe(FIXED_BYTES + entry.envelope.length + (state?.length ?? 0));
  value.writeUInt32LE(VALUE_VERSION, 4);
  value.writeUInt32LE(entry.segment, 8);
  value.writeDoubleLE(entry.offset, 12);
  value.writeUInt32LE(entry.bodyLength, 20);
  value.writeUInt32LE(entry.bodyCrc, 24);
  value.writeDoubleLE(entry.fileFrom, 28);
  value.writeDoubleLE(entry.fileTo, 36);
  value.writeUInt32LE(entry.envelope.length, 44);
  value.writeUInt32LE(state?.length ?? 0, 48);
  value.set(entry.envelope, FIXED_BYTES);
  if (state !== undefined) value.set(state, FIXED_BYTES + entry.envelope.length);
  value.writeUInt32LE(crc32(value.subarray(4), crc32(entry.id)), 0);
  return value;
}

/** The entry of a Level value, or in a word what is wrong with it. */
export function decodeEntry(id: string, value: Buffer): Entry | string {
  if (value.length < FIXED_BYTES) return 'the value is cut off';
  if (value.readUInt32LE(0) !== crc32(value.subarray(4), crc32(id))) return 'the checksum is wrong';
  if (value.readUInt32LE(4) !== VALUE_VERSION) return `version ${value.readUInt32LE(4)} is not known`;
  const envelopeEnd = FIXED_BYTES + value.readUInt32LE(44);
  const stateLength = value.readUInt32LE(48);
  if (envelopeEnd + stateLength !== value.length) return 'the lengths cannot be';
  return {
    id,
    segment: value.readUInt32LE(8),
    offset: value.readDoubleLE(12),
    bodyLength: value.readUInt32LE(20),
    bodyCrc: value.readUInt32LE(24),
    fileFrom: value.readDoubleLE(28),
    fileTo: value.readDoubleLE(36),
    envelope: value.subarray(FIXED_BYTES, envelopeEnd),
    state: stateLength === 0 ? undefined : value.subarray(envelopeEnd),
    indexed: true,
    removed: false,
    changes: 0,
  };
}
