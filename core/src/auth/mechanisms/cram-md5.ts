/**
 * CRAM-MD5 (RFC 2195): the client proves that it knows a secret which is stored in clear. For old devices only; usable
 * when a user has such a secret.
 */
import { createHmac, timingSafeEqual } from 'node:crypto';
import { malformed, stepOf, textOf } from '../sasl-text.ts';
import type { SaslMechanism } from '../sasl.ts';

const MAX_NAME_BYTES = 255;

export const cramMd5: SaslMechanism = {
  name: 'CRAM-MD5',
  usable: ({ authenticator, takesPassword }) => takesPassword && authenticator.forms.secret,
  start: ({ authenticator, clientAddress, hostname }, initial) => {
    // RFC 4954 §4: where the server speaks first, a response that comes with the command is refused.
    if (initial !== undefined) return malformed('CRAM-MD5 has no initial response');
    const challenge = `<${authenticator.nonce()}@${hostname}>`;
    return {
      is: 'challenge',
      challenge,
      next: async (response) => {
        const [, name = '', digest = ''] = /^(.+) ([0-9a-f]{32})$/s.exec(textOf(response) ?? '') ?? [];
        if (name === '' || name.includes('\0') || Buffer.byteLength(name) > MAX_NAME_BYTES)
          return malformed('not a name and a digest');
        const shown = Buffer.from(digest, 'hex');
        const matches = (secret: string) => timingSafeEqual(createHmac('md5', secret).update(challenge).digest(), shown);
        return stepOf(await authenticator.checkSecret(name, clientAddress, matches), name);
      },
    };
  },
};
