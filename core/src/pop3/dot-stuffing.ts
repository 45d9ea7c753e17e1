/**
 * Message bytes as the body of a multi-line reply (RFC 1939 §3): a dot is put before each line that begins with one,
 * and the end is CRLF, a dot, CRLF, also after a message that does not end in CRLF. Used by RETR and TOP.
 * Finds such lines by scanning for LF and dot together; where there is none, chunks pass through untouched.
 */
import { bufferOf } from '../wire/buffer-of.ts';

const LF = 10;
const CR = 13;
const DOT = 46;
const LF_DOT = Buffer.from('\n.');
const END = Buffer.from('.\r\n');
const END_AFTER_OPEN_LINE = Buffer.from('\r\n.\r\n');

export class DotStuffing {
  #last = LF;
  #lastButOne = CR;
  #bareLf = false;

  /**
   * A LF without CR was met before a dot, or at the end: a client that ends lines at CRLF alone takes no dot away there. Other
   * ones are not looked for, which would cost each message.
   */
  get bareLf(): boolean {
    return this.#bareLf || (this.#last === LF && this.#lastButOne !== CR);
  }

  /** @returns the chunk itself where no line of it begins with a dot. */
  push(chunk: Uint8Array): Uint8Array {
    const length = chunk.length;
    if (length === 0) return chunk;
    const bytes = bufferOf(chunk);
    const before = this.#last;
    const firstDot = before === LF && bytes[0] === DOT ? 0 : firstAfterLf(bytes);
    if (firstDot === 0) this.#bareLf ||= this.#lastButOne !== CR;
    this.#lastButOne = length > 1 ? bytes[length - 2]! : this.#last;
    this.#last = bytes[length - 1]!;
    return firstDot < 0 ? bytes : this.#stuff(bytes, firstDot, before);
  }

  /** What ends the reply. */
  end(): Uint8Array {
    return this.#last === LF && this.#lastButOne === CR ? END : END_AFTER_OPEN_LINE;
  }

  /** @param before the byte before these. */
  #stuff(bytes: Buffer, firstDot: number, before: number): Buffer {
    let dots = 0;
    for (let dot = firstDot; dot >= 0; dot = afterLf(bytes, dot + 1)) {
      dots++;
      if (dot > 0 && (dot === 1 ? before : bytes[dot - 2]) !== CR) this.#bareLf = true;
    }
    const stuffed = Buffer.allocUnsafe(bytes.length + dots);
    let from = 0;
    let to = 0;
    for (let dot = firstDot; dot >= 0; dot = afterLf(bytes, dot + 1)) {
      to += bytes.copy(stuffed, to, from, dot);
      stuffed[to++] = DOT;
      from = dot;
    }
    bytes.copy(stuffed, to, from);
    return stuffed;
  }
}

/** A whole message. @param onBareLf called where there was one, as DotStuffing tells of it. */
export function stuffWhole(bytes: Uint8Array, onBareLf: () => void): readonly Uint8Array[] {
  const stuffing = new DotStuffing();
  const pieces = [stuffing.push(bytes), stuffing.end()];
  if (stuffing.bareLf) onBareLf();
  return pieces;
}

/**
 * A message in chunks, the first of which was read already. The source is given back when the reader stops early.
 * @param onBareLf as above.
 */
export async function* stuffChunks(
  first: Uint8Array | undefined,
  source: AsyncIterator<Uint8Array>,
  cut: (chunk: Uint8Array) => Uint8Array | undefined,
  onBareLf: () => void,
): AsyncGenerator<Uint8Array> {
  const stuffing = new DotStuffing();
  try {
    for (let chunk = first; chunk !== undefined;) {
      const wanted = cut(chunk);
      if (wanted === undefined) break;
      yield stuffing.push(wanted);
      const next = await source.next();
      chunk = next.done === true ? undefined : next.value;
    }
  } finally {
    await source.return?.();
  }
  if (stuffing.bareLf) onBareLf();
  yield stuffing.end();
}

/** As `afterLf` from the beginning. Attachments in base64 have no dot at all: that is seen five times as fast. */
function firstAfterLf(bytes: Buffer): number {
  const dot = bytes.indexOf(DOT);
  return dot < 0 ? -1 : afterLf(bytes, Math.max(0, dot - 1));
}

/** Index of the first dot behind a LF in `bytes[from…)`, or -1. */
function afterLf(bytes: Buffer, from: number): number {
  const at = bytes.indexOf(LF_DOT, from);
  return at < 0 ? -1 : at + 1;
}
