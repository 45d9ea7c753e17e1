/** CAPA (RFC 2449 §5): what this session can do now. Ways to log in are named only where a password may be sent. */
import { usableMechanisms } from '../../auth/sasl.ts';
import type { AuthorizationState, Conversation, TransactionState } from '../conversation.ts';
import { mayLogIn } from '../login.ts';
import { ok, type Outcome } from '../outcome.ts';
import { saslContextOf } from './auth.ts';

export function capa(c: Conversation, state: AuthorizationState | TransactionState): Outcome {
  const secure = c.facts.tls !== undefined;
  const lines = ['TOP', 'UIDL', 'RESP-CODES', 'AUTH-RESP-CODE', 'PIPELINING', 'EXPIRE NEVER'];
  if (mayLogIn(c.profile, secure, c.facts.clientAddress)) lines.push('USER');
  const mechanisms = usableMechanisms(saslContextOf(c));
  if (mechanisms.length > 0) lines.push(`SASL ${mechanisms.join(' ')}`);
  if (c.profile.starttls && !secure && state.at === 'authorization') lines.push('STLS');
  lines.push('IMPLEMENTATION Posthorn', '.', '');
  return ok('What this server can do', { body: [Buffer.from(lines.join('\r\n'), 'latin1')] });
}
