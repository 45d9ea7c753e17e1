/** UIDL (RFC 1939 §7): names that stay the same in every session, of one message or of all. */
import type { Conversation, TransactionState } from '../conversation.ts';
import { listing } from '../listing.ts';
import { ok, type Outcome } from '../outcome.ts';

export function uidl(c: Conversation, state: TransactionState, index: number | undefined): Outcome {
  if (index !== undefined) return ok(`${index + 1} ${state.drop.messages[index]!.uidl}`);
  return ok(
    c.texts.uniqueIds,
    listing(state, (message) => message.uidl),
  );
}
