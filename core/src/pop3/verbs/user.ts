/**
 * USER (RFC 1939 §7): remembers the name. Says nothing about who exists. With PASS it carries a password as PLAIN does, so
 * it goes where that goes: not where `auth.mechanisms` leaves it out.
 */
import { usableMechanisms } from '../../auth/sasl.ts';
import type { AuthorizationState, Conversation } from '../conversation.ts';
import { passwordMayCome } from '../login.ts';
import { ok, refuse, type Outcome } from '../outcome.ts';
import { saslContextOf } from './auth.ts';

export function userIsUsable(c: Conversation): boolean {
  return usableMechanisms(saslContextOf(c)).includes('PLAIN');
}

/** @returns the refusal where it is not. */
export function userMayCome(c: Conversation): Outcome | undefined {
  return passwordMayCome(c) ?? (userIsUsable(c) ? undefined : refuse(c.texts.unknownMechanism));
}

export function user(c: Conversation, _state: AuthorizationState, name: string): Outcome {
  return ok(c.texts.sendPassword, { state: { at: 'authorization', name } });
}
