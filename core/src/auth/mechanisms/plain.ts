/** SASL PLAIN (RFC 4616): `[authzid] NUL authcid NUL password`. Nobody logs in to be somebody else. */
import { clientFirst, malformed, stepOf, textOf } from '../sasl-text.ts';
import type { SaslMechanism } from '../sasl.ts';

export interface PlainCredentials {
  readonly name: string;
  readonly password: string;
}

const MAX_FIELD_BYTES = 255;

export const plain: SaslMechanism = {
  name: 'PLAIN',
  usable: ({ authenticator, takesPassword }) => takesPassword && authenticator.forms.password,
  start: ({ authenticator, clientAddress }, initial) =>
    clientFirst(initial, async (response) => {
      const credentials = readPlain(response);
      if (credentials === undefined) return malformed('not what PLAIN wants');
      const { name, password } = credentials;
      return stepOf(await authenticator.check(name, password, clientAddress), name);
    }),
};

/** @returns undefined when it is not UTF-8, not three fields, a field is too long, or somebody wants to act as another user. */
export function readPlain(response: Uint8Array): PlainCredentials | undefined {
  const fields = textOf(response)?.split('\0');
  if (fields?.length !== 3) return undefined;
  const [actAs = '', name = '', password = ''] = fields;
  if (name === '' || password === '' || (actAs !== '' && actAs !== name)) return undefined;
  if (Buffer.byteLength(name) > MAX_FIELD_BYTES || Buffer.byteLength(password) > MAX_FIELD_BYTES) return undefined;
  return { name, password };
}
