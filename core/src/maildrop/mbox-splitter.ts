/**
 * Cuts an mbox into its messages, as bytes come. A message begins with a From_ line that has a date; the empty line before
 * the next one is not part of it. `>From ` loses one `>`: the whole quoting of mboxrd, and all there is of mboxo's. A line
 * "From " without a date is text, for there are programs that quote nothing. Content-Length is not looked at: it is
 * often wrong, and written by strangers. Holds no more than one From_ line back. Pure.
 */
import { MAX_FROM_LINE_BYTES, parseFromLine } from './from-line.ts';

/** A message begins, of that date; or these are its next bytes, line ends as they are in the file. */
export type MboxPart = { readonly dateMs: number } | { readonly bytes: Uint8Array };

/** How a line begins; `more`: the bytes so far do not tell. `at` is where its text begins, without a quote. */
type Line =
  | { readonly is: 'more' | 'blank' | 'text' | 'quoted'; readonly at: number }
  | { readonly is: 'from'; readonly at: number; readonly dateMs: number };

const LF = 10;
const CR = 13;
const QUOTE = 62;
const FROM = Buffer.from('From ');

export class MboxSplitter {
  #held: Buffer = Buffer.alloc(0);
  #atLine = true;
  #begun = false;

  /** @throws Error when the first line is no From_ line. */
  push(chunk: Buffer): MboxPart[] {
    return this.#take(this.#held.length === 0 ? chunk : Buffer.concat([this.#held, chunk]), false);
  }

  /** What was held back at the end of the file. @throws as `push` does. */
  end(): MboxPart[] {
    return this.#take(this.#held, true);
  }

  #take(bytes: Buffer, last: boolean): MboxPart[] {
    const parts: MboxPart[] = [];
    const give = (from: number, to: number): void => {
      if (to > from && this.#begun) parts.push({ bytes: bytes.subarray(from, to) });
    };
    this.#held = bytes.subarray(bytes.length);
    let given = 0;
    let blank = -1;
    let at = this.#atLine ? 0 : nextLine(bytes, 0);
    while (at < bytes.length) {
      const line = readLine(bytes, at, last);
      if (line.is === 'more') {
        const from = blank < 0 || line.at > at ? line.at : blank;
        give(given, from);
        this.#held = Buffer.from(bytes.subarray(from));
        this.#atLine = true;
        return parts;
      }
      if (line.is === 'from') {
        give(given, blank < 0 ? at : blank);
        this.#begun = true;
        parts.push({ dateMs: line.dateMs });
        given = nextLine(bytes, at);
      } else if (line.is !== 'blank' && !this.#begun) {
        throw new Error('no mbox: its first line is not "From SENDER DATE"');
      } else if (line.is === 'quoted') {
        give(given, line.at - 1);
        given = line.at;
      }
      blank = line.is === 'blank' ? at : -1;
      at = nextLine(bytes, at);
    }
    this.#atLine = bytes.length === 0 ? this.#atLine : bytes.at(-1) === LF;
    // Whether it belongs to the message the next line tells.
    const end = blank < 0 ? bytes.length : blank;
    give(given, end);
    if (!last) this.#held = Buffer.from(bytes.subarray(end));
    if (blank >= 0) this.#atLine = true;
    return parts;
  }
}

function readLine(bytes: Buffer, at: number, last: boolean): Line {
  const first = bytes[at];
  if (first === LF) return { is: 'blank', at };
  if (first === CR) {
    if (at + 1 < bytes.length) return { is: bytes[at + 1] === LF ? 'blank' : 'text', at };
    return { is: last ? 'text' : 'more', at };
  }
  let text = at;
  while (bytes[text] === QUOTE) text++;
  const length = Math.min(FROM.length, bytes.length - text);
  if (FROM.compare(bytes, text, text + length, 0, length) !== 0) return { is: 'text', at };
  // However many quotes there are, one is enough to be held back.
  if (length < FROM.length) return last ? { is: 'text', at } : { is: 'more', at: text > at ? text - 1 : at };
  if (text > at) return { is: 'quoted', at: text };
  const end = bytes.subarray(at, at + MAX_FROM_LINE_BYTES).indexOf(LF);
  if (end < 0 && !last && bytes.length - at < MAX_FROM_LINE_BYTES) return { is: 'more', at };
  const dateMs = parseFromLine(bytes.toString('latin1', at, at + (end < 0 ? MAX_FROM_LINE_BYTES : end)).trimEnd());
  return dateMs === undefined ? { is: 'text', at } : { is: 'from', at, dateMs };
}

function nextLine(bytes: Buffer, from: number): number {
  const lf = bytes.indexOf(LF, from);
  return lf < 0 ? bytes.length : lf + 1;
}
