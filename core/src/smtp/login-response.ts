/** A response of SASL LOGIN: one text in base64, strictly read (RFC 4648 §3.3, RFC 4954 §4). Used by verbs/auth. Pure. */

/** As for PLAIN in auth/sasl-plain. */
const MAX_BYTES = 255;

/** @param response base64, or `=` for an empty one. @returns undefined when it is not base64, not UTF-8, too long, or has a NUL. */
export function decodeLoginResponse(response: string): string | undefined {
  if (response === '=') return '';
  if (!/^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/.test(response)) return undefined;
  const bytes = Buffer.from(response, 'base64');
  if (bytes.length > MAX_BYTES || bytes.includes(0)) return undefined;
  const text = bytes.toString('utf8');
  return Buffer.from(text, 'utf8').equals(bytes) ? text : undefined;
}
