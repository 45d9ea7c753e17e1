/** DELE (RFC 1939 §5): marks; nothing is deleted before QUIT. */
import type { Conversation, TransactionState } from '../conversation.ts';
import { ok, type Outcome } from '../outcome.ts';

export function dele(c: Conversation, state: TransactionState, index: number): Outcome {
  state.marks.add(index);
  return ok(c.texts.deleted(index + 1));
}
