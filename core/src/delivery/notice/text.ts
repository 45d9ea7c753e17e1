/** Pieces of text that a notice is made of. Pure. */

/** A date as RFC 5322 §3.3 writes it. */
export const dateOf = (atMs: number): string => new Date(atMs).toUTCString().replace('GMT', '+0000');

/** One line of printable ASCII. */
export const ascii = (text: string): string => text.replace(/[^\x20-\x7e]/g, '?');

/** One line of printable text (RFC 6532 §3.1). */
export const printable = (text: string): string => text.replace(/[\0-\x1f\x7f-\x9f]/g, '?');

/** A long text in lines of at most 76 characters, the later ones led by `lead`. */
export function fold(text: string, lead: string): string {
  const lines: string[] = [];
  let line = '';
  for (const word of text.split(' ')) {
    if (line !== '' && line.length + word.length > 74) {
      lines.push(line);
      line = lead;
    }
    line += line === '' || line === lead ? word.slice(0, 900) : ` ${word.slice(0, 900)}`;
  }
  return [...lines, line].join('\r\n');
}

/** Base64 in lines of 76 characters. */
export const base64Lines = (bytes: Buffer): string => bytes.toString('base64').replace(/.{76}(?=.)/g, '$&\r\n');
