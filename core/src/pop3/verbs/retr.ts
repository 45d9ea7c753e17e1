/** RETR (RFC 1939 §5): the whole message. Small ones in one piece, large ones as they are read. */
import type { Conversation, TransactionState } from '../conversation.ts';
import { sendMessage } from '../message-body.ts';
import { ok, type Outcome } from '../outcome.ts';

export function retr(c: Conversation, state: TransactionState, index: number): Outcome | Promise<Outcome> {
  return sendMessage(c, state, index, undefined, (sizeBytes) => {
    c.tally.retrieved++;
    c.tally.retrievedBytes += sizeBytes;
    c.ports.counters.add('pop3.retrieved');
    return ok(c.texts.octets(sizeBytes));
  });
}
