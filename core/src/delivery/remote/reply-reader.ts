/**
 * Bytes from an SMTP server to whole replies (RFC 5321 §4.2), for remote/client. Scans bytes and makes no string: most
 * replies are a 250 nobody reads. Pure. A reply beyond the bounds or that is no reply is a problem; after one the reader
 * takes nothing more, and the connection is to be closed.
 */

/** Bytes of one reply with all of its lines. */
const MAX_REPLY_BYTES = 16 * 1024;
const MAX_REPLY_LINES = 128;
/** Of a reply kept for logs, states and bounces. */
const MAX_TEXT_CHARS = 500;

const LF = 10;
const SPACE = 32;
const DASH = 45;
const ZERO = 48;

/** A reply as it lies in the bytes; valid only during the call it is passed to. */
export interface RawReply {
  readonly code: number;
  readonly bytes: Uint8Array;
  readonly from: number;
  readonly to: number;
}

/** Takes a reply. @returns false to take no more of this chunk (a STARTTLS was answered, the connection is closing). */
export type TakeReply = (reply: RawReply) => boolean;

export type ReplyProblem = 'malformed' | 'too-long';

export class ReplyReader {
  #held: Uint8Array = new Uint8Array(0);
  #problem: ReplyProblem | undefined;

  /** A reply has begun that has no end yet. */
  get isWithinReply(): boolean {
    return this.#held.length > 0;
  }

  /**
   * Hands every whole reply to `take`, in order; an unfinished one is kept.
   * @returns a problem, or how many bytes `take` left behind by saying false
   */
  feed(chunk: Uint8Array, take: TakeReply): ReplyProblem | number {
    if (this.#problem !== undefined) return this.#problem;
    let bytes = chunk;
    if (this.#held.length > 0) {
      bytes = new Uint8Array(this.#held.length + chunk.length);
      bytes.set(this.#held);
      bytes.set(chunk, this.#held.length);
      this.#held = new Uint8Array(0);
    }
    let start = 0;
    while (start < bytes.length) {
      const end = this.#endOfReply(bytes, start);
      if (end === undefined) break;
      if (typeof end === 'string') return (this.#problem = end);
      const code = (bytes[start]! - ZERO) * 100 + (bytes[start + 1]! - ZERO) * 10 + (bytes[start + 2]! - ZERO);
      if (!take({ code, bytes, from: start, to: end })) return bytes.length - end;
      start = end;
    }
    // A copy: the caller may use its buffer again.
    if (start < bytes.length) this.#held = bytes.slice(start);
    return 0;
  }

  /** Index behind the last line of the reply at `start`; undefined when more bytes are needed. */
  #endOfReply(bytes: Uint8Array, start: number): number | undefined | ReplyProblem {
    let line = start;
    for (let lines = 1; ; lines++) {
      const lf = bytes.indexOf(LF, line);
      if (lf < 0) {
        if (bytes.length - start > MAX_REPLY_BYTES) return 'too-long';
        // Garbage is told from a slow reply by its first bytes, not after a timeout.
        return bytes.length - line >= 4 && !isReplyStart(bytes, line) ? 'malformed' : undefined;
      }
      if (lf + 1 - start > MAX_REPLY_BYTES || lines > MAX_REPLY_LINES) return 'too-long';
      if (!isReplyStart(bytes, line)) return 'malformed';
      for (let at = 0; at < 3; at++) if (bytes[line + at] !== bytes[start + at]) return 'malformed';
      if (bytes[line + 3] !== DASH) return lf + 1;
      line = lf + 1;
    }
  }
}

/** Three digits, 2yz to 5yz, and a space, a dash or the end of the line. */
function isReplyStart(bytes: Uint8Array, at: number): boolean {
  const first = bytes[at]! - ZERO;
  const second = bytes[at + 1]! - ZERO;
  const third = bytes[at + 2]! - ZERO;
  if (!(first >= 2 && first <= 5 && second >= 0 && second <= 9 && third >= 0 && third <= 9)) return false;
  const fourth = bytes[at + 3];
  return fourth === SPACE || fourth === DASH || fourth === 13 || fourth === LF;
}

/** The texts of a reply's lines, without codes; for EHLO and for what people read. Printable ASCII only. */
export function linesOf({ bytes, from, to }: RawReply): string[] {
  const lines: string[] = [];
  for (let at = from; at < to;) {
    const lf = bytes.indexOf(LF, at);
    let end = lf - 1;
    while (end >= at && bytes[end]! <= SPACE) end--;
    lines.push(printable(bytes, at + 4, end + 1));
    at = lf + 1;
  }
  return lines;
}

/** A reply as one line of printable ASCII, bounded: what is logged, kept in the queue and quoted in a bounce. */
export function textOf(reply: RawReply): string {
  const text = `${reply.code} ${linesOf(reply).join(' ')}`.trimEnd();
  return text.length <= MAX_TEXT_CHARS ? text : `${text.slice(0, MAX_TEXT_CHARS - 3)}...`;
}

/** What a peer sends is shown to people and terminals: no control characters, nothing outside ASCII. */
function printable(bytes: Uint8Array, from: number, to: number): string {
  let text = '';
  for (let at = from; at < to; at++) {
    const byte = bytes[at]!;
    text += byte === 9 ? ' ' : byte >= SPACE && byte < 127 ? String.fromCharCode(byte) : '?';
  }
  return text;
}
