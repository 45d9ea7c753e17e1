/** SASL PLAIN (RFC 4616): `[authzid] NUL authcid NUL password`, in base64 on the wire. Used by POP3 AUTH. Pure. */

export interface PlainCredentials {
  readonly name: string;
  readonly password: string;
}

const MAX_FIELD_BYTES = 255;

/**
 * Reads the client's response.
 * @param response base64 as it came over the wire, with or without padding as the client has it; `=` alone is the empty response.
 * @returns undefined when it is not base64, not UTF-8, not three fields, a field is too long, or somebody wants to act as another user.
 */
export function decodePlain(response: string): PlainCredentials | undefined {
  if (!/^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/.test(response)) return undefined;
  let text: string;
  try {
    text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(Buffer.from(response, 'base64'));
  } catch {
    // Not UTF-8: RFC 4616 §2 leaves no other reading, so it is a malformed response like any other.
    return undefined;
  }
  const fields = text.split('\0');
  if (fields.length !== 3) return undefined;
  const [actAs = '', name = '', password = ''] = fields;
  if (name === '' || password === '' || (actAs !== '' && actAs !== name)) return undefined;
  if (Buffer.byteLength(name) > MAX_FIELD_BYTES || Buffer.byteLength(password) > MAX_FIELD_BYTES) return undefined;
  return { name, password };
}
