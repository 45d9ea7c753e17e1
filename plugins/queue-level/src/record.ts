/**
 * The bytes of a record in a segment. Written by log.ts, read back by scan.ts after a crash.
 *
 *   0  salt of the segment, 8 random bytes        20  from, 28 to: range of the body file, doubles, 0 and 0 without one
 *   8  type, 9 version, 10 length of the id       36  CRC-32 of the body in the log
 *  12  length of the meta part (envelope, state)  40  CRC-32 of bytes 8 to 40, the id and the meta part
 *  16  length of the body in the log              44  id, meta part, body
 *
 * All numbers are little-endian. The salt is what a reader looks for to find the next record behind damage. It never
 * leaves the machine, so no message can bring a record of its own making; and records that an earlier use of a recycled
 * file left behind have another salt.
 */
import { crc32 } from 'node:zlib';

export const RECORD_VERSION = 1;
export const HEAD_BYTES = 44;
export const MAX_ID_BYTES = 64;
export const MAX_META_BYTES = 64 * 1024 * 1024;
const CRC_FROM = 8;
const CRC_AT = 40;

export const MESSAGE = 1;
export const SETTLE = 2;
export const REMOVE = 3;
export type RecordType = typeof MESSAGE | typeof SETTLE | typeof REMOVE;

/** Eight random bytes as two numbers, which is the fastest to write and to compare. */
export interface Salt {
  readonly low: number;
  readonly high: number;
}

export interface RecordHead {
  readonly type: RecordType;
  readonly id: string;
  readonly metaLength: number;
  readonly bodyLength: number;
  readonly bodyCrc: number;
  readonly fileFrom: number;
  readonly fileTo: number;
}

/** Length of a whole record. Ids are ASCII, so their length in bytes is that in characters. */
export function recordBytes(idLength: number, metaLength: number, bodyLength: number): number {
  return HEAD_BYTES + idLength + metaLength + bodyLength;
}

/** Writes head, id and meta part into `into` at `at`; the body is the caller's. @returns the position behind */
export function writeHead(into: Buffer, at: number, salt: Salt, head: RecordHead, meta: Uint8Array): number {
  into.writeUInt32LE(salt.low, at);
  into.writeUInt32LE(salt.high, at + 4);
  into[at + 8] = head.type;
  into[at + 9] = RECORD_VERSION;
  into.writeUInt16LE(head.id.length, at + 10);
  into.writeUInt32LE(head.metaLength, at + 12);
  into.writeUInt32LE(head.bodyLength, at + 16);
  into.writeDoubleLE(head.fileFrom, at + 20);
  into.writeDoubleLE(head.fileTo, at + 28);
  into.writeUInt32LE(head.bodyCrc, at + 36);
  const metaAt = at + HEAD_BYTES + into.write(head.id, at + HEAD_BYTES, 'latin1');
  into.set(meta, metaAt);
  const end = metaAt + meta.length;
  let crc = crc32(into.subarray(at + CRC_FROM, at + CRC_AT));
  crc = crc32(into.subarray(at + HEAD_BYTES, end), crc);
  into.writeUInt32LE(crc, at + CRC_AT);
  return end;
}

/** The salt as it stands in a record. */
export function saltBytes(salt: Salt): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeUInt32LE(salt.low, 0);
  bytes.writeUInt32LE(salt.high, 4);
  return bytes;
}

/** Whether a record of this segment may begin here. */
function hasSalt(bytes: Buffer, at: number, salt: Salt): boolean {
  return at + 8 <= bytes.length && bytes.readUInt32LE(at) === salt.low && bytes.readUInt32LE(at + 4) === salt.high;
}

/**
 * Whether a record of this segment was begun here, its salt damaged or not. Half of the salt has to be there: what an
 * earlier use of the file left behind has it once in 60 million, the zeros of a fresh file have it as seldom.
 */
export function wasBegun(bytes: Buffer, at: number, salt: Salt): boolean {
  if (at + 8 > bytes.length) return false;
  const wanted = saltBytes(salt);
  let same = 0;
  for (let index = 0; index < wanted.length; index++) if (bytes[at + index] === wanted[index]) same++;
  return same * 2 >= wanted.length;
}

/**
 * Reads and checks the head of a record, its id and its meta part, but not the body.
 * @returns the head, or in a word what is wrong with it
 */
export function readHead(bytes: Buffer, at: number, salt: Salt): RecordHead | string {
  if (at + HEAD_BYTES > bytes.length) return 'the head is cut off';
  if (!hasSalt(bytes, at, salt)) return 'no record begins here';
  const type = bytes[at + 8]!;
  const idLength = bytes.readUInt16LE(at + 10);
  const metaLength = bytes.readUInt32LE(at + 12);
  const metaAt = at + HEAD_BYTES + idLength;
  if (idLength < 1 || idLength > MAX_ID_BYTES || metaLength > MAX_META_BYTES) return 'the lengths cannot be';
  if (metaAt + metaLength > bytes.length) return 'the record is cut off';
  let crc = crc32(bytes.subarray(at + CRC_FROM, at + CRC_AT));
  crc = crc32(bytes.subarray(at + HEAD_BYTES, metaAt + metaLength), crc);
  if (crc !== bytes.readUInt32LE(at + CRC_AT)) return 'the checksum of the head or the envelope is wrong';
  if (bytes[at + 9] !== RECORD_VERSION) return `version ${bytes[at + 9]} is not known`;
  if (type !== MESSAGE && type !== SETTLE && type !== REMOVE) return `type ${type} is not known`;
  return {
    type,
    id: bytes.toString('latin1', at + HEAD_BYTES, metaAt),
    metaLength,
    bodyLength: bytes.readUInt32LE(at + 16),
    bodyCrc: bytes.readUInt32LE(at + 36),
    fileFrom: bytes.readDoubleLE(at + 20),
    fileTo: bytes.readDoubleLE(at + 28),
  };
}
