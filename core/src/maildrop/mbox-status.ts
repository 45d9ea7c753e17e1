/**
 * Flags of a message in an mbox, as programs know them: the fields Status (R: read, O: not new) and X-Status (A: answered,
 * F: flagged, T: draft, D: deleted). An export puts both in front of the header, and an import takes these two lines out
 * again, and no others: a message comes back as it was, whatever Status fields are its own. What other programs wrote, anywhere in the
 * header, is read and stays. Flags of Maildir beside these (P) have no letter here. Pure.
 */

/** Letters of X-Status and of Maildir. */
const LETTERS = [
  ['A', 'R'],
  ['F', 'F'],
  ['T', 'D'],
  ['D', 'T'],
] as const;
const LF = 10;
const IN_FRONT = /^Status: ([RO]{0,2})\r?\nX-Status: ([AFTD]{0,4})\r?\n/;
const MAX_IN_FRONT_BYTES = 40;
const FIELD = /^(x-)?status:[ \t]*([a-z]*)[ \t\r]*$/i;
/** Of one as long as this, the rest was not kept: it is no Status field. */
const MAX_LINE_LENGTH = 80;
const NOTHING = Buffer.alloc(0);

/**
 * @param flags of Maildir; undefined for a message that nobody has seen.
 * @param begin of the message, at least its first line's.
 * @returns lines that go in front, with CRLF; none where they would say nothing, and nothing there could be taken for them.
 */
export function formatStatus(flags: string | undefined, begin: Uint8Array): string {
  const first = Buffer.from(begin.buffer, begin.byteOffset, Math.min(begin.length, MAX_LINE_LENGTH)).toString('latin1');
  if (flags === undefined && !first.startsWith('Status:')) return '';
  const status = flags === undefined ? '' : flags.includes('S') ? 'RO' : 'O';
  const letters = LETTERS.filter(([, flag]) => flags?.includes(flag)).map(([letter]) => letter);
  return `Status: ${status}\r\nX-Status: ${letters.join('')}\r\n`;
}

/** Reads the flags of one message while its bytes go by, and takes the lines out that an export put in front. */
export class MboxStatus {
  /** The first bytes, until there are enough. */
  #held: Buffer | undefined = NOTHING;
  /** The line under way; undefined behind the header, and where there are lines in front. */
  #line: string | undefined = '';
  #status = '';
  #extra = '';

  /** @returns the bytes that are the message's own; good as long as the chunk is. */
  push(chunk: Uint8Array): Uint8Array {
    if (this.#held === undefined) return this.#read(chunk);
    this.#held = Buffer.concat([this.#held, chunk]);
    return this.#held.length < MAX_IN_FRONT_BYTES ? NOTHING : this.end();
  }

  /** What was held back. */
  end(): Uint8Array {
    const begin = this.#held ?? NOTHING;
    this.#held = undefined;
    const [lines, status = '', extra = ''] = IN_FRONT.exec(begin.toString('latin1', 0, MAX_IN_FRONT_BYTES)) ?? [];
    if (lines === undefined) return this.#read(begin);
    [this.#line, this.#status, this.#extra] = [undefined, status, extra];
    return begin.subarray(lines.length);
  }

  /** Flags of Maildir; undefined where nobody has seen the message. */
  get flags(): string | undefined {
    const flags = LETTERS.filter(([letter]) => this.#extra.includes(letter)).map(([, flag]) => flag as string);
    if (this.#status.includes('R')) flags.push('S');
    return flags.length === 0 && !this.#status.includes('O') ? undefined : flags.sort().join('');
  }

  #read(chunk: Uint8Array): Uint8Array {
    for (let at = 0; this.#line !== undefined && at < chunk.length;) {
      const lf = chunk.indexOf(LF, at);
      const end = lf < 0 ? chunk.length : lf;
      const more = Buffer.from(chunk.buffer, chunk.byteOffset + at, Math.min(end - at, MAX_LINE_LENGTH)).toString('latin1');
      this.#line = (this.#line + more).slice(0, MAX_LINE_LENGTH);
      if (lf >= 0) this.#endLine(this.#line);
      at = end + 1;
    }
    return chunk;
  }

  #endLine(line: string): void {
    const [, extra, letters = ''] = (line.length < MAX_LINE_LENGTH && FIELD.exec(line)) || [];
    if (extra === undefined) this.#status += letters;
    else this.#extra += letters;
    this.#line = line === '' || line === '\r' ? undefined : '';
  }
}
