/** A CA whose certificates this process believes for as long as a test file runs, as if an operator had installed it. */
import { getCACertificates, setDefaultCACertificates } from 'node:tls';
import { makeCa } from './certificates.ts';

export interface TrustedCa {
  /** A certificate of this CA for these names, as a server takes it. */
  serverFor(...dns: readonly [string, ...string[]]): Promise<{ readonly cert: string; readonly key: string }>;
  /** It is believed no more. */
  forget(): void;
}

export async function trustNewCa(): Promise<TrustedCa> {
  const ca = await makeCa('A CA for tests');
  const before = getCACertificates('default');
  setDefaultCACertificates([...before, ca.certificate]);
  return {
    async serverFor(...dns) {
      const { certificate, key } = await ca.issue({ name: dns[0], dns });
      return { cert: certificate, key };
    },
    forget: () => setDefaultCACertificates(before),
  };
}
