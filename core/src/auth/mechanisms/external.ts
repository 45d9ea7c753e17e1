/** EXTERNAL (RFC 4422 appendix A): the certificate that the client showed in the TLS handshake says who it is. */
import { clientFirst, malformed, stepOf, textOf } from '../sasl-text.ts';
import type { SaslMechanism } from '../sasl.ts';

const MAX_NAME_BYTES = 255;

export const external: SaslMechanism = {
  name: 'EXTERNAL',
  usable: ({ tls }) => tls?.clientCertificate !== undefined,
  start: ({ authenticator, clientAddress, tls }, initial) =>
    clientFirst(initial, async (response) => {
      const actAs = textOf(response);
      if (actAs === undefined || actAs.includes('\0') || response.length > MAX_NAME_BYTES) return malformed('not a name');
      const certificate = tls?.clientCertificate;
      if (certificate === undefined) return { is: 'failure', why: 'credentials', name: actAs, cause: 'no certificate' };
      return stepOf(await authenticator.checkCertificate(certificate, actAs === '' ? undefined : actAs, clientAddress), actAs);
    }),
};
