import { describe, expect, it } from 'vitest';
import { CertificateChoice } from './certificate-choice.ts';
import type { TlsIdentity } from './server-tls.ts';

function identity(fingerprint256: string, keyType: string, ...names: string[]): TlsIdentity {
  return { certificate: '', key: '', names, keyType, fingerprint256, endsAtMs: 0 };
}

const mx = identity('mx', 'ec', 'mx.example', 'mail.example');
const mxRsa = identity('mx rsa', 'rsa', 'mx.example', 'mail.example', 'old.example');
const other = identity('other', 'ec', 'other.example');
const otherRsa = identity('other rsa', 'rsa', 'other.example', '*.other.example');

describe('the certificates for a name', () => {
  const choice = new CertificateChoice([mx, other, mxRsa, otherRsa]);
  const shown = (name: string) => choice.shownFor(name).map(({ fingerprint256 }) => fingerprint256);

  it('are of each kind for the names of the first, and for unknown ones', () => {
    for (const name of ['mx.example', 'MAIL.example', '', 'nobody.test']) {
      expect(shown(name)).toEqual(['mx', 'mx rsa']);
      // The connection has them from its beginning: nothing is handed over.
      expect(choice.shownFor(name)).toBe(choice.first);
    }
  });

  it('are one alone for others', () => {
    expect(shown('old.example')).toEqual(['mx rsa']);
    expect(shown('other.example')).toEqual(['other rsa']);
    expect(shown('a.other.example')).toEqual(['other rsa']);
  });

  it('that nobody is shown are told of', () => {
    expect(choice.hidden()).toEqual([{ name: 'other.example', shown: 'rsa', hidden: ['ec'] }]);
    expect(new CertificateChoice([mx, mxRsa, other]).hidden()).toEqual([]);
  });
});
