/**
 * What is taken from certificates: the names in a client's, and the hash of ours that a login can be bound to.
 * Used by server-tls.ts. Pure; a certificate is the peer's word, so nothing here throws on it.
 */
import { createHash, type X509Certificate } from 'node:crypto';

const KINDS: ReadonlyMap<string, string> = new Map([
  ['email', 'email'],
  ['DNS', 'dns'],
  ['URI', 'uri'],
  ['IP Address', 'ip'],
]);

/**
 * Reads Node's text of a subjectAltName: `DNS:a.example, email:"with, comma"`; values that could be taken for more than
 * one name stand in JSON quotes.
 * @returns `email:…`, `dns:…`, `uri:…`, `ip:…`; nothing at all when the text is not of that form
 */
export function subjectAltNamesOf(text: string | undefined): string[] {
  const names: string[] = [];
  let rest = text ?? '';
  while (rest !== '') {
    const match = /^([A-Za-z ]+):("(?:[^"\\]|\\.)*"|[^,"]*)(?:, |$)/.exec(rest);
    if (match === null) return [];
    const [whole, label = '', written = ''] = match;
    const value = written.startsWith('"') ? unquoted(written) : written;
    const kind = KINDS.get(label);
    // Control characters, NUL above all, are in no name that means well.
    if (kind !== undefined && value !== undefined && /^[^\p{Cc}]+$/u.test(value)) names.push(`${kind}:${value}`);
    rest = rest.slice(whole.length);
  }
  return names;
}

function unquoted(written: string): string | undefined {
  try {
    return String(JSON.parse(written));
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
}

/**
 * `tls-server-end-point` (RFC 5929 §4.1): the certificate's hash by the function of its signature; SHA-256 where that is
 * MD5 or SHA-1.
 * @returns undefined for signatures without a hash of their own, such as Ed25519
 */
export function serverEndPointOf(certificate: X509Certificate): Uint8Array | undefined {
  const hash = /(?:sha-?|with-?sha)(1|224|256|384|512)|(md5)/i.exec(certificate.signatureAlgorithm ?? '');
  if (hash === null) return undefined;
  const bits = hash[1] === undefined || hash[1] === '1' ? '256' : hash[1];
  return createHash(`sha${bits}`).update(certificate.raw).digest();
}
