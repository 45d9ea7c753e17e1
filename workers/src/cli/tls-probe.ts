/**
 * What a listener really offers, found by connecting to it: versions, ciphers, the group keys are agreed in, and the
 * certificate for each name. Used by `posthorn tls check` (tls.ts). Says what is wrong in words; decides nothing else.
 */
import type { X509Certificate } from 'node:crypto';
import { checkServerIdentity, getCiphers, type ConnectionOptions, type SecureVersion, type TLSSocket } from 'node:tls';
import { connectTls, HungUpError, type TlsTarget } from './tls-target.ts';

export interface CertificateReport {
  /** Empty for a client that asks for none. */
  readonly askedFor: string;
  readonly subject: string;
  readonly names: string;
  readonly issuer: string;
  readonly key: string;
  readonly endsAt: string;
  readonly fingerprint256: string;
  /** Certificates that were sent, own one first. */
  readonly chain: readonly string[];
  /** `trusted`, or OpenSSL's word for what is missing. */
  readonly trust: string;
}

export interface TlsReport {
  readonly versions: readonly SecureVersion[];
  readonly ciphers: readonly { readonly version: SecureVersion; readonly name: string }[];
  readonly group: string;
  readonly certificates: readonly CertificateReport[];
  /** What has to be put right, and what the operator should know. */
  readonly problems: readonly string[];
  readonly warnings: readonly string[];
}

export interface Wanted {
  /** Asked for one after the other, and without a name. */
  readonly names: readonly string[];
  /** Fingerprints of the certificates in the files. */
  readonly inFiles: ReadonlySet<string>;
  /** PEM of CAs beside those that Node knows. */
  readonly ca: string | undefined;
  readonly nowMs: number;
}

const VERSIONS: readonly SecureVersion[] = ['TLSv1', 'TLSv1.1', 'TLSv1.2', 'TLSv1.3'];
const OLD: ReadonlySet<SecureVersion> = new Set(['TLSv1', 'TLSv1.1']);
const DAY_MS = 86_400_000;
const SOON_DAYS = 14;
/** Whatever a server might still take: nothing is held back at our end. */
const ANY = 'ALL:COMPLEMENTOFALL:@SECLEVEL=0';
const TLS_1_3 = [
  'TLS_AES_128_GCM_SHA256',
  'TLS_AES_256_GCM_SHA384',
  'TLS_CHACHA20_POLY1305_SHA256',
  'TLS_AES_128_CCM_SHA256',
  'TLS_AES_128_CCM_8_SHA256',
];
/** A chain that lacks a link cannot be verified by anybody; a CA that only this machine does not know may be fine. */
const MISSING_LINK: ReadonlySet<string> = new Set(['UNABLE_TO_VERIFY_LEAF_SIGNATURE', 'UNABLE_TO_GET_ISSUER_CERT']);

/**
 * Connects to a listener some twenty times, once after the other.
 * @throws Error when not even one handshake succeeds
 */
export async function probe(target: TlsTarget, wanted: Wanted): Promise<TlsReport> {
  const problems: string[] = [];
  const warnings: string[] = [];
  const group = await withTls(target, {}, groupOf);
  const versions: SecureVersion[] = [];
  for (const version of VERSIONS) if (await takes(target, offer(version, ANY))) versions.push(version);
  for (const version of versions) if (OLD.has(version)) problems.push(`takes ${version}`);
  const ciphers = [];
  for (const version of versions) {
    const known = version === 'TLSv1.3' ? TLS_1_3 : getCiphers().filter((name) => !name.startsWith('tls_'));
    for (const name of await ciphersOf(target, version, known)) ciphers.push({ version, name });
  }
  for (const { name } of ciphers) if (isWeak(name)) problems.push(`takes the cipher ${name}`);
  const certificates: CertificateReport[] = [];
  for (const name of ['', ...wanted.names]) {
    const options = { ...(name === '' ? {} : { servername: name }), ...(wanted.ca === undefined ? {} : { ca: wanted.ca }) };
    const { report, found } = await withTls(target, options, (socket) => certificateOf(socket, name, wanted));
    certificates.push(report);
    problems.push(...found.problems);
    warnings.push(...found.warnings);
  }
  return { versions, ciphers, group, certificates, problems: [...new Set(problems)], warnings: [...new Set(warnings)] };
}

async function withTls<T>(target: TlsTarget, options: ConnectionOptions, use: (socket: TLSSocket) => T): Promise<T> {
  const socket = await connectTls(target, options);
  try {
    return use(socket);
  } finally {
    socket.destroy();
  }
}

function offer(version: SecureVersion, ciphers: string): ConnectionOptions {
  return {
    minVersion: version,
    maxVersion: version,
    ciphers: version === 'TLSv1.3' && ciphers === ANY ? TLS_1_3.join(':') : ciphers,
  };
}

/**
 * A refusal in the handshake is an answer; that nobody is there any more is an error. Who hangs up for the want of a client
 * certificate takes the version from those who have one.
 */
