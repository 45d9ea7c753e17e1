/** STAT (RFC 1939 §5): how many messages not marked as deleted, and their octets. */
import type { Conversation, TransactionState } from '../conversation.ts';
import { ok, type Outcome } from '../outcome.ts';
import { totalFor } from '../sizes.ts';

export function stat(c: Conversation, { drop, marks }: TransactionState): Outcome {
  return ok(`${drop.messages.length - marks.size} ${totalFor(c, drop, marks)}`);
}
