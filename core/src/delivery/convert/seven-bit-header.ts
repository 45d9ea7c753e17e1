/**
 * A header in UTF-8 for a hop that takes 7-bit mail. Other than in the surrogate that POP3 gives to old clients (RFC 6858) its
 * reader has nothing but this, so nothing goes that can be said in ASCII: text as encoded words (RFC 2047), parameters as RFC
 * 2231 has them, domains in A-labels, URLs with their octets in hexadecimal. An address whose local part is beyond ASCII has no
 * such form, and somebody else's in its place would be worse than a bounce. Used by convert/header. Pure.
 */
import { isAscii, isUtf8 } from 'node:buffer';
import { domainToASCII } from 'node:url';
import { ADDRESSES, NO_WORDS, PARAMETERS } from '../../mail/ascii-header.ts';
import { scanHeader } from '../../mail/header-scan.ts';
import { encodedWords, inPieces, phrase } from '../../mail/header-text.ts';
import { isAscii as isAsciiText } from '../../wire/address.ts';
import { parametersInAscii } from './parameter.ts';

const CHARSET = '554 5.6.3 header has 8-bit text in an unknown charset, and the mail host takes none';
const ADDRESS = '554 5.6.3 header has an address beyond ASCII, and the mail host takes none';

/** @returns the header in ASCII, or the permanent reply that says why there is no such form */
export function sevenBitHeader(header: Buffer): Buffer | string {
  if (isAscii(header)) return header;
  if (!isUtf8(header)) return CHARSET;
  const pieces: Uint8Array[] = [];
  let from = 0;
  for (const field of scanHeader(header)) {
    // What stands between fields is none.
    if (field.from > from) pieces.push(ifAscii(header.toString('utf8', from, field.from)));
    from = field.to;
    const bytes = header.subarray(field.from, field.to);
    const label = header.toString('utf8', field.from, field.valueFrom);
    const written = isAscii(bytes) ? bytes : fieldInAscii(field.name, label, header.toString('utf8', field.valueFrom, field.to));
    if (written === undefined) return ADDRESS;
    pieces.push(typeof written === 'string' ? ifAscii(written) : written);
  }
  pieces.push(ifAscii(header.toString('utf8', from)));
  return Buffer.concat(pieces);
}

/**
 * @param label the name as written, with its colon
 * @param folded the value with its line ends
 * @returns undefined for an address without a form in ASCII; what is not ASCII then is a field without one
 */
function fieldInAscii(name: string, label: string, folded: string): string | undefined {
  const value = unfolded(folded);
  if (ADDRESSES.test(name)) {
    const addresses = inPieces(value, ',').map(addressInAscii);
    return addresses.includes(undefined) ? undefined : `${label} ${addresses.join(',\r\n ')}\r\n`;
  }
  if (PARAMETERS.test(name)) {
    const [first = '', ...parameters] = inPieces(value, ';');
    return `${label} ${[first.replaceAll(/[^\0-\x7f]/g, '?'), ...parametersInAscii(parameters)].join(';\r\n ')}\r\n`;
  }
  if (name === 'list-id') return `${label} ${listId(value)}\r\n`;
  if (!NO_WORDS.test(name)) return `${label} ${encodedWords(value)}\r\n`;
  const commented = commentsInAscii(folded);
  if (name === 'content-location') return label + percentEncoded(commented);
  if (name.startsWith('list-')) return label + commented.replaceAll(/<[^<>]*>/g, percentEncoded);
  // RFC 5321 §4.4: no line of the trace may go.
  return label + (name === 'received' ? commented.replaceAll(/[^\0-\x7f]/g, '?') : commented);
}

/** One of a list of addresses: a mailbox, or the begin, the end or all of a group. */
function addressInAscii(piece: string): string | undefined {
  if (isAsciiText(piece)) return piece;
  const [, group, members] = /^((?:"(?:\\.|[^"\\])*"|[^"<>@:])*):(.*)$/s.exec(piece) ?? [];
  if (group !== undefined && members !== undefined) {
    const first = addressInAscii(members.trim());
    return first === undefined ? undefined : `${phrase(group)}: ${first}`;
  }
  const end = piece.endsWith(';') ? ';' : '';
  const mailbox = end === '' ? piece : piece.slice(0, -1).trim();
  const [, display = '', angled, behind = ''] = /^(.*)<([^<>]*)>([^<>]*)$/s.exec(mailbox) ?? [];
  if (angled === undefined && !mailbox.includes('@')) return encodedWords(mailbox) + end;
  const address = spec((angled ?? mailbox.replaceAll(/\([^()]*\)/g, '')).trim());
  if (address === undefined) return undefined;
  const comments = (angled === undefined ? mailbox : behind).match(/\([^()]*\)/g)?.map(commentsInAscii) ?? [];
  const name = phrase(display);
  return [...(name === '' ? [] : [name]), angled === undefined ? address : `<${address}>`, ...comments].join(' ') + end;
}

/** The same address in ASCII. */
function spec(address: string): string | undefined {
  if (isAsciiText(address)) return address;
  const at = address.lastIndexOf('@');
  const local = address.slice(0, Math.max(0, at));
  const domain = domainToASCII(address.slice(at + 1));
  return local === '' || domain === '' || !isAsciiText(local) ? undefined : `${local}@${domain}`;
}

/** RFC 2919 §2: a phrase, and what looks like a domain. */
function listId(value: string): string {
  const [, name = value, id] = /^(.*)<([^<>]*)>[^<>]*$/s.exec(value) ?? [];
  const known = id === undefined || isAsciiText(id) ? id : domainToASCII(id);
  if (known === undefined || known === '') return encodedWords(value);
  const said = phrase(name);
  return `${said === '' ? '' : `${said} `}<${known}>`;
}

/** RFC 2047 §5: encoded words may stand in comments. */
function commentsInAscii(text: string): string {
  return text.replaceAll(/\(([^()]*)\)/g, (whole, inner: string) =>
    isAsciiText(whole) ? whole : `(${encodedWords(unfolded(inner))})`,
  );
}

const percentEncoded = (text: string): string => text.replaceAll(/[^\0-\x7f]+/g, encodeURIComponent);
const unfolded = (text: string): string => text.replaceAll(/\r?\n(?=[ \t])/g, '').trim();

function ifAscii(text: string): Uint8Array {
  return Buffer.from(isAsciiText(text) ? text : '');
}
