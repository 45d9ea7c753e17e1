/**
 * Reads what TLS needs from files: certificates with their keys, CAs for client certificates, the secret of session
 * tickets. Called when settings are read, by `posthorn check`, and when a file has changed (tls-upkeep.ts). All or
 * nothing: what a session thread could not use is a SettingsError here, naming the key and the file.
 */
import { createPrivateKey, type KeyObject, X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createSecureContext } from 'node:tls';
import type { Config } from '@posthorn/config';
import { revocationLists, type TlsIdentity } from '@posthorn/core/dispatch/server-tls';
import { profileOptions } from '@posthorn/core/dispatch/tls-profile';
import { subjectAltNamesOf } from '@posthorn/core/dispatch/certificate-facts';
import type { TlsMaterial } from '../ipc.ts';
import { ensureCertificate, selfSignedPath } from './certificate.ts';
import { SettingsError } from './settings-error.ts';

interface Entry {
  readonly certificate: string;
  readonly key: string;
  readonly names?: readonly string[] | undefined;
}

const LEAST_SECRET_BYTES = 32;
/** Of signatures (RFC 8446 §4.2.3, RFC 8734): with a key on another one every handshake would fail. */
const TLS_CURVES = /^(prime256v1|secp384r1|secp521r1|brainpool\w+)$/;

/**
 * Reads everything anew.
 * @param onSelfSigned called with the file when a self-signed certificate had to be made, for a configuration without any;
 * absent: none is made
 * @throws SettingsError; the system's error when a self-signed certificate cannot be written
 */
export async function readTls(config: Config, onSelfSigned?: (file: string) => void): Promise<TlsMaterial> {
  const { tls } = config;
  const identities: TlsIdentity[] = [];
  if (tls.certificate !== undefined && tls.key !== undefined) {
    identities.push(readIdentity({ certificate: tls.certificate, key: tls.key }, 'tls'));
  } else if (onSelfSigned !== undefined && tls.certificates.length === 0) {
    const { certificate, key, made } = await ensureCertificate(config.data, config.hostname, Date.now());
    if (made) onSelfSigned(selfSignedPath(config.data));
    identities.push(identityOf(certificate, key, undefined));
  }
  identities.push(...tls.certificates.map((entry, index) => readIdentity(entry, `tls.certificates[${index}]`)));
  const listeners: Record<string, TlsMaterial['listeners'][string]> = {};
  for (const [index, { name, certificates, clientCa, clientCrl }] of config.listeners.entries()) {
    const path = `listeners[${index}]`;
    if (certificates === undefined && clientCa === undefined && clientCrl === undefined) continue;
    listeners[name] = {
      identities: certificates?.map((entry, nth) => readIdentity(entry, `${path}.certificates[${nth}]`)),
      clientCa: clientCa === undefined ? undefined : readCa(clientCa, `${path}.clientCa`),
      clientCrl: clientCrl === undefined ? undefined : readCrl(clientCrl, `${path}.clientCrl`),
    };
  }
  return { identities, listeners, ticketSecret: tls.ticketSecret === undefined ? undefined : readSecret(tls.ticketSecret) };
}

/** Every file that `readTls` reads. */
export function tlsFiles({ tls, listeners }: Config): string[] {
  const own = listeners.flatMap((one) => [...(one.certificates ?? []).flatMap(pairOf), one.clientCa, one.clientCrl]);
  const all = [tls.certificate, tls.key, ...tls.certificates.flatMap(pairOf), ...own, tls.ticketSecret];
  return [...new Set(all.filter((file) => file !== undefined))];
}

function pairOf({ certificate, key }: Entry): string[] {
  return [certificate, key];
}

/**
 * Reads a certificate and its key and sees that they belong together and can be used.
 * @param path of the entry in the configuration, such as `tls.certificates[1]`
 * @throws SettingsError
 */
export function readIdentity(entry: Entry, path: string): TlsIdentity {
  const certificate = readPem(entry.certificate, `${path}.certificate`);
  const key = readPem(entry.key, `${path}.key`);
  // Nobody is there to type it when the server starts.
  if (/ENCRYPTED/.test(key)) throw new SettingsError(`${path}.key: ${entry.key} has a passphrase: keep the key without one`);
  expectIn(certificate, 'CERTIFICATE', `${path}.certificate: ${entry.certificate}`);
  expectIn(key, 'PRIVATE KEY', `${path}.key: ${entry.key}`);
  const privateKey = parsed(() => createPrivateKey(key), `${path}.key: ${entry.key}`);
  const own = parsed(() => new X509Certificate(certificate), `${path}.certificate: ${entry.certificate}`);
  if (!own.checkPrivateKey(privateKey)) {
    const place = certificatesIn(certificate).findIndex((pem) => isOf(pem, privateKey));
    throw new SettingsError(
      place < 0
        ? `${path}.key: ${entry.key} is not the key of ${entry.certificate}`
        : `${path}.certificate: ${entry.certificate} has the certificates in the wrong order: the server's own, whose key is ` +
            `${entry.key}, has to be the first, and is number ${place + 1}`,
    );
  }
  const curve = own.publicKey.asymmetricKeyDetails?.namedCurve;
  if (curve !== undefined && !TLS_CURVES.test(curve)) {
    throw new SettingsError(
      `${path}.certificate: ${entry.certificate} has a key on ${curve}, which TLS does not know: use prime256v1`,
    );
  }
  try {
    // As each session thread does it: keys that are too short, or a chain with a broken certificate in it, show here.
    createSecureContext({ ...profileOptions('intermediate'), cert: certificate, key });
  } catch (error) {
    throw new SettingsError(`${path}.certificate: ${entry.certificate} cannot be used: ${messageOf(error)}`, { cause: error });
  }
  return identityOf(certificate, key, entry.names);
}

