/**
 * The session thread's end of acceptance: hands finished messages to the process's queue owner and waits for the disk.
 * All messages of one turn of the loop travel as one message of a few numbers and texts; their bytes stay in shared
 * memory, which is held until the answer is here.
 */
import type { BytesPlace } from '@posthorn/core/mail/message-bytes';
import type { HeldMessage } from '@posthorn/core/mail/message-writer';
import type { Accepted, MessageSink, MessageWriter, Submission } from '@posthorn/core/smtp/ports';
import type { AcceptAnswer, AcceptRequest, ToServerMain } from '../ipc.ts';

export interface MessageSinkOptions {
  readonly begin: (declaredSizeBytes: number | undefined) => HeldMessage | undefined;
  readonly post: (message: ToServerMain) => void;
}

/** A sink whose answers come in through `answered`. */
export interface ThreadMessageSink extends MessageSink {
  answered(answers: readonly AcceptAnswer[]): void;
}

interface Waiting {
  readonly writer: MessageWriter;
  readonly resolve: (accepted: Accepted) => void;
}

const OK: Accepted = { ok: true };

export function createMessageSink(options: MessageSinkOptions): ThreadMessageSink {
  const waiting = new Map<number, Waiting>();
  let batch: AcceptRequest[] = [];
  let nextToken = 1;

  function send(): void {
    const full = batch;
    batch = [];
    options.post({ to: 'main.accept', batch: full });
  }

  return {
    begin: options.begin,
    accept(submission) {
      // What `begin` made comes back here: the session only passes it through.
      const writer = submission.writer as HeldMessage;
      const place = writer.sealed?.place;
      if (place === undefined) return Promise.resolve({ ok: false, why: 'failed', cause: 'the message was not sealed' });
      const token = nextToken++;
      if (batch.length === 0) setImmediate(send);
      batch.push(requestOf(token, submission, place));
      return new Promise((resolve) => waiting.set(token, { writer, resolve }));
    },
    answered(answers) {
      for (const { token, refused } of answers) {
        const one = waiting.get(token);
        if (one === undefined) continue;
        waiting.delete(token);
        one.writer.drop();
        one.resolve(refused === undefined ? OK : { ok: false, ...refused });
      }
    },
  };
}

/** Turns cuts (what to leave out) into ranges of slab memory to keep, and what follows from the spool file. */
function requestOf(token: number, submission: Submission, place: BytesPlace): AcceptRequest {
  const memory = place.in === 'memory' ? place.range : place.head;
  const cuts = submission.cuts;
  const ranges: number[] = [];
  let kept = 0;
  for (const cut of cuts) {
    if (cut.from > kept) ranges.push(memory.offset + kept, cut.from - kept);
    kept = cut.to;
  }
  if (place.in === 'memory' && kept < memory.length) ranges.push(memory.offset + kept, memory.length - kept);
  return {
    token,
    id: submission.envelope.id,
    envelope: JSON.stringify(submission.envelope),
    priority: submission.envelope.priority,
    holdUntilMs: submission.envelope.hold?.untilMs,
    deliverByMs: submission.envelope.deliverBy?.atMs,
    prepend: Buffer.from(submission.prepend.buffer, submission.prepend.byteOffset, submission.prepend.byteLength).toString(
      'latin1',
    ),
    slab: memory.slab,
    ranges,
    file: place.in === 'file' ? { path: place.path, from: kept, to: place.sizeBytes } : undefined,
  };
}
