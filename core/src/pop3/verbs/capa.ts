/** CAPA (RFC 2449 §5): what this session can do now. Ways to log in are named only where a password may be sent. */
import { usableMechanisms } from '../../auth/sasl.ts';
import type { Conversation } from '../conversation.ts';
import { ok, type Outcome } from '../outcome.ts';
import { saslContextOf } from './auth.ts';
import { userIsUsable } from './user.ts';

export function capa(c: Conversation): Outcome {
  const { starttls, requireTls, loginDelayMs } = c.profile;
  const secure = c.tls !== undefined;
  const lines = ['TOP', 'UIDL', 'RESP-CODES', 'AUTH-RESP-CODE', 'PIPELINING', `EXPIRE ${expire(c)}`];
  if (loginDelayMs > 0) lines.push(`LOGIN-DELAY ${Math.ceil(loginDelayMs / 1000)}`);
  if (secure || !requireTls) lines.push('UTF8 USER', 'LANG');
  if (userIsUsable(c)) lines.push('USER');
  const mechanisms = usableMechanisms(saslContextOf(c));
  if (mechanisms.length > 0) lines.push(`SASL ${mechanisms.join(' ')}`);
  if (starttls && !secure && !c.utf8 && c.state.at === 'authorization') lines.push('STLS');
  lines.push('IMPLEMENTATION Posthorn', '.', '');
  return ok(c.texts.capabilities, { body: [Buffer.from(lines.join('\r\n'), 'latin1')] });
}

/** RFC 2449 §6.7: before the login the least that anybody has, and USER where it is not the same for all. */
function expire({ state, ports: { retention } }: Conversation): string {
  const days = state.at === 'transaction' ? retention.daysOf(state.user) : retention.leastDays;
  const differs = state.at !== 'transaction' && !retention.sameForAll;
  return `${days ?? 'NEVER'}${differs ? ' USER' : ''}`;
}
