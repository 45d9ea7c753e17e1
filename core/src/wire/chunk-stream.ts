/**
 * The content of a message as BDAT sends it: counted octets, no dots, no end mark (RFC 3030 §2). Called by
 * smtp/reception with every piece; watches the same things as wire/dot-stream, so that a text message is held to the
 * same rules however it came: a bare CR or LF sets `bareLineEnd` (a next hop that is sent it by DATA could be smuggled
 * to), and a last line without an end is given one by `finish`. Of a binary message (BODY=BINARYMIME) only the header
 * is text; behind it nothing is looked at and nothing changed. Bounded state, never fails.
 */
import type { TakeContent } from './dot-stream.ts';
import { findLineEnd, wordsUnder } from './line-end.ts';

const NUL = 0;
const LF = 10;
const CRLF = Uint8Array.of(13, 10);
/** Below this many bytes a view of words costs more than it saves. */
const MIN_BYTES_FOR_WORDS = 96;

export class ChunkStream {
  /** The last chunk is whole: `finish` was called. */
  ended = false;
  /** A CR without LF, or a LF without CR, was in the text. */
  bareLineEnd = false;
  /** A line begins with NUL: who leaves NULs out, as some servers do, would read another line there, such as a lone dot. */
  nulAtStart = false;
  sizeBytes = 0;
  /** Length of the longest line of text with its CRLF. */
  longestLineBytes = 0;
  /** Content up to and with the first empty line; undefined until there was one. */
  headerBytes: number | undefined = undefined;

  #lineBytes = 0;
  #afterCr = false;
  readonly #take: TakeContent;
  readonly #binary: boolean;

  constructor(take: TakeContent, binary: boolean) {
    this.#take = take;
    this.#binary = binary;
  }

  /** Takes all of `chunk[from, to)`. @returns `to`. */
  take(chunk: Uint8Array, from: number, to: number): number {
    if (!this.#pastText) this.#watch(chunk, from, to);
    this.#content(chunk, from, to);
    return to;
  }

  /** The last chunk is whole. */
  finish(): void {
    this.ended = true;
    if (this.#pastText) return;
    if (this.#afterCr) this.bareLineEnd = true;
    else if (this.#lineBytes > 0) {
      this.#lineBytes += 1;
      this.#endLine(this.sizeBytes + CRLF.length);
      this.#content(CRLF, 0, CRLF.length);
    }
  }

  /** What comes now is not text. */
  get #pastText(): boolean {
    return this.#binary && this.headerBytes !== undefined;
  }

  #watch(chunk: Uint8Array, from: number, to: number): void {
    const words = to - from >= MIN_BYTES_FOR_WORDS ? wordsUnder(chunk) : undefined;
    let at = from;
    while (at < to) {
      if (this.#afterCr) {
        this.#afterCr = false;
        if (chunk[at] !== LF) {
          this.bareLineEnd = true;
          continue;
        }
        at += 1;
        this.#endLine(this.sizeBytes + at - from);
        if (this.#pastText) return;
      } else {
        if (this.#lineBytes === 0 && chunk[at] === NUL) this.nulAtStart = true;
        const end = findLineEnd(chunk, words, at, to);
        this.#lineBytes += end - at;
        at = end;
        if (at === to) break;
        this.#lineBytes += 1;
        if (chunk[at] === LF) this.bareLineEnd = true;
        else this.#afterCr = true;
        at += 1;
      }
    }
    if (this.#lineBytes > this.longestLineBytes) this.longestLineBytes = this.#lineBytes;
  }

  /** @param endBytes content up to and with this line's end. */
  #endLine(endBytes: number): void {
    const lineBytes = this.#lineBytes + 1;
    if (lineBytes > this.longestLineBytes) this.longestLineBytes = lineBytes;
    if (lineBytes === 2 && this.headerBytes === undefined) this.headerBytes = endBytes;
    this.#lineBytes = 0;
  }

  #content(chunk: Uint8Array, from: number, to: number): void {
    if (from === to) return;
    this.sizeBytes += to - from;
    this.#take(chunk, from, to);
  }
}
