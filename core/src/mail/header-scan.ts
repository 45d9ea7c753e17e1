/**
 * Finds the fields of a header section by bytes, for loop detection, header edits and whoever needs one field.
 * Never turns the header into a string. Damaged headers are mail's daily bread: a line that is neither a field nor a
 * continuation is passed over, as most readers of mail do; only the empty line ends the header.
 */
import { trimBlanks } from '../wire/blanks.ts';

const LF = 10;
const CR = 13;
const TAB = 9;
const SPACE = 32;
const COLON = 58;
const DEL = 127;

/** One field with its folded lines: `bytes[from, to)` with the closing line end. */
export interface HeaderField {
  /** In lower case. */
  readonly name: string;
  readonly from: number;
  /** Index after the colon. */
  readonly valueFrom: number;
  readonly to: number;
}

/** All fields of the header section that `header` begins with, in order. */
export function scanHeader(header: Uint8Array): HeaderField[] {
  const fields: HeaderField[] = [];
  let from = 0;
  while (from < header.length && header[from] !== CR && header[from] !== LF) {
    const colon = endOfName(header, from);
    const to = endOfField(header, from);
    if (colon >= 0)
      fields.push({ name: text(header, from, nameEnd(header, from, colon)).toLowerCase(), from, valueFrom: colon + 1, to });
    from = to;
  }
  return fields;
}

/** How many fields of this name (lower case) the header section has. */
export function countFields(header: Uint8Array, name: string): number {
  const first = name.charCodeAt(0);
  let count = 0;
  let from = 0;
  while (from < header.length && header[from] !== CR && header[from] !== LF) {
    if ((header[from]! | 32) === first) {
      const colon = endOfName(header, from);
      if (colon >= 0 && nameEnd(header, from, colon) - from === name.length) {
        if (text(header, from, from + name.length).toLowerCase() === name) count += 1;
      }
    }
    from = endOfField(header, from);
  }
  return count;
}

/**
 * Whether a line that is no field has control characters where a field has its name. Readers that leave those out see a
 * field there: `Fr\0om:`.
 */
export function hasControlInName(header: Uint8Array): boolean {
  let from = 0;
  while (from < header.length && header[from] !== CR && header[from] !== LF) {
    const to = endOfField(header, from);
    for (let at = from; at < to; at += 1) {
      const byte = header[at]!;
      if (byte === COLON || byte === CR || byte === LF) break;
      if ((byte < SPACE && byte !== TAB) || byte === DEL) return true;
    }
    from = to;
  }
  return false;
}

/** The value of a field, unfolded and trimmed, one character for each byte. */
export function unfoldedValue(header: Uint8Array, field: HeaderField): string {
  const folded = text(header, field.valueFrom, field.to).replace(/\r?\n$/, '');
  return trimBlanks(folded.replaceAll(/\r?\n(?=[ \t])/g, ''));
}

/** @returns index of the colon after the field name at `from`, or -1 when the line is no field. */
function endOfName(header: Uint8Array, from: number): number {
  for (let at = from; at < header.length; at += 1) {
    const byte = header[at]!;
    if (byte === COLON) return at === from ? -1 : at;
    // RFC 5322 §4.5 (obsolete syntax): blanks may stand between name and colon.
    if (byte === SPACE || byte === TAB) {
      if (at === from) return -1;
      let next = at;
      while (header[next] === SPACE || header[next] === TAB) next += 1;
      return header[next] === COLON ? next : -1;
    }
    if (byte < 33 || byte > 126) return -1;
  }
  return -1;
}

function nameEnd(header: Uint8Array, from: number, colon: number): number {
  let end = colon;
  while (end > from && (header[end - 1] === SPACE || header[end - 1] === TAB)) end -= 1;
  return end;
}

/** @returns index after the last line of the field, continuation lines included. */
function endOfField(header: Uint8Array, from: number): number {
  let at = from;
  for (;;) {
    const lf = header.indexOf(LF, at);
    if (lf < 0) return header.length;
    at = lf + 1;
    const next = header[at];
    if (next !== SPACE && next !== TAB) return at;
  }
}

function text(bytes: Uint8Array, from: number, to: number): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset + from, to - from).toString('latin1');
}
