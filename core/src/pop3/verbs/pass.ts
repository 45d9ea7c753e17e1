/** PASS (RFC 1939 §7): everything behind the verb is the password, spaces too. Only after USER; each try needs its own. */
import type { AuthorizationState, Conversation } from '../conversation.ts';
import { loginRefusedInClear, logIn, mayLogIn } from '../login.ts';
import { refuse, type Outcome } from '../outcome.ts';

export async function pass(c: Conversation, state: AuthorizationState, password: string): Promise<Outcome> {
  if (!mayLogIn(c.profile, c.facts.tls !== undefined, c.facts.clientAddress)) return loginRefusedInClear(c.profile);
  if (state.name === undefined) return refuse('USER comes first');
  const outcome = await logIn(c, state.name, password, 'USER');
  return outcome.state === undefined ? { ...outcome, state: { at: 'authorization' } } : outcome;
}
