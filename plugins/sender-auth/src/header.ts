/**
 * What this plugin reads of a header section itself: how many signatures it claims, its From fields, and which
 * Authentication-Results fields pretend to be ours (RFC 8601 §5). Works on the bytes as text of one character a byte;
 * never throws.
 */

export interface HeaderView {
  /** Values of the Authentication-Results fields that claim our authserv-id, unfolded and trimmed. */
  readonly forgedResults: readonly string[];
  readonly signatures: number;
  /** Whether an ARC chain is there to verify. */
  readonly sealed: boolean;
  /** The From fields as they stand, each with its line end. */
  readonly from: string;
  /** False when the header section does not end within the bytes at hand. */
  readonly complete: boolean;
}

/** One field: a name, blanks that obsolete syntax allows, a colon, its line and the continuation lines. */
const FIELD = /^([\x21-\x39\x3b-\x7e]+)[ \t]*:([^\n]*(?:\n[ \t][^\n]*)*)\n?/gm;

/**
 * @param header the header section as it came in, with its closing empty line.
 * @param authservId our own name in results.
 */
export function viewHeader(header: Uint8Array, authservId: string): HeaderView {
  const all = Buffer.from(header.buffer, header.byteOffset, header.byteLength).toString('latin1');
  const end = all.startsWith('\r\n') ? 0 : all.search(/\r?\n\r?\n/);
  const text = end < 0 ? all : all.slice(0, end + 2);
  const forgedResults: string[] = [];
  let signatures = 0;
  let sealed = false;
  let from = '';
  for (const [field, name = '', value = ''] of text.matchAll(FIELD)) {
    switch (name.toLowerCase()) {
      case 'authentication-results': {
        const unfolded = value.replace(/\r?\n(?=[ \t])/g, '').trim();
        if (authservIdOf(unfolded).toLowerCase() === authservId.toLowerCase()) forgedResults.push(unfolded);
        break;
      }
      case 'dkim-signature':
        signatures++;
        break;
      case 'arc-message-signature':
        sealed = true;
        break;
      case 'from':
        from += field.endsWith('\n') ? field : `${field}\r\n`;
        break;
    }
  }
  return { forgedResults, signatures, sealed, from, complete: end >= 0 };
}

/**
 * The authserv-id a field begins with: a token or a quoted string, after comments (RFC 8601 §2.2), without a final dot.
 */
export function authservIdOf(value: string): string {
  let at = 0;
  for (let depth = 0; at < value.length; at++) {
    const char = value[at]!;
    if (depth > 0 && char === '\\') at++;
    else if (char === '(') depth++;
    else if (depth > 0 && char === ')') depth--;
    else if (depth === 0 && char !== ' ' && char !== '\t') break;
  }
  const rest = value.slice(at);
  const quoted = /^"((?:[^"\\]|\\.)*)"/.exec(rest);
  const id = quoted === null ? (/^[^\s;()"]*/.exec(rest)?.[0] ?? '') : quoted[1]!.replaceAll(/\\(.)/g, '$1');
  return id.replace(/\.$/, '');
}
