/** What the store is asked to write, as records for the log. Called by the store. */
import { type DeliveryState, type NewMessage, StoreError } from '@posthorn/sdk';
import type { Entry } from './entry.ts';
import type { Draft } from './log.ts';
import { MAX_META_BYTES, MESSAGE, REMOVE, SETTLE } from './record.ts';
import { measure } from './stage.ts';

const ID = /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/;
const MAX_BODY_BYTES = 0xffff_ffff;
const EMPTY = new Uint8Array(0);
const NOTHING = { bodyLength: 0, bodyCrc: 0, fileFrom: 0, fileTo: 0 };

/** @throws StoreError for what cannot be stored at all */
export function draftMessage(message: NewMessage): Draft {
  const { id, envelope, pieces, file } = message;
  if (!ID.test(id)) throw new StoreError('PH_STORE_FAILED', `not an id: ${JSON.stringify(id)}`);
  const body = measure(pieces);
  if (envelope.length > MAX_META_BYTES || body.bodyLength > MAX_BODY_BYTES) {
    throw new StoreError('PH_STORE_FAILED', `message ${id}: envelope or body in memory is too large`);
  }
  const head = {
    type: MESSAGE,
    id,
    metaLength: envelope.length,
    ...body,
    fileFrom: file?.from ?? 0,
    fileTo: file?.to ?? 0,
  } as const;
  return { head, meta: envelope, pieces };
}

export function draftSettle(id: string, state: Uint8Array): Draft {
  return { head: { type: SETTLE, id, metaLength: state.length, ...NOTHING }, meta: state, pieces: [] };
}

export function draftRemove(id: string): Draft {
  return { head: { type: REMOVE, id, metaLength: 0, ...NOTHING }, meta: EMPTY, pieces: [] };
}

/** The entry of a message that was written at this place. Its envelope is copied: the caller's may be used again. */
export function entryAt({ head, meta }: Draft, segment: number, offset: number): Entry {
  const { id, bodyLength, bodyCrc, fileFrom, fileTo } = head;
  const status = { state: undefined, indexed: false, removed: false, changes: 0 };
  return { id, segment, offset, bodyLength, bodyCrc, fileFrom, fileTo, envelope: Buffer.from(meta), ...status };
}

export function encodeState(state: DeliveryState): Buffer {
  return Buffer.from(JSON.stringify(state));
}
