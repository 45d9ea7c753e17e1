/** PASS (RFC 1939 §7): everything behind the verb is the password, spaces too. Only right after USER; each try needs its own. */
import type { AuthorizationState, Conversation } from '../conversation.ts';
import { conclude } from '../login.ts';
import { refuse, type Outcome } from '../outcome.ts';
import { userMayCome } from './user.ts';

export function nameWasGiven(c: Conversation, { name }: AuthorizationState): Outcome | undefined {
  return userMayCome(c) ?? (name === undefined ? refuse(c.texts.userFirst) : undefined);
}

export async function pass(c: Conversation, { name = '' }: AuthorizationState, password: string): Promise<Outcome> {
  const result = await c.ports.authenticator.check(name, password, c.facts.clientAddress);
  return conclude(c, name, result, 'USER');
}
