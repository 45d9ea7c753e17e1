/**
 * Cuts command lines out of the bytes of a connection; called by the SMTP session, one line at a time.
 * A line ends at CRLF and nowhere else (RFC 5321 §2.3.8). A line that is too long, holds a bare CR or LF, or a control
 * character is reported once, as soon as it is seen; the rest of it, up to its CRLF, is thrown away and never read as
 * a command. Holds at most one line's bytes between chunks, nothing while no line is begun.
 */

const LF = 10;
const CR = 13;
const SPACE = 32;
const DEL = 127;
/** How much is told of a line that is refused: its verb. */
const VERB_BYTES = 8;

/**
 * `line`: `text` is a whole line. `more`: the chunk is used up. The others are lines to be refused: over the limit,
 * with a CR or LF that is not part of CRLF, or with another control character.
 */
export type LineEvent = 'line' | 'more' | 'too-long' | 'bare-line-end' | 'control-character';

export class LineReader {
  /** The line without its CRLF, one character for each byte (Latin-1), after `next` said `line`; of a refused one how it begins. */
  text = '';
  /** Offset of the first byte that `next` did not consume. */
  at = 0;

  /** Longest line without its CRLF. */
  #maxTextBytes: number;
  #held: Buffer | undefined = undefined;
  #heldBytes = 0;
  #afterCr = false;
  /** A refused line's rest is being thrown away. */
  #skipping = false;

  /** @param maxLineBytes longest line, with its CRLF. */
  constructor(maxLineBytes: number) {
    this.#maxTextBytes = maxLineBytes - 2;
  }

  /** True in the middle of a line. */
  get begun(): boolean {
    return this.#heldBytes > 0 || this.#afterCr || this.#skipping;
  }

  /** Longest line from the next one on, with its CRLF; not to be changed in the middle of a line. */
  set maxLineBytes(bytes: number) {
    this.#maxTextBytes = bytes - 2;
  }

  /** Forgets a line that was begun. */
  reset(): void {
    this.#held = undefined;
    this.#heldBytes = 0;
    this.#afterCr = false;
    this.#skipping = false;
  }

  /** Reads on in `chunk[from, to)` up to the end of one line, or to `to`. */
  next(chunk: Buffer, from: number, to: number): LineEvent {
    let start = from;
    if (this.#skipping) {
      start = this.#skip(chunk, from, to);
      if (this.#skipping) {
        this.at = to;
        return 'more';
      }
    }
    if (this.#afterCr && start < to) {
      this.#afterCr = false;
      return chunk[start] === LF
        ? this.#complete(chunk, start, start, start + 1)
        : this.#refuse('bare-line-end', chunk, start, start);
    }
    // Index at which one more character would be one too many.
    const full = start + this.#maxTextBytes - this.#heldBytes;
    for (let at = start; at < to; at += 1) {
      const byte = chunk[at]!;
      if (byte >= SPACE && byte !== DEL) {
        if (at >= full) return this.#refuse('too-long', chunk, start, at + 1);
      } else if (byte === CR) {
        if (at + 1 === to) {
          this.#hold(chunk, start, at);
          this.#afterCr = true;
          this.at = to;
          return 'more';
        }
        return chunk[at + 1] === LF
          ? this.#complete(chunk, start, at, at + 2)
          : this.#refuse('bare-line-end', chunk, start, at + 1);
      } else {
        return this.#refuse(byte === LF ? 'bare-line-end' : 'control-character', chunk, start, at + 1);
      }
    }
    this.#hold(chunk, start, to);
    this.at = to;
    return 'more';
  }

  #complete(chunk: Buffer, from: number, to: number, next: number): LineEvent {
    this.at = next;
    if (this.#heldBytes === 0) {
      this.text = chunk.toString('latin1', from, to);
    } else {
      this.#hold(chunk, from, to);
      this.text = this.#held!.toString('latin1', 0, this.#heldBytes);
      this.#held = undefined;
      this.#heldBytes = 0;
    }
    return 'line';
  }

  #refuse(event: LineEvent, chunk: Buffer, from: number, next: number): LineEvent {
    const held = this.#held?.toString('latin1', 0, Math.min(this.#heldBytes, VERB_BYTES)) ?? '';
    this.text = held + chunk.toString('latin1', from, Math.min(next, from + VERB_BYTES - held.length));
    this.reset();
    this.#skipping = true;
    this.at = next;
    return event;
  }

  /** Throws away up to CRLF. @returns where the next line starts; `#skipping` stays set when there was no CRLF. */
  #skip(chunk: Buffer, from: number, to: number): number {
    for (let at = from; at < to; at += 1) {
      const byte = chunk[at]!;
      if (byte === LF && this.#afterCr) {
        this.reset();
        return at + 1;
      }
      this.#afterCr = byte === CR;
    }
    return to;
  }

  #hold(chunk: Buffer, from: number, to: number): void {
    if (from === to) return;
    const needed = this.#heldBytes + to - from;
    if (this.#held === undefined || this.#held.length < needed) {
      const larger = Buffer.allocUnsafeSlow(Math.min(Math.max(needed * 2, 64), this.#maxTextBytes));
      this.#held?.copy(larger, 0, 0, this.#heldBytes);
      this.#held = larger;
    }
    chunk.copy(this.#held, this.#heldBytes, from, to);
    this.#heldBytes = needed;
  }
}
