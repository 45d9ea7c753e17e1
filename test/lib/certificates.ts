/**
 * Certificates for tests, made when asked for: a CA, and what it issues for servers and clients, with any kind of key,
 * names and dates. Nothing of it is kept.
 */
import 'reflect-metadata';
import { webcrypto } from 'node:crypto';
import * as x509 from '@peculiar/x509';

export interface Pair {
  readonly certificate: string;
  readonly key: string;
}

export interface Wanted {
  /** Common name. */
  readonly name: string;
  readonly dns?: readonly string[];
  readonly email?: readonly string[];
  readonly ip?: readonly string[];
  readonly kind?: 'ec' | 'rsa';
  readonly days?: number;
  readonly use?: 'server' | 'client';
  /** Where it would be told that it was revoked. */
  readonly crl?: string;
}

export interface TestCa extends Pair {
  /** PEM of a list with these certificates revoked, good for a week, or for `days`. */
  revoke(certificates: readonly string[], days?: number): Promise<string>;
  issue(wanted: Wanted): Promise<Pair>;
}

const DAY_MS = 86_400_000;
const ALGORITHMS = {
  ec: { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' },
  rsa: {
    name: 'RSASSA-PKCS1-v1_5',
    hash: 'SHA-256',
    modulusLength: 2048,
    publicExponent: new Uint8Array([1, 0, 1]),
  },
} as const;

export async function makeCa(name: string): Promise<TestCa> {
  const keys = await webcrypto.subtle.generateKey(ALGORITHMS.ec, true, ['sign', 'verify']);
  const own = await x509.X509CertificateGenerator.createSelfSigned(
    {
      name: [{ CN: [name] }],
      notBefore: new Date(Date.now() - DAY_MS),
      notAfter: new Date(Date.now() + 3650 * DAY_MS),
      keys,
      signingAlgorithm: ALGORITHMS.ec,
      extensions: [
        new x509.BasicConstraintsExtension(true, undefined, true),
        new x509.KeyUsagesExtension(x509.KeyUsageFlags.keyCertSign | x509.KeyUsageFlags.cRLSign, true),
      ],
    },
    webcrypto,
  );
  return {
    certificate: own.toString('pem'),
    key: await privatePem(keys.privateKey),
    async revoke(certificates, days = 7) {
      const list = await x509.X509CrlGenerator.create(
        {
          issuer: own.subject,
          thisUpdate: new Date(Date.now() - 30 * DAY_MS),
          nextUpdate: new Date(Date.now() + days * DAY_MS),
          entries: certificates.map((pem) => ({ serialNumber: new x509.X509Certificate(pem).serialNumber })),
          signingAlgorithm: ALGORITHMS.ec,
          signingKey: keys.privateKey,
        },
        webcrypto,
      );
      return x509.PemConverter.encode(list.rawData, 'X509 CRL');
    },
    async issue({ name: subject, dns = [], email = [], ip = [], kind = 'ec', days = 90, use = 'server', crl }) {
      const leaf = await webcrypto.subtle.generateKey(ALGORITHMS[kind], true, ['sign', 'verify']);
      const names = [
        ...dns.map((value) => ({ type: 'dns', value }) as const),
        ...email.map((value) => ({ type: 'email', value }) as const),
        ...ip.map((value) => ({ type: 'ip', value }) as const),
      ];
      const certificate = await x509.X509CertificateGenerator.create(
        {
          subject: [{ CN: [subject] }],
          issuer: own.subject,
          notBefore: new Date(Date.now() - 30 * DAY_MS),
          notAfter: new Date(Date.now() + days * DAY_MS),
          publicKey: leaf.publicKey,
          signingKey: keys.privateKey,
          signingAlgorithm: ALGORITHMS.ec,
          extensions: [
            new x509.BasicConstraintsExtension(false, undefined, true),
            new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature, true),
            new x509.ExtendedKeyUsageExtension([
              use === 'server' ? x509.ExtendedKeyUsage.serverAuth : x509.ExtendedKeyUsage.clientAuth,
            ]),
            ...(crl === undefined ? [] : [new x509.CRLDistributionPointsExtension([crl])]),
            ...(names.length === 0 ? [] : [new x509.SubjectAlternativeNameExtension(names)]),
          ],
        },
        webcrypto,
      );
      return { certificate: certificate.toString('pem'), key: await privatePem(leaf.privateKey) };
    },
  };
}

async function privatePem(key: webcrypto.CryptoKey): Promise<string> {
  return x509.PemConverter.encode(await webcrypto.subtle.exportKey('pkcs8', key), 'PRIVATE KEY');
}
