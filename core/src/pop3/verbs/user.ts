/** USER (RFC 1939 §7): remembers the name. Says nothing about who exists. */
import type { AuthorizationState, Conversation } from '../conversation.ts';
import { loginRefusedInClear, mayLogIn } from '../login.ts';
import { ok, type Outcome } from '../outcome.ts';

export function user(c: Conversation, _state: AuthorizationState, name: string): Outcome {
  if (!mayLogIn(c.profile, c.facts.tls !== undefined, c.facts.clientAddress)) return loginRefusedInClear(c.profile);
  return ok('Send PASS', { state: { at: 'authorization', name } });
}
