/** USER (RFC 1939 §7): remembers the name. Says nothing about who exists. */
import type { AuthorizationState, Conversation } from '../conversation.ts';
import { ok, type Outcome } from '../outcome.ts';

export function user(c: Conversation, _state: AuthorizationState, name: string): Outcome {
  return ok(c.texts.sendPassword, { state: { at: 'authorization', name } });
}
