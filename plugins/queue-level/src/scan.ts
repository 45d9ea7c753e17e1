/**
 * Reads the records of a segment in order, and finds its way behind damage. Called by recover.ts and compact.ts with the
 * bytes of one segment. Pure. Never throws, whatever the bytes: what is no record is passed over up to the next one and
 * told with its reason; what follows the last record is the tail.
 */
import { crc32 } from 'node:zlib';
import { HEAD_BYTES, readHead, type RecordHead, recordBytes, type Salt, saltBytes, wasBegun } from './record.ts';

export type Scanned =
  /** Offsets are within the bytes given. */
  | { readonly kind: 'record'; readonly head: RecordHead; readonly at: number; readonly meta: Buffer; readonly body: Buffer }
  | { readonly kind: 'damaged'; readonly from: number; readonly to: number; readonly reason: string }
  /** Where the next record may be written, and whether something was begun there: a torn or damaged last record. */
  | { readonly kind: 'tail'; readonly at: number; readonly begun: boolean; readonly reason: string };

function readRecord(bytes: Buffer, at: number, salt: Salt): Extract<Scanned, { kind: 'record' }> | string {
  const head = readHead(bytes, at, salt);
  if (typeof head === 'string') return head;
  const metaAt = at + HEAD_BYTES + head.id.length;
  const bodyAt = metaAt + head.metaLength;
  if (bodyAt + head.bodyLength > bytes.length) return `the body of message ${head.id} is cut off`;
  const body = bytes.subarray(bodyAt, bodyAt + head.bodyLength);
  if (crc32(body) !== head.bodyCrc) return `the checksum of the body of message ${head.id} is wrong`;
  return { kind: 'record', head, at, meta: bytes.subarray(metaAt, bodyAt), body };
}

/** Yields records and damaged stretches from `from` on, and at last the tail. */
export function* scan(bytes: Buffer, salt: Salt, from: number): Generator<Scanned, void> {
  const wanted = saltBytes(salt);
  let at = from;
  let damagedFrom = -1;
  let reason = '';
  for (;;) {
    const found = readRecord(bytes, at, salt);
    if (typeof found !== 'string') {
      if (damagedFrom >= 0) yield { kind: 'damaged', from: damagedFrom, to: at, reason };
      damagedFrom = -1;
      yield found;
      at += recordBytes(found.head.id.length, found.head.metaLength, found.head.bodyLength);
      continue;
    }
    if (damagedFrom < 0) {
      damagedFrom = at;
      reason = found;
    }
    const next = bytes.indexOf(wanted, at + 1);
    if (next < 0) {
      // Whatever was begun at the first doubtful byte or at a later one was never followed by a whole record.
      const begun = damagedFrom !== at || wasBegun(bytes, damagedFrom, salt);
      yield { kind: 'tail', at: damagedFrom, begun, reason };
      return;
    }
    at = next;
  }
}
