/** DELE (RFC 1939 §5): marks; nothing is deleted before QUIT. */
import type { Conversation, TransactionState } from '../conversation.ts';
import { ok, type Outcome } from '../outcome.ts';

export function dele(_c: Conversation, state: TransactionState, index: number): Outcome {
  state.marks.add(index);
  return ok(`Message ${index + 1} deleted`);
}
