/**
 * The header of an internationalised message (RFC 6532) for who reads ASCII alone: the surrogate of RFC 6858. Subjects
 * and the like become encoded words (RFC 2047), addresses keep what can be kept, and what has no form in ASCII goes. Used by
 * POP3 for clients that did not say UTF8, and at delivery, which notes the size of it. Pure; the body stays as it is. What
 * goes to another server must lose nothing: delivery/convert/seven-bit-header.
 */
import { isAscii, isUtf8 } from 'node:buffer';
import { domainToASCII } from 'node:url';
import { isAscii as isAsciiText } from '../wire/address.ts';
import { scanHeader } from './header-scan.ts';
import { encodedWords, inPieces, phrase } from './header-text.ts';

/** Fields that are lists of addresses. */
export const ADDRESSES =
  /^(?:resent-)?(?:from|sender|reply-to|to|cc|bcc)$|^(?:disposition-notification|mail-followup|mail-reply|errors)-to$/;
/** Fields with parameters: in a surrogate those that are not ASCII go (RFC 6858 §2.2). */
export const PARAMETERS = /^content-(?:type|disposition)$/;
/** Structured fields, which no encoded word may stand in (RFC 6858 §2.4). */
export const NO_WORDS =
  /^(?:received|return-path|delivered-to|x-original-to|message-id|in-reply-to|references|date|resent-(?:date|message-id)|mime-version|content-(?:id|transfer-encoding|location|language|md5|base|features)|list-.*|dkim-signature|domainkey-signature|arc-.*|authentication-results|received-spf|autocrypt.*|auto-submitted|precedence)$/;

/** Stands where an address was that ASCII cannot say; nobody has it (RFC 6858 §2.1). */
const NOBODY = 'invalid@internationalized-address.invalid';
/** Fields to be written anew, in all: a list of a hundred thousand addresses would become megabytes. What is more goes. */
const MAX_CONVERTED_BYTES = 32 * 1024;

const EMPTY_LINE = Buffer.from('\r\n\r\n');

/** Where the header section ends: the index behind its last field; that of the message's end where there is no empty line. */
export function endOfHeader(message: Buffer): number {
  if (message[0] === 13 && message[1] === 10) return 0;
  const at = message.indexOf(EMPTY_LINE);
  return at < 0 ? message.length : at + 2;
}

/**
 * @param header a header section with CRLF line ends, without the empty line.
 * @returns it in ASCII; undefined where it is so already, or is not UTF-8: then nobody says what it is, and it stays.
 */
export function asciiHeader(header: Buffer): Buffer | undefined {
  if (isAscii(header) || !isUtf8(header)) return undefined;
  const pieces: Uint8Array[] = [];
  let from = 0;
  let leftBytes = MAX_CONVERTED_BYTES;
  for (const field of scanHeader(header)) {
    // What stands between fields is none: it is kept where it is ASCII.
    if (field.from > from) pieces.push(ifAscii(header.subarray(from, field.from)));
    const bytes = header.subarray(field.from, field.to);
    from = field.to;
    if (isAscii(bytes)) {
      pieces.push(bytes);
      continue;
    }
    leftBytes -= bytes.length;
    if (leftBytes < 0) continue;
    const label = header.toString('utf8', field.from, field.valueFrom);
    pieces.push(surrogate(field.name, label, bytes.toString('utf8', field.valueFrom - field.from)));
  }
  pieces.push(ifAscii(header.subarray(from)));
  return Buffer.concat(pieces);
}

/** @param label the field's name as written, with its colon. */
function surrogate(name: string, label: string, folded: string): Uint8Array {
  const value = folded.replaceAll(/\r?\n(?=[ \t])/g, '').trim();
  const written = ADDRESSES.test(name)
    ? inPieces(value, ',').map(addressInAscii).join(',\r\n ')
    : PARAMETERS.test(name)
      ? inPieces(value, ';').filter(isAsciiText).join(';\r\n ')
      : NO_WORDS.test(name)
        ? ''
        : encodedWords(value);
  return ifAscii(written === '' ? '' : `${label} ${written}\r\n`);
}

/** One of a list of addresses: a mailbox, or the begin, the end or all of a group. */
function addressInAscii(piece: string): string {
  if (isAsciiText(piece)) return piece;
  const [, group, members] = /^((?:"(?:\\.|[^"\\])*"|[^"<>@:])*):(.*)$/s.exec(piece) ?? [];
  if (group !== undefined && members !== undefined) return `${phrase(group)}: ${addressInAscii(members.trim())}`;
  const end = piece.endsWith(';') ? ';' : '';
  const mailbox = end === '' ? piece : piece.slice(0, -1).trim();
  const [, display = '', angled] = /^(.*)<([^<>]*)>[^<>]*$/s.exec(mailbox) ?? [];
  const address = (angled ?? mailbox.replaceAll(/\([^()]*\)/g, '')).trim();
  const at = address.lastIndexOf('@');
  // A domain has a form in ASCII that is the same domain.
  const domain = domainToASCII(address.slice(at + 1));
  const known = at > 0 && domain !== '' && isAsciiText(address.slice(0, at));
  const name = phrase(display) || (known ? '' : encodedWords(address));
  const written = known ? `${address.slice(0, at)}@${domain}` : NOBODY;
  return `${name === '' ? written : `${name} <${written}>`}${end}`;
}

function ifAscii(text: string | Uint8Array): Uint8Array {
  const bytes = Buffer.from(text);
  return isAscii(bytes) ? bytes : Buffer.alloc(0);
}
