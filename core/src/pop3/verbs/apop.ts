/**
 * APOP (RFC 1939 §7): the client proves that it knows a secret stored in clear. As old as CRAM-MD5 and as strong, so it
 * goes where that goes: never in clear unless the listener takes logins there, not where `auth.mechanisms` leaves it out.
 */
import { createHash, timingSafeEqual } from 'node:crypto';
import { usableMechanisms } from '../../auth/sasl.ts';
import type { NameAndDigest } from '../argument.ts';
import type { AuthorizationState, Conversation } from '../conversation.ts';
import { conclude } from '../login.ts';
import { refuse, type Outcome } from '../outcome.ts';
import { saslContextOf } from './auth.ts';

export function apopIsUsable(c: Conversation): boolean {
  return usableMechanisms(saslContextOf(c)).includes('CRAM-MD5');
}

export function hasTimestamp(c: Conversation): Outcome | undefined {
  return c.timestamp === undefined ? refuse(c.texts.noTimestamp) : undefined;
}

export async function apop(c: Conversation, _state: AuthorizationState, { name, digest }: NameAndDigest): Promise<Outcome> {
  const shown = Buffer.from(digest, 'hex');
  const matches = (secret: string) => timingSafeEqual(createHash('md5').update(`${c.timestamp}${secret}`).digest(), shown);
  return conclude(c, name, await c.ports.authenticator.checkSecret(name, c.facts.clientAddress, matches), 'APOP');
}
