/** AUTH PLAIN (RFC 5034, RFC 4616), with the response in the same line or in the next one; `*` gives up. */
import { decodePlain } from '../../auth/sasl-plain.ts';
import type { AuthorizationState, Conversation } from '../conversation.ts';
import { loginRefusedInClear, logIn, mayLogIn } from '../login.ts';
import { refuse, type Outcome } from '../outcome.ts';

export function auth(c: Conversation, _state: AuthorizationState, argument: string): Outcome | Promise<Outcome> {
  const [mechanism = '', response, ...more] = argument.split(' ');
  if (mechanism.toUpperCase() !== 'PLAIN') return refuse('Only AUTH PLAIN is known here');
  if (more.length > 0) return refuse('Give the mechanism and at most one response');
  if (!mayLogIn(c.profile, c.facts.tls !== undefined, c.facts.clientAddress)) return loginRefusedInClear(c.profile);
  if (response !== undefined) return answer(c, response);
  return { line: '+ \r\n', fault: false, next: (line) => answer(c, line) };
}

function answer(c: Conversation, response: string): Outcome | Promise<Outcome> {
  if (response === '*') return refuse('AUTH given up');
  const credentials = decodePlain(response);
  if (credentials === undefined) return refuse('The response is not what PLAIN wants');
  return logIn(c, credentials.name, credentials.password, 'PLAIN');
}
