/**
 * The queue owner's end of acceptance: turns what session threads hand over into messages for the committer and sends
 * the answers of each group back to the thread that waits for them.
 */
import type { SlabTable } from '@posthorn/core/mail/message-bytes';
import type { QueuedMessage } from '@posthorn/core/queue/queue';
import type { StoreError } from '@posthorn/core/queue/store';
import type { AcceptAnswer, AcceptRequest, ToSessionThread } from '../ipc.ts';

/** Stores a batch whole or not at all; `failure` is undefined when it is on disk. */
export type AcceptBatch = (messages: readonly QueuedMessage[], done: (failure: StoreError | undefined) => void) => void;

/** @returns what to call with each batch that comes in from a session thread. */
export function createAcceptor(slabs: SlabTable, accept: AcceptBatch) {
  return (batch: readonly AcceptRequest[], answer: (message: ToSessionThread) => void): void => {
    accept(
      batch.map((request) => messageOf(request, slabs)),
      (failure) => answer({ to: 'thread.accepted', answers: batch.map((request) => answerOf(request.token, failure)) }),
    );
  };
}

function messageOf(request: AcceptRequest, slabs: SlabTable): QueuedMessage {
  const pieces: Uint8Array[] = [];
  if (request.prepend.length > 0) pieces.push(Buffer.from(request.prepend, 'latin1'));
  for (let i = 0; i < request.ranges.length; i += 2) {
    pieces.push(slabs.view({ slab: request.slab, offset: request.ranges[i]!, length: request.ranges[i + 1]! }));
  }
  return {
    id: request.id,
    envelope: Buffer.from(request.envelope),
    pieces,
    ...(request.priority === undefined ? {} : { priority: request.priority }),
    ...(request.holdUntilMs === undefined ? {} : { holdUntilMs: request.holdUntilMs }),
    ...(request.deliverByMs === undefined ? {} : { deliverByMs: request.deliverByMs }),
    ...(request.file === undefined ? {} : { file: request.file }),
  };
}

function answerOf(token: number, failure: StoreError | undefined): AcceptAnswer {
  if (failure === undefined) return { token };
  const full = failure.code === 'PH_STORE_FULL' || failure.code === 'PH_STORE_BUSY';
  return { token, refused: { why: full ? 'full' : 'failed', cause: failure.message } };
}
