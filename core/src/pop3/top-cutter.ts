/**
 * Finds where TOP ends: after the header, the empty line and so many lines of the body (RFC 1939 §7).
 * Takes a message in chunks cut anywhere; a message without an empty line is all header.
 */

const LF = 10;
const CR = 13;

export class TopCutter {
  #linesLeft: number;
  #inHeader = true;
  /** Bytes of the line that the chunk before ended in. */
  #lineBytes = 0;
  #last = LF;
  #done = false;

  constructor(lines: number) {
    this.#linesLeft = lines;
  }

  /** @returns the part that belongs to the answer; undefined once it is complete. */
  take(chunk: Uint8Array): Uint8Array | undefined {
    if (this.#done) return undefined;
    let lineStart = -this.#lineBytes;
    for (let at = chunk.indexOf(LF); at >= 0; at = chunk.indexOf(LF, at + 1)) {
      if (this.#inHeader) {
        const length = at - lineStart;
        if (length === 0 || (length === 1 && (at === 0 ? this.#last : chunk[at - 1]) === CR)) this.#inHeader = false;
      } else {
        this.#linesLeft--;
      }
      lineStart = at + 1;
      if (!this.#inHeader && this.#linesLeft === 0) {
        this.#done = true;
        return chunk.subarray(0, at + 1);
      }
    }
    this.#lineBytes = chunk.length - lineStart;
    this.#last = chunk[chunk.length - 1] ?? this.#last;
    return chunk;
  }
}
