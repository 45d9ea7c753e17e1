/**
 * The text of a message as DATA sends it: ended by CRLF.CRLF, lines that begin with a dot stuffed (RFC 5321 §4.5.2).
 * Called by smtp/reception with every chunk; hands the content on in ranges as large as can be. Only the five bytes
 * CRLF.CRLF end it: anything that another server might take for an end (LF.LF, CR.CR and their mixtures) is content,
 * and sets `bareLineEnd` or `nulAtStart` so that the whole message is refused (SMTP smuggling). Bounded state, never fails.
 */
import { findLineEnd, wordsUnder } from './line-end.ts';

const NUL = 0;
const LF = 10;
const CR = 13;
const DOT = 46;
const ONE_CR = Uint8Array.of(CR);
/** Below this many bytes a view of words costs more than it saves. */
const MIN_BYTES_FOR_WORDS = 96;

/** Where in a line the next byte stands. */
const LINE_START = 0;
const IN_LINE = 1;
const AFTER_CR = 2;
/** After a dot at the start of a line; the dot itself is never content. */
const AFTER_DOT = 3;
/** After that dot and a CR, which is held back until it is known whether LF follows. */
const AFTER_DOT_CR = 4;

/** Takes the content; `chunk[from, to)` is to be copied before it returns. */
export type TakeContent = (chunk: Uint8Array, from: number, to: number) => void;

export class DotStream {
  /** CRLF.CRLF was seen; bytes after it are not the message's. */
  ended = false;
  /** A CR without LF, or a LF without CR, was in the content. */
  bareLineEnd = false;
  /** A line begins with NUL: who leaves NULs out, as some servers do, would read another line there, such as a lone dot. */
  nulAtStart = false;
  /** Content so far, without stuffed dots and without the closing dot line. */
  sizeBytes = 0;
  /** Length of the longest line with its CRLF, without a stuffed dot. */
  longestLineBytes = 0;
  /** Content up to and with the first empty line; undefined until there was one. */
  headerBytes: number | undefined = undefined;

  #state = LINE_START;
  #lineBytes = 0;
  readonly #take: TakeContent;

  constructor(take: TakeContent) {
    this.#take = take;
  }

  /**
   * Takes `chunk[from, to)` as far as it belongs to the message.
   * @returns offset of the first byte not consumed: `to`, or what follows CRLF.CRLF when `ended` is set.
   */
  take(chunk: Uint8Array, from: number, to: number): number {
    const words = to - from >= MIN_BYTES_FOR_WORDS ? wordsUnder(chunk) : undefined;
    let state = this.#state;
    let at = from;
    let contentFrom = from;
    while (at < to) {
      if (state === IN_LINE) {
        const end = findLineEnd(chunk, words, at, to);
        this.#lineBytes += end - at;
        at = end;
        if (at === to) break;
        this.#lineBytes += 1;
        if (chunk[at] === LF) this.bareLineEnd = true;
        else state = AFTER_CR;
        at += 1;
      } else if (state === AFTER_CR) {
        if (chunk[at] === LF) {
          at += 1;
          this.#endLine(at - contentFrom);
          state = LINE_START;
        } else {
          this.bareLineEnd = true;
          state = IN_LINE;
        }
      } else if (state === LINE_START) {
        if (chunk[at] === DOT) {
          this.#content(chunk, contentFrom, at);
          at += 1;
          contentFrom = at;
          state = AFTER_DOT;
        } else {
          if (chunk[at] === NUL) this.nulAtStart = true;
          state = IN_LINE;
        }
      } else if (state === AFTER_DOT) {
        if (chunk[at] === CR) {
          at += 1;
          contentFrom = at;
          state = AFTER_DOT_CR;
        } else {
          if (chunk[at] === NUL) this.nulAtStart = true;
          state = IN_LINE;
        }
      } else if (chunk[at] === LF) {
        this.ended = true;
        return at + 1;
      } else {
        this.bareLineEnd = true;
        this.#content(ONE_CR, 0, 1);
        this.#lineBytes += 1;
        state = IN_LINE;
      }
    }
    this.#content(chunk, contentFrom, to);
    this.#state = state;
    if (this.#lineBytes > this.longestLineBytes) this.longestLineBytes = this.#lineBytes;
    return to;
  }

  /** @param pendingBytes content of this chunk that was not yet handed on. */
  #endLine(pendingBytes: number): void {
    const lineBytes = this.#lineBytes + 1;
    if (lineBytes > this.longestLineBytes) this.longestLineBytes = lineBytes;
    if (lineBytes === 2 && this.headerBytes === undefined) this.headerBytes = this.sizeBytes + pendingBytes;
    this.#lineBytes = 0;
  }

  #content(chunk: Uint8Array, from: number, to: number): void {
    if (from === to) return;
    this.sizeBytes += to - from;
    this.#take(chunk, from, to);
  }
}
