/**
 * Text beyond ASCII in header fields: as encoded words (RFC 2047), and the pieces that a structured value is made of. Used by
 * mail/ascii-header and delivery/convert. Pure.
 */
import { isAscii as isAsciiText } from '../wire/address.ts';

/** RFC 2047 §2: 75 characters with `=?UTF-8?B?` and `?=`. */
const WORD_BYTES = 45;

/** A display name: as it is in ASCII, else in encoded words. */
export function phrase(text: string): string {
  const trimmed = text.trim();
  if (isAsciiText(trimmed)) return trimmed;
  const quoted = /^"((?:\\.|[^"\\])*)"$/s.exec(trimmed)?.[1];
  return encodedWords(quoted === undefined ? trimmed : quoted.replaceAll(/\\(.)/gs, '$1'));
}

/** Splits at each separator that stands outside of quotes, comments and angle brackets; pieces are trimmed. */
export function inPieces(value: string, separator: string): string[] {
  const pieces: string[] = [];
  let from = 0;
  let quoted = false;
  let depth = 0;
  for (let at = 0; at < value.length; at += 1) {
    const one = value[at]!;
    if (one === '\\') at += 1;
    else if (one === '"') quoted = !quoted;
    else if (!quoted && (one === '(' || one === '<')) depth += 1;
    else if (!quoted && (one === ')' || one === '>')) depth = Math.max(0, depth - 1);
    else if (!quoted && depth === 0 && one === separator) {
      pieces.push(value.slice(from, at).trim());
      from = at + 1;
    }
  }
  pieces.push(value.slice(from).trim());
  return pieces.filter((piece) => piece !== '');
}

/** All of a text as encoded words, one a line; no character is cut in two (RFC 2047 §5). */
export function encodedWords(text: string): string {
  const words: string[] = [];
  let word = '';
  let bytes = 0;
  for (const character of text) {
    const length = Buffer.byteLength(character);
    if (bytes + length > WORD_BYTES) {
      words.push(word);
      word = '';
      bytes = 0;
    }
    word += character;
    bytes += length;
  }
  if (word !== '') words.push(word);
  return words.map((one) => `=?UTF-8?B?${Buffer.from(one).toString('base64')}?=`).join('\r\n ');
}
