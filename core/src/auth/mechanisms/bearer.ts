/**
 * OAUTHBEARER (RFC 7628) and XOAUTH2 (Google's, which came before it): a token that an identity provider gave the client.
 * Only under TLS (RFC 7628 §5). A token that is refused gets a challenge that says so in JSON, which the client answers
 * with nothing worth reading, and only then the failure (§3.2.2, §3.2.3).
 */
import { clientFirst, malformed, stepOf, textOf } from '../sasl-text.ts';
import type { SaslContext, SaslMechanism, SaslStep } from '../sasl.ts';

/** Token68 of RFC 7235 §2.1, behind `Bearer` in any case and a blank. */
const AUTHORIZATION = /^bearer +([A-Za-z0-9._~+/-]+=*)$/i;
const MAX_NAME_BYTES = 255;

interface Shown {
  readonly token: string;
  readonly name: string | undefined;
}

export const oauthBearer = bearer('OAUTHBEARER', readOauthBearer, () => JSON.stringify({ status: 'invalid_token' }));
export const xoauth2 = bearer('XOAUTH2', readXoauth2, () => JSON.stringify({ status: '401', schemes: 'bearer' }));

function bearer(name: string, read: (text: string) => Shown | undefined, refusal: () => string): SaslMechanism {
  return {
    name,
    usable: ({ authenticator, tls }) => tls !== undefined && authenticator.forms.bearer,
    start: (context, initial) =>
      clientFirst(initial, async (response) => {
        const shown = read(textOf(response) ?? '');
        if (shown === undefined || Buffer.byteLength(shown.name ?? '') > MAX_NAME_BYTES)
          return malformed(`not what ${name} wants`);
        return await checked(context, shown, refusal);
      }),
  };
}

async function checked({ authenticator, clientAddress }: SaslContext, shown: Shown, refusal: () => string): Promise<SaslStep> {
  const step = stepOf(await authenticator.checkBearer(shown.token, shown.name, clientAddress), shown.name ?? '');
  if (step.is !== 'failure' || step.why !== 'credentials') return step;
  return { is: 'challenge', challenge: refusal(), next: () => step };
}

/** `n,a=NAME,^Akey=value^A…^A^A`; of the keys only `auth` is of use here, `host` and `port` are what the client dialled. */
export function readOauthBearer(text: string): Shown | undefined {
  const [, actAs, pairs = ''] =
    /^[ny],(?:a=((?:[^,=\0]|=2C|=3D)+))?,\x01((?:[A-Za-z]+=[\x20-\x7e\t\r\n]*\x01)+)\x01$/.exec(text) ?? [];
  const authorization = /(?:^|\x01)auth=([^\x01]*)\x01/.exec(pairs)?.[1];
  const token = AUTHORIZATION.exec(authorization ?? '')?.[1];
  if (token === undefined) return undefined;
  return { token, name: actAs?.replaceAll('=2C', ',').replaceAll('=3D', '=') };
}

/** `user=NAME^Aauth=Bearer TOKEN^A^A` */
export function readXoauth2(text: string): Shown | undefined {
  const [, name, authorization = ''] = /^user=([^\x01\0]+)\x01auth=([^\x01]*)\x01\x01$/.exec(text) ?? [];
  const token = AUTHORIZATION.exec(authorization)?.[1];
  return token === undefined || name === undefined ? undefined : { token, name };
}
