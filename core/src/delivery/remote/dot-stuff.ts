/**
 * The dot transparency of RFC 5321 §4.5.2 on bytes: a dot at the start of a line is doubled, the end is a lone dot.
 * Called by remote/client. Searches for CRLF-dot with indexOf and copies whole ranges; there are no strings and no lines.
 */
import { bufferOf } from '../../wire/buffer-of.ts';

const CR = 13;
const LF = 10;
const DOT = 46;

/** Start of the next line that begins with a dot: the index of that dot, or -1. `at` itself is no line start. */
function nextLeadingDot(bytes: Buffer, at: number): number {
  const found = bytes.indexOf('\r\n.', at, 'latin1');
  return found < 0 ? -1 : found + 2;
}

/**
 * A whole small message as it goes over the wire, and what is to follow it, in one buffer: one write.
 * @param following commands right behind the final dot, or nothing
 */
export function stuffWhole(message: Uint8Array, following: string): Buffer {
  const bytes = bufferOf(message);
  const size = bytes.length;
  const ended = size === 0 || (size >= 2 && bytes[size - 2] === CR && bytes[size - 1] === LF);
  const tail = `${ended ? '' : '\r\n'}.\r\n${following}`;
  let dots = size > 0 && bytes[0] === DOT ? 1 : 0;
  for (let at = nextLeadingDot(bytes, 0); at >= 0; at = nextLeadingDot(bytes, at)) dots++;
  const out = Buffer.allocUnsafe(size + dots + Buffer.byteLength(tail));
  let to = 0;
  if (dots === 0) {
    to = bytes.copy(out, 0);
  } else {
    if (bytes[0] === DOT) out[to++] = DOT;
    let from = 0;
    for (let at = nextLeadingDot(bytes, 0); at >= 0; at = nextLeadingDot(bytes, at)) {
      to += bytes.copy(out, to, from, at);
      out[to++] = DOT;
      from = at;
    }
    to += bytes.copy(out, to, from);
  }
  out.write(tail, to, 'utf8');
  return out;
}

/** The same over chunks: a CRLF may end one and the dot begin the next. One for each message. */
export class DotStuffer {
  /** The last two bytes so far; a message starts at the start of a line. */
  #before = CR;
  #last = LF;

  /** @returns the chunk with its dots doubled; the chunk itself where there are none */
  push(chunk: Uint8Array): Uint8Array {
    const bytes = bufferOf(chunk);
    if (bytes.length === 0) return bytes;
    const dots: number[] = [];
    if (this.#before === CR && this.#last === LF && bytes[0] === DOT) dots.push(0);
    // CR | LF .  with the CR in the chunk before.
    if (this.#last === CR && bytes[0] === LF && bytes[1] === DOT) dots.push(1);
    for (let at = nextLeadingDot(bytes, 0); at >= 0; at = nextLeadingDot(bytes, at)) dots.push(at);
    this.#before = bytes.length > 1 ? bytes[bytes.length - 2]! : this.#last;
    this.#last = bytes[bytes.length - 1]!;
    if (dots.length === 0) return bytes;
    const out = Buffer.allocUnsafe(bytes.length + dots.length);
    let to = 0;
    let from = 0;
    for (const at of dots) {
      to += bytes.copy(out, to, from, at);
      out[to++] = DOT;
      from = at;
    }
    bytes.copy(out, to, from);
    return out;
  }

  /** The end of the message. */
  end(): Uint8Array {
    return Buffer.from(this.#before === CR && this.#last === LF ? '.\r\n' : '\r\n.\r\n', 'latin1');
  }
}
