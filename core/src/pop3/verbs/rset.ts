/** RSET (RFC 1939 §5): takes all marks back. */
import type { Conversation, TransactionState } from '../conversation.ts';
import { ok, type Outcome } from '../outcome.ts';

export function rset(c: Conversation, { drop, marks }: TransactionState): Outcome {
  marks.clear();
  return ok(c.texts.messages(drop.messages.length));
}
