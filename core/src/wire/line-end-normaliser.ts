/**
 * Makes every line of a text end in CRLF: a bare CR or a bare LF becomes one. Called by smtp/reception for listeners that
 * normalise, behind the framing, which alone says where the message ends: what comes out here is content and nothing
 * else, and dots are left as they are. Measures what it hands on. Bounded state, never fails.
 */
import type { TakeContent } from './dot-stream.ts';
import { findLineEnd, wordsUnder } from './line-end.ts';

const NUL = 0;
const LF = 10;
const CR = 13;
const CRLF = Uint8Array.of(CR, LF);
/** Below this many bytes a view of words costs more than it saves. */
const MIN_BYTES_FOR_WORDS = 96;

export class LineEndNormaliser {
  /** A line begins with NUL: who leaves NULs out, as some servers do, would read another line there, such as a lone dot. */
  nulAtStart = false;
  sizeBytes = 0;
  /** Length of the longest line with its CRLF. */
  longestLineBytes = 0;
  /** Up to and with the first empty line; undefined until there was one. */
  headerBytes: number | undefined = undefined;
  #lineBytes = 0;
  /** A CR is held back until it is known what follows it. */
  #heldCr = false;
  readonly #take: TakeContent;

  constructor(take: TakeContent) {
    this.#take = take;
  }

  take(chunk: Uint8Array, from: number, to: number): void {
    if (from === to) return;
    const words = to - from >= MIN_BYTES_FOR_WORDS ? wordsUnder(chunk) : undefined;
    let at = from;
    if (this.#heldCr) {
      this.#endHere();
      if (chunk[at] === LF) at += 1;
    }
    let pendingFrom = at;
    while (at < to) {
      if (this.#lineBytes === 0 && chunk[at] === NUL) this.nulAtStart = true;
      const end = findLineEnd(chunk, words, at, to);
      this.#lineBytes += end - at;
      if (end === to) break;
      if (chunk[end] === CR && end + 1 === to) {
        this.#hand(chunk, pendingFrom, end);
        this.#heldCr = true;
        return;
      }
      if (chunk[end] === CR && chunk[end + 1] === LF) {
        at = end + 2;
        this.#endLine(this.sizeBytes + at - pendingFrom);
        continue;
      }
      this.#hand(chunk, pendingFrom, end);
      this.#endHere();
      at = end + 1;
      pendingFrom = at;
    }
    this.#hand(chunk, pendingFrom, to);
    if (this.#lineBytes > this.longestLineBytes) this.longestLineBytes = this.#lineBytes;
  }

  /** The text is whole. */
  finish(): void {
    if (this.#heldCr) this.#endHere();
  }

  #endHere(): void {
    this.#heldCr = false;
    this.#hand(CRLF, 0, CRLF.length);
    this.#endLine(this.sizeBytes);
  }

  /** @param endBytes of the text up to and with this line's end */
  #endLine(endBytes: number): void {
    if (this.#lineBytes === 0) this.headerBytes ??= endBytes;
    const lineBytes = this.#lineBytes + CRLF.length;
    if (lineBytes > this.longestLineBytes) this.longestLineBytes = lineBytes;
    this.#lineBytes = 0;
  }

  #hand(chunk: Uint8Array, from: number, to: number): void {
    if (from === to) return;
    this.sizeBytes += to - from;
    this.#take(chunk, from, to);
  }
}
