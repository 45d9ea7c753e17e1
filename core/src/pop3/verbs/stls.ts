/** STLS (RFC 2595 §4): TLS from here on. What the client sent before is forgotten, what it sent ahead thrown away. */
import type { AuthorizationState, Conversation } from '../conversation.ts';
import { ok, refuse, type Outcome } from '../outcome.ts';

export function stls(c: Conversation, _state: AuthorizationState): Outcome {
  if (c.facts.tls !== undefined) return refuse('TLS is on already');
  if (!c.profile.starttls) return refuse('No TLS here');
  return ok('Begin TLS', { state: { at: 'authorization' }, after: 'startTls' });
}
