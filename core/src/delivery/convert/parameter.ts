/** A parameter of Content-Type or Content-Disposition in ASCII, such as the name of an attachment (RFC 2231). Pure. */
import { isAscii } from '../../wire/address.ts';

/** Of a value in one line; a longer one has several (RFC 2231 §3). */
const MAX_VALUE = 60;

/** `*`, `'`, `(` and `)` have other uses there. */
const percentEncoded = (text: string): string =>
  encodeURIComponent(text).replace(/[*'()]/g, (one) => `%${one.charCodeAt(0).toString(16).toUpperCase()}`);

/** A value, encoded, in pieces that fit into a line; no character is cut in two. */
function linesOf(value: string): string[] {
  const lines: string[] = [];
  let line = '';
  for (const character of value) {
    const written = percentEncoded(character);
    if (line.length + written.length > MAX_VALUE) {
      lines.push(line);
      line = '';
    }
    line += written;
  }
  return [...lines, line];
}

/** @returns the name of a parameter in lower case, without what RFC 2231 puts behind it; empty when it is none */
const nameOf = (piece: string): string => (/^([^\s=*]+)[^=]*=/.exec(piece)?.[1] ?? '').toLowerCase();

/** A parameter of which RFC 2231 says the charset itself. */
const isExtended = (piece: string): boolean => /^[^\s=*]+(?:\*0)?\*\s*=/.test(piece);

/** The parameters of a field, each in ASCII; what is none goes where it is beyond that, as a comment. */
export function parametersInAscii(pieces: readonly string[]): string[] {
  const said = new Set(pieces.filter((piece) => isAscii(piece) && isExtended(piece)).map(nameOf));
  return pieces.flatMap((piece) => {
    if (isAscii(piece)) return [piece];
    const [, name, base, section, star, given = ''] = /^(([^\s=*]+)(?:\*(\d+))?(\*)?)\s*=\s*(.*)$/s.exec(piece) ?? [];
    // Programs say it in both ways: then the one for old readers is the one that may go.
    if (name === undefined || !isAscii(name) || said.has(nameOf(piece))) return [];
    const quoted = /^"((?:\\.|[^"\\])*)"/s.exec(given)?.[1];
    const value = quoted === undefined ? given.replaceAll(/\([^()]*\)/g, '').trim() : quoted.replaceAll(/\\(.)/gs, '$1');
    if (star !== undefined) return [`${name}=${value.replaceAll(/[^\0-\x7f]+/g, encodeURIComponent)}`];
    if (section !== undefined) return [`${base}*${section}*=${section === '0' ? "UTF-8''" : ''}${percentEncoded(value)}`];
    const lines = linesOf(value);
    if (lines.length === 1) return [`${name}*=UTF-8''${lines[0]}`];
    return lines.map((line, index) => `${name}*${index}*=${index === 0 ? "UTF-8''" : ''}${line}`);
  });
}
