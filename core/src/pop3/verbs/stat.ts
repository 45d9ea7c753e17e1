/** STAT (RFC 1939 §5): how many messages not marked as deleted, and their octets. */
import type { Conversation, TransactionState } from '../conversation.ts';
import { ok, type Outcome } from '../outcome.ts';

export function stat(_c: Conversation, { drop, marks }: TransactionState): Outcome {
  let sizeBytes = 0;
  for (const message of drop.messages) sizeBytes += message.sizeBytes;
  for (const index of marks) sizeBytes -= drop.messages[index]?.sizeBytes ?? 0;
  return ok(`${drop.messages.length - marks.size} ${sizeBytes}`);
}