/** @throws SettingsError that says what is there instead, since OpenSSL's words for it help nobody */
function expectIn(pem: string, what: 'CERTIFICATE' | 'PRIVATE KEY', where: string): void {
  const kinds = [...pem.matchAll(/^-----BEGIN (.+?)-----/gm)].map(([, kind = '']) => kind);
  // `EC PRIVATE KEY` is one, too, and `TRUSTED CERTIFICATE`.
  if (kinds.some((kind) => kind.endsWith(what))) return;
  const found = kinds.length === 0 ? 'no PEM' : kinds[0];
  throw new SettingsError(`${where} has no "BEGIN ${what}" in it: expected a PEM file with one, found ${found}`);
}

/** @throws SettingsError */
function parsed<T>(parse: () => T, where: string): T {
  try {
    return parse();
  } catch (error) {
    throw new SettingsError(`${where} is no usable PEM file: ${messageOf(error)}`, { cause: error });
  }
}

/** Each certificate of a PEM file. */
function certificatesIn(pem: string): string[] {
  return [...pem.matchAll(/-----BEGIN CERTIFICATE-----[\s\S]+?-----END CERTIFICATE-----/g)].map(([one]) => one);
}

/** Has this certificate the key? One that is broken has not. */
function isOf(pem: string, key: KeyObject): boolean {
  try {
    return new X509Certificate(pem).checkPrivateKey(key);
  } catch {
    return false;
  }
}

function identityOf(certificate: string, key: string, names: readonly string[] | undefined): TlsIdentity {
  const parsed = new X509Certificate(certificate);
  return {
    certificate,
    key,
    names: (names ?? namesIn(parsed)).map((name) => name.toLowerCase()),
    keyType: parsed.publicKey.asymmetricKeyType ?? 'unknown',
    fingerprint256: parsed.fingerprint256,
    endsAtMs: Date.parse(parsed.validTo),
  };
}

/** Its DNS names; a certificate from the days before them has its one in the subject. */
function namesIn(certificate: X509Certificate): string[] {
  const names = subjectAltNamesOf(certificate.subjectAltName).filter((name) => name.startsWith('dns:'));
  if (names.length > 0) return names.map((name) => name.slice(4));
  const common = /^CN=(.+)$/m.exec(certificate.subject)?.[1];
  return common === undefined ? [] : [common];
}

function readCa(file: string, path: string): string {
  const text = readPem(file, path);
  try {
    for (const pem of certificatesIn(text)) {
      if (!new X509Certificate(pem).ca) throw new Error('a certificate in it is not that of a CA');
    }
    if (!text.includes('-----BEGIN CERTIFICATE-----')) throw new Error('no certificate is in it');
    createSecureContext({ ca: text });
  } catch (error) {
    throw new SettingsError(`${path}: ${file} cannot be used: ${messageOf(error)}`, { cause: error });
  }
  return text;
}

function readCrl(file: string, path: string): string {
  const text = readPem(file, path);
  try {
    const lists = revocationLists(text);
    if (lists.length === 0) throw new Error('no revocation list is in it');
    createSecureContext({ crl: lists });
  } catch (error) {
    throw new SettingsError(`${path}: ${file} cannot be used: ${messageOf(error)}`, { cause: error });
  }
  return text;
}

function readSecret(file: string): Uint8Array {
  const secret = read(file, 'tls.ticketSecret');
  if (secret.length < LEAST_SECRET_BYTES) {
    throw new SettingsError(`tls.ticketSecret: ${file} has less than ${LEAST_SECRET_BYTES} bytes`);
  }
  return secret;
}

function readPem(file: string, path: string): string {
  return read(file, path).toString('utf8');
}

function read(file: string, path: string): Buffer {
  try {
    return readFileSync(file);
  } catch (error) {
    throw new SettingsError(`${path}: ${file} cannot be read: ${messageOf(error)}`, { cause: error });
  }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
