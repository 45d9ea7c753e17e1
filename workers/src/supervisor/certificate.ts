/**
 * The certificate of a server that was given none: self-signed, made once under the data folder, so that STARTTLS works
 * from the first minute. Key and certificate are one file (0600, renamed into place), so they can never be of two makes.
 * Called when settings are read. Made anew when it is missing, unreadable or about to expire.
 */
import { webcrypto, X509Certificate } from 'node:crypto';
import { mkdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { writeAtomically } from '@posthorn/config';

export interface CertificatePem {
  /** PEM: the certificate. */
  readonly certificate: string;
  /** PEM: the private key. */
  readonly key: string;
}

const DAY_MS = 86_400_000;
const VALID_DAYS = 3650;
const RENEW_DAYS = 30;

/** Where it is kept. */
export function selfSignedPath(dataDirectory: string): string {
  return join(dataDirectory, 'tls', 'self-signed.pem');
}

/**
 * Gives the self-signed certificate of a data folder.
 * @param nowMs for its dates
 * @returns the certificate, and whether it was made just now
 * @throws Error with a text for the operator, ours or the system's, when it cannot be written
 */
export async function ensureCertificate(
  dataDirectory: string,
  hostname: string,
  nowMs: number,
): Promise<CertificatePem & { readonly made: boolean }> {
  const file = selfSignedPath(dataDirectory);
  const kept = readKept(file, nowMs);
  if (kept !== undefined) return { ...kept, made: false };
  const made = await makeCertificate(hostname, nowMs);
  mkdirSync(dirname(file), { recursive: true, mode: 0o700 });
  writeAtomically(file, `${made.certificate}\n${made.key}\n`);
  return { ...made, made: true };
}

function readKept(file: string, nowMs: number): CertificatePem | undefined {
  try {
    const text = readFileSync(file, 'latin1');
    const certificate = /-----BEGIN CERTIFICATE-----[\s\S]+?-----END CERTIFICATE-----/.exec(text)?.[0];
    const key = /-----BEGIN PRIVATE KEY-----[\s\S]+?-----END PRIVATE KEY-----/.exec(text)?.[0];
    if (certificate === undefined || key === undefined) return undefined;
    const endsAtMs = Date.parse(new X509Certificate(certificate).validTo);
    return endsAtMs - nowMs > RENEW_DAYS * DAY_MS ? { certificate, key } : undefined;
  } catch {
    // Missing or damaged: a new one replaces it, and nothing hangs on the old one.
    return undefined;
  }
}

/** ECDSA on P-256, for the host's name, localhost and the loopback addresses. */
async function makeCertificate(hostname: string, nowMs: number): Promise<CertificatePem> {
  // Loaded only when a certificate is made, once in years; the library's container wants the polyfill before it.
  await import('reflect-metadata');
  const x509 = await import('@peculiar/x509');
  const algorithm = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' };
  const keys = await webcrypto.subtle.generateKey(algorithm, true, ['sign', 'verify']);
  const names = [...new Set([hostname, 'localhost'])];
  const certificate = await x509.X509CertificateGenerator.createSelfSigned(
    {
      name: [{ CN: [hostname.slice(0, 64)] }],
      notBefore: new Date(nowMs - DAY_MS),
      notAfter: new Date(nowMs + VALID_DAYS * DAY_MS),
      keys,
      signingAlgorithm: algorithm,
      extensions: [
        new x509.BasicConstraintsExtension(false, undefined, true),
        new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature, true),
        new x509.ExtendedKeyUsageExtension([x509.ExtendedKeyUsage.serverAuth]),
        new x509.SubjectAlternativeNameExtension([
          ...names.map((value) => ({ type: 'dns', value }) as const),
          { type: 'ip', value: '127.0.0.1' },
          { type: 'ip', value: '::1' },
        ]),
      ],
    },
    webcrypto,
  );
  const der = await webcrypto.subtle.exportKey('pkcs8', keys.privateKey);
  return { certificate: certificate.toString('pem'), key: x509.PemConverter.encode(der, 'PRIVATE KEY') };
}
