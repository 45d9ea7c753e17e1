/** SASL PLAIN (RFC 4616): `[authzid] NUL authcid NUL password`. Nobody logs in to be somebody else. */
import { clientFirst, malformed, stepOf, textOf } from '../sasl-text.ts';
import { saslPrepared } from '../sasl-prep.ts';
import type { SaslMechanism } from '../sasl.ts';

export interface PlainCredentials {
  /** Authorization identity, by SASLprep; empty: the user of the name. */
  readonly actAs: string;
  /** By SASLprep. */
  readonly name: string;
  /** As it was typed. */
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
      const { actAs, name, password } = credentials;
      return stepOf(await authenticator.check(name, password, clientAddress, actAs === '' ? undefined : actAs), name);
    }),
};

/** @returns undefined when it is not UTF-8, not three fields, or a field is too long. */
export function readPlain(response: Uint8Array): PlainCredentials | undefined {
  const fields = textOf(response)?.split('\0');
  if (fields?.length !== 3) return undefined;
  const [actAs, name, password = ''] = [saslPrepared(fields[0]!), saslPrepared(fields[1]!), fields[2]];
  if (name === '' || password === '') return undefined;
  if (fields.some((field) => Buffer.byteLength(field) > MAX_FIELD_BYTES)) return undefined;
  return { actAs, name, password };
}
