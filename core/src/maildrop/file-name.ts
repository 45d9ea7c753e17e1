/**
 * Names of message files: `<unique>,S=<bytes in the file>,W=<bytes with CRLF line ends>[:2,<flags>]`, as Dovecot writes
 * and reads them; and `,A=<bytes of its surrogate in ASCII>` where an internationalised header asks for one (RFC 6858),
 * which others keep without knowing it. What a listing needs stands in the name, so opening a maildrop reads no file. Pure.
 */
import { hash } from 'node:crypto';

export interface MessageName {
  /** Up to `:`; stays the same when flags change. */
  readonly base: string;
  /** Up to the sizes: what the UIDL is made of. */
  readonly unique: string;
  /** Bytes in the file (S=), if told. */
  readonly fileBytes: number | undefined;
  /** Bytes with CRLF line ends (W=), if told. */
  readonly wireBytes: number | undefined;
  /** Bytes for who reads ASCII alone (A=), if told. */
  readonly surrogateBytes: number | undefined;
}

const COLON = 58;
const COMMA = 44;
const EQUALS = 61;
const LETTER_A = 65;
const LETTER_S = 83;
const LETTER_W = 87;

/** Reads a file's name. Called for each file of a folder: one pass over the characters, no regular expression. */
export function parseMessageName(name: string): MessageName {
  let baseEnd = name.indexOf(':');
  if (baseEnd < 0) baseEnd = name.length;
  let uniqueEnd = baseEnd;
  let fileBytes: number | undefined;
  let wireBytes: number | undefined;
  let surrogateBytes: number | undefined;
  for (let comma = name.indexOf(','); comma >= 0 && comma < baseEnd; comma = name.indexOf(',', comma + 1)) {
    const letter = name.charCodeAt(comma + 1);
    if ((letter !== LETTER_S && letter !== LETTER_W && letter !== LETTER_A) || name.charCodeAt(comma + 2) !== EQUALS) continue;
    const value = digits(name, comma + 3);
    if (value === undefined) continue;
    if (comma < uniqueEnd) uniqueEnd = comma;
    if (letter === LETTER_S) fileBytes = value;
    else if (letter === LETTER_W) wireBytes = value;
    else surrogateBytes = value;
  }
  return {
    base: baseEnd === name.length ? name : name.slice(0, baseEnd),
    unique: name.slice(0, uniqueEnd),
    fileBytes,
    wireBytes,
    surrogateBytes,
  };
}

/** The name of a new message. */
export function formatMessageName(unique: string, fileBytes: number, wireBytes: number, surrogateBytes?: number): string {
  return `${unique},S=${fileBytes},W=${wireBytes}${surrogateBytes === undefined ? '' : `,A=${surrogateBytes}`}`;
}

/** The UIDL for a unique part: itself where RFC 1939 §7 allows (1 to 70 characters 0x21 to 0x7E), else a hash of it. */
export function uidlOf(unique: string): string {
  if (unique.length > 0 && unique.length <= 70 && isPrintable(unique)) return unique;
  return hash('sha256', unique, 'base64url');
}

function isPrintable(text: string): boolean {
  for (let at = 0; at < text.length; at++) {
    const code = text.charCodeAt(at);
    if (code < 0x21 || code > 0x7e) return false;
  }
  return true;
}

/** The decimal number at `from`, ended by a comma, a colon or the end of the name; at most 15 digits, so exact. */
function digits(name: string, from: number): number | undefined {
  let value = 0;
  let at = from;
  for (; at < name.length; at++) {
    const code = name.charCodeAt(at);
    if (code === COMMA || code === COLON) break;
    if (code < 48 || code > 57 || at - from >= 15) return undefined;
    value = value * 10 + code - 48;
  }
  return at === from ? undefined : value;
}
