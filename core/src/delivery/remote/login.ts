/** SASL PLAIN (RFC 4616) and LOGIN as the client says them, for smart hosts. The caller made sure of the connection. */
import type { Credentials } from '../route.ts';

const base64 = (text: string): string => Buffer.from(text, 'utf8').toString('base64');

/**
 * The lines to send: the AUTH command, then one for each 334.
 * @returns nothing to send when the server offers neither mechanism
 */
export function* loginSteps({ user, secret }: Credentials, offered: readonly string[]): Iterator<string, void> {
  if (offered.includes('PLAIN')) {
    yield `AUTH PLAIN ${base64(`\0${user}\0${secret}`)}`;
  } else if (offered.includes('LOGIN')) {
    yield 'AUTH LOGIN';
    yield base64(user);
    yield base64(secret);
  }
}
