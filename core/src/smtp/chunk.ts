/**
 * The octets of one BDAT command (RFC 3030 §2). Made by verbs/bdat, fed by the session, which asks for the answer once
 * the last octet is in: a chunk that is refused is read away first, so that nothing of it is ever taken for a command.
 */
import { Reply } from '../wire/reply.ts';
import type { MessageUnderWay } from '../wire/session.ts';
import { acceptMessage } from './acceptance.ts';
import type { Conversation } from './conversation.ts';
import { replyForAll } from './recipient-verdicts.ts';
import type { Reception } from './reception.ts';
import type { Transaction } from './transaction.ts';
import type { Answer } from './verdict.ts';

/** Where the octets go: into the message, or away, with the reply that says why. */
type Fate =
  | { readonly transaction: Transaction; readonly reception: Reception }
  /** Since when, in monotonic milliseconds: what is read away has a deadline and a pace as well. */
  | { readonly refusal: Reply; readonly sinceMs: number };

export class Chunk {
  readonly sizeBytes: number;
  readonly isLast: boolean;
  readonly #fate: Fate;
  #missingBytes: number;

  constructor(sizeBytes: number, isLast: boolean, fate: Fate) {
    this.sizeBytes = sizeBytes;
    this.isLast = isLast;
    this.#fate = fate;
    this.#missingBytes = sizeBytes;
  }

  get ended(): boolean {
    return this.#missingBytes === 0;
  }

  /** What comes in, whatever becomes of it. */
  get underWay(): MessageUnderWay {
    if ('reception' in this.#fate) return this.#fate.reception;
    return { sinceMs: this.#fate.sinceMs, sizeBytes: this.sizeBytes - this.#missingBytes };
  }

  /** The reception whose writer is behind, if it is. */
  get blockedReception(): Reception | undefined {
    return 'reception' in this.#fate && this.#fate.reception.blocked ? this.#fate.reception : undefined;
  }

  /** Does its answer say what became of a message? */
  get endsMessage(): boolean {
    return this.isLast && 'reception' in this.#fate;
  }

  /** Takes what is its own of `chunk[from, to)`. @returns offset of the first byte that is not. */
  take(chunk: Uint8Array, from: number, to: number): number {
    const end = Math.min(to, from + this.#missingBytes);
    this.#missingBytes -= end - from;
    if ('reception' in this.#fate) this.#fate.reception.take(chunk, from, end);
    return end;
  }

  /** All octets are in: what the client is told. A refusal in the middle of a message is kept for its later chunks. */
  answer(conversation: Conversation): Answer {
    conversation.read();
    const fate = this.#fate;
    if ('refusal' in fate) {
      const { transaction } = conversation;
      if (!this.isLast || transaction === undefined) return fate.refusal;
      conversation.endTransaction();
      return replyForAll(transaction, fate.refusal);
    }
    const { transaction, reception } = fate;
    if (this.isLast) {
      reception.finish();
      // From here on the transaction belongs to the end of data alone, which gives it back.
      conversation.transaction = undefined;
      return acceptMessage(conversation, transaction, reception);
    }
    const refusal = reception.refusal();
    if (refusal === undefined) return new Reply(250, '2.0.0', `Ok: ${this.sizeBytes} octets`);
    conversation.logRefusal('message', refusal, {
      reversePath: transaction.reversePath,
      recipients: transaction.recipients.size,
    });
    transaction.refuseChunks(refusal);
    return refusal;
  }
}
