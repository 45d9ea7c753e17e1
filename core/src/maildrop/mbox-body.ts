/**
 * A message as it stands in an mbox (mboxrd): lines end in LF, and one that begins with "From ", or with such a line
 * quoted before, gets a `>`. A CR before CRLF keeps that line's end as it is: so MboxSplitter and CRLF line ends give the
 * very bytes back. Works over chunk borders. Pure.
 */
import { bufferOf } from '../wire/buffer-of.ts';

const LF = 10;
const CR = 13;
const QUOTE = 62;
const FROM = Buffer.from('From ');
const QUOTE_MARK = Buffer.from('>');

export class MboxBody {
  /** Line ends: a CR that may belong to one, and what stood before it. */
  #cr = false;
  #last = 0;
  /** Where in a line: its beginning, of which so much of "From " has come. */
  #atLine = true;
  #matched = 0;

  /** @param chunk with CRLF line ends. */
  push(chunk: Uint8Array): Buffer {
    return this.#quote(this.#shorten(chunk));
  }

  /** What was held back, and the empty line that ends a message. */
  end(): Buffer {
    const rest = Buffer.concat([this.#quote(Buffer.from(this.#cr ? '\r' : '')), FROM.subarray(0, this.#matched)]);
    return Buffer.concat([rest, Buffer.from('\n')]);
  }

  #shorten(chunk: Uint8Array): Buffer {
    const bytes = this.#cr ? Buffer.concat([Buffer.from('\r'), chunk]) : bufferOf(chunk);
    const pieces: Uint8Array[] = [];
    let from = 0;
    for (let at = bytes.indexOf(LF); at >= 0; at = bytes.indexOf(LF, at + 1)) {
      const before = at >= 2 ? bytes[at - 2] : this.#last;
      if (at < 1 || bytes[at - 1] !== CR || before === CR) continue;
      pieces.push(bytes.subarray(from, at - 1));
      from = at;
    }
    this.#cr = bytes.at(-1) === CR;
    const to = this.#cr ? bytes.length - 1 : bytes.length;
    if (to > 0) this.#last = bytes[to - 1]!;
    pieces.push(bytes.subarray(from, to));
    return Buffer.concat(pieces);
  }

  #quote(chunk: Buffer): Buffer {
    const bytes = this.#matched === 0 ? chunk : Buffer.concat([FROM.subarray(0, this.#matched), chunk]);
    this.#matched = 0;
    const pieces: Uint8Array[] = [];
    let from = 0;
    let at = 0;
    while (at < bytes.length) {
      if (this.#atLine) {
        while (bytes[at] === QUOTE) at++;
        const length = Math.min(FROM.length, bytes.length - at);
        if (FROM.compare(bytes, at, at + length, 0, length) === 0) {
          if (length < FROM.length) {
            this.#matched = length;
            break;
          }
          pieces.push(bytes.subarray(from, at), QUOTE_MARK);
          from = at;
        }
        this.#atLine = false;
      }
      const lf = bytes.indexOf(LF, at);
      if (lf < 0) break;
      this.#atLine = true;
      at = lf + 1;
    }
    pieces.push(bytes.subarray(from, bytes.length - this.#matched));
    return Buffer.concat(pieces);
  }
}
