/** What `posthorn check` and `tls check` say of certificates that no client is shown. */
import { CertificateChoice } from '@posthorn/core/dispatch/certificate-choice';
import type { TlsIdentity } from '@posthorn/core/dispatch/server-tls';

/** @param identities those of one listener, or of all that have none of their own. @returns a warning for each name */
export function hiddenCertificates([first, ...more]: readonly TlsIdentity[]): string[] {
  if (first === undefined) return [];
  return new CertificateChoice([first, ...more])
    .hidden()
    .map(
      ({ name, shown, hidden }) =>
        `of the certificates for ${name} the one with a key of kind ${shown} is shown alone, not that of kind ${hidden.join(', ')}: ` +
        'only the names of the first certificate can have several kinds of key',
    );
}
