/**
 * The content of a delivery status (RFC 3464 §2.1) and of the other reports that have the form of header fields, in ASCII:
 * they MUST be 7-bit and may have no transfer encoding, since programs read them as they are. Used by convert/convert, line by
 * line, of which none is too long (convert/tally). Pure.
 */
import { isAscii, isUtf8 } from 'node:buffer';
import { encodedWords } from '../../mail/header-text.ts';
import { toUnicodeXtext } from '../notice/address.ts';

const CRLF = '\r\n';
/** A name, maybe a type, and what is of that type. */
const FIELD = /^([\x21-\x39\x3b-\x7e]+:[ \t]*)(?:([\x21-\x3a\x3c-\x7e]+)[ \t]*;[ \t]*)?(.*)$/s;

export class StatusLines {
  #rest: Buffer = Buffer.alloc(0);

  push(bytes: Uint8Array): Uint8Array {
    const all = Buffer.concat([this.#rest, bytes]);
    const end = all.lastIndexOf(CRLF);
    this.#rest = Buffer.from(all.subarray(end < 0 ? 0 : end + 2));
    if (end < 0) return Buffer.alloc(0);
    const whole = all.subarray(0, end + 2);
    if (isAscii(whole)) return whole;
    const lines: string[] = [];
    for (let from = 0; from < whole.length;) {
      const to = whole.indexOf(CRLF, from);
      lines.push(inAscii(whole.subarray(from, to)), CRLF);
      from = to + 2;
    }
    return Buffer.from(lines.join(''), 'latin1');
  }

  end(): Uint8Array {
    const last = inAscii(this.#rest);
    this.#rest = Buffer.alloc(0);
    return Buffer.from(last, 'latin1');
  }
}

function inAscii(line: Buffer): string {
  if (isAscii(line)) return line.toString('latin1');
  if (!isUtf8(line)) return line.toString('latin1').replaceAll(/[^\0-\x7f]/g, '?');
  const text = line.toString('utf8');
  const [, name, type, value = ''] = FIELD.exec(text) ?? [];
  if (name === undefined) return ` ${encodedWords(text.trim())}`;
  // RFC 6533 §3: the form of such an address in a report that is ASCII.
  if (/-recipient:/i.test(name)) return `${name}utf-8; ${toUnicodeXtext(value)}`;
  return `${name}${type === undefined ? '' : `${type}; `}${encodedWords(value)}`;
}