async function takes(target: TlsTarget, options: ConnectionOptions): Promise<boolean> {
  try {
    return await withTls(target, options, () => true);
  } catch (error) {
    if (error instanceof HungUpError) return true;
    if (isRefusal(error)) return false;
    throw error;
  }
}

function isRefusal(error: unknown): boolean {
  if (!(error instanceof Error)) return false;
  const code = 'code' in error && typeof error.code === 'string' ? error.code : '';
  return code.startsWith('ERR_SSL_') || code === 'ECONNRESET' || error.message === 'closed in the handshake';
}

/** Offers all, takes out what was chosen, and offers the rest, until nothing is left that is taken. */
async function ciphersOf(target: TlsTarget, version: SecureVersion, known: readonly string[]): Promise<string[]> {
  const found: string[] = [];
  let left = known.map((name) => name.toUpperCase());
  while (left.length > 0) {
    let chosen: string;
    try {
      const list = version === 'TLSv1.3' ? left.join(':') : `${left.join(':')}:@SECLEVEL=0`;
      chosen = await withTls(target, offer(version, list), (socket) => socket.getCipher().name);
    } catch (error) {
      if (!(error instanceof HungUpError)) {
        if (isRefusal(error)) break;
        throw error;
      }
      chosen = error.cipher;
    }
    found.push(chosen);
    const rest = left.filter((name) => name !== chosen.toUpperCase());
    if (rest.length === left.length) break;
    left = rest;
  }
  return found;
}

/** No forward secrecy, no authenticated encryption, or no encryption to speak of. */
function isWeak(name: string): boolean {
  return !/^(TLS_|(EC)?DHE-)/.test(name) || !/GCM|CHACHA20|CCM/.test(name);
}

function groupOf(socket: TLSSocket): string {
  const info = socket.getEphemeralKeyInfo();
  return info !== null && 'name' in info && typeof info.name === 'string' ? info.name : 'none';
}

function certificateOf(socket: TLSSocket, askedFor: string, { inFiles, nowMs }: Wanted) {
  const found: { problems: string[]; warnings: string[] } = { problems: [], warnings: [] };
  const own = socket.getPeerX509Certificate();
  if (own === undefined) throw new Error('no certificate was shown');
  const who = askedFor === '' ? 'the certificate for clients that ask for no name' : `the certificate for ${askedFor}`;
  const endsAtMs = Date.parse(own.validTo);
  const trust = trustOf(socket);
  const daysLeft = Math.floor((endsAtMs - nowMs) / DAY_MS);
  if (endsAtMs < nowMs) found.problems.push(`${who} has expired`);
  else if (Date.parse(own.validFrom) > nowMs) found.problems.push(`${who} is not valid yet`);
  else if (daysLeft < SOON_DAYS) found.warnings.push(`${who} ends in ${daysLeft} days`);
  if (askedFor !== '' && checkServerIdentity(askedFor, socket.getPeerCertificate()) !== undefined)
    found.problems.push(`${who} is not for that name`);
  if (!inFiles.has(own.fingerprint256)) found.problems.push(`${who} is not that of the files: the server has not taken it up`);
  if (MISSING_LINK.has(trust)) found.problems.push(`${who} comes without the certificates between it and its CA (${trust})`);
  else if (trust !== 'trusted' && endsAtMs >= nowMs) found.warnings.push(`${who} is not trusted by this machine (${trust})`);
  const report: CertificateReport = {
    askedFor,
    subject: oneLine(own.subject),
    names: own.subjectAltName ?? '',
    issuer: oneLine(own.issuer),
    key: keyOf(own),
    endsAt: new Date(endsAtMs).toISOString(),
    fingerprint256: own.fingerprint256,
    chain: chainOf(socket),
    trust,
  };
  return { report, found };
}

/** Node's types call it an error, its sockets hold the code as text. */
function trustOf(socket: TLSSocket): string {
  if (socket.authorized) return 'trusted';
  const error: unknown = socket.authorizationError;
  const code = error instanceof Error && 'code' in error ? error.code : error;
  // A name that does not fit is told of apart.
  return code === 'ERR_TLS_CERT_ALTNAME_INVALID' ? 'trusted' : String(code);
}

function chainOf(socket: TLSSocket): string[] {
  const subjects: string[] = [];
  const seen = new Set<string>();
  let here = socket.getPeerX509Certificate();
  while (here !== undefined && !seen.has(here.fingerprint256)) {
    seen.add(here.fingerprint256);
    subjects.push(oneLine(here.subject));
    here = here.issuerCertificate;
  }
  return subjects;
}

function keyOf(certificate: X509Certificate): string {
  const { asymmetricKeyType = 'unknown', asymmetricKeyDetails: details } = certificate.publicKey;
  const size = details?.namedCurve ?? details?.modulusLength;
  return size === undefined ? asymmetricKeyType : `${asymmetricKeyType} ${size}`;
}

function oneLine(name: string | undefined): string {
  return (name ?? '').split('\n').join(', ');
}
