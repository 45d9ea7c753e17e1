/** LIST (RFC 1939 §5): sizes as RETR sends them, of one message or of all. */
import type { Conversation, TransactionState } from '../conversation.ts';
import { listing } from '../listing.ts';
import { ok, type Outcome } from '../outcome.ts';
import { sizeFor } from '../sizes.ts';

export function list(c: Conversation, state: TransactionState, index: number | undefined): Outcome {
  if (index !== undefined) return ok(`${index + 1} ${sizeFor(c, state.drop.messages[index]!)}`);
  return ok(
    c.texts.messages(state.drop.messages.length - state.marks.size),
    listing(state, (message) => String(sizeFor(c, message))),
  );
}
