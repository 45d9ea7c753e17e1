/** SASL LOGIN (never an RFC; draft-murchison-sasl-login): a name, then a password, each asked for in the words every client expects. */
import { malformed, stepOf, textOf } from '../sasl-text.ts';
import { saslPrepared } from '../sasl-prep.ts';
import type { SaslContext, SaslMechanism, SaslStep } from '../sasl.ts';

/** As for PLAIN. */
const MAX_BYTES = 255;

export const login: SaslMechanism = {
  name: 'LOGIN',
  usable: ({ authenticator, takesPassword }) => takesPassword && authenticator.forms.password,
  // The server speaks first, but many clients send the name with the command, and Exchange has always taken it.
  start: (context, initial) =>
    initial === undefined
      ? { is: 'challenge', challenge: 'Username:', next: (response) => named(context, response) }
      : named(context, initial),
};

function named({ authenticator, clientAddress }: SaslContext, response: Buffer): SaslStep {
  const written = fieldOf(response);
  if (written === undefined) return malformed('not a name');
  const name = saslPrepared(written);
  return {
    is: 'challenge',
    challenge: 'Password:',
    next: async (line) => {
      const password = fieldOf(line);
      if (password === undefined) return malformed('not a password', name);
      // No user has an empty name or password; the authenticator need not be asked.
      if (name === '' || password === '') return { is: 'failure', why: 'credentials', name, cause: 'empty' };
      return stepOf(await authenticator.check(name, password, clientAddress), name);
    },
  };
}

function fieldOf(response: Buffer): string | undefined {
  return response.length > MAX_BYTES || response.includes(0) ? undefined : textOf(response);
}
