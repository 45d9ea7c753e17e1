/**
 * Message bytes as they go over the wire: each line ended by CRLF, the last one too. Mail delivered here is stored in
 * that form; files that other programs put into a Maildir have LF. Used to count such files once, and to serve them.
 * Works on bytes and over chunk borders; a CR that no LF follows stays what it is.
 */
import { bufferOf } from '../wire/buffer-of.ts';

const LF = 10;
const CR = 13;
const CRLF = Buffer.from('\r\n');
const NOTHING = new Uint8Array(0);

/** Counts bytes as stored and as sent. */
export class WireCounter {
  /** Bytes seen. */
  fileBytes = 0;
  #bareLfs = 0;
  #last = 0;

  push(chunk: Uint8Array): void {
    const length = chunk.length;
    if (length === 0) return;
    this.#bareLfs += countBareLfs(chunk, this.#last);
    this.#last = chunk[length - 1] ?? 0;
    this.fileBytes += length;
  }

  /** True when what was seen ends a line, or is empty. */
  get endsLine(): boolean {
    return this.fileBytes === 0 || this.#last === LF;
  }

  /** Bytes with CRLF line ends, the missing last one included. */
  get wireBytes(): number {
    return this.fileBytes + this.#bareLfs + (this.endsLine ? 0 : 2);
  }
}

/** Gives each chunk with CRLF line ends; `end` gives what is missing at the end. */
export class CrlfStream {
  /** The byte before the chunk; undefined before the first: a LF that begins the message is a bare one. */
  #last: number | undefined;

  /** @returns the chunk itself where nothing is to be changed. */
  push(chunk: Uint8Array): Uint8Array {
    if (chunk.length === 0) return chunk;
    const last = this.#last;
    this.#last = chunk[chunk.length - 1];
    const bareLfs = countBareLfs(chunk, last);
    return bareLfs === 0 ? chunk : withCrs(bufferOf(chunk), last, bareLfs);
  }

  end(): Uint8Array {
    return this.#last === undefined || this.#last === LF ? NOTHING : CRLF;
  }
}

/** @param last the byte before the chunk. */
function countBareLfs(chunk: Uint8Array, last: number | undefined): number {
  let count = 0;
  for (let at = chunk.indexOf(LF); at >= 0; at = chunk.indexOf(LF, at + 1)) {
    if ((at === 0 ? last : chunk[at - 1]) !== CR) count++;
  }
  return count;
}

/** Counted before, then copied line by line into place: no piece of it becomes an object of its own. */
function withCrs(chunk: Buffer, last: number | undefined, bareLfs: number): Buffer {
  const made = Buffer.allocUnsafe(chunk.length + bareLfs);
  let from = 0;
  let to = 0;
  for (let at = chunk.indexOf(LF); at >= 0; at = chunk.indexOf(LF, at + 1)) {
    if ((at === 0 ? last : chunk[at - 1]) === CR) continue;
    to += chunk.copy(made, to, from, at);
    made[to++] = CR;
    from = at;
  }
  chunk.copy(made, to, from);
  return made;
}

/** A whole message with CRLF line ends. */
export function toCrlf(bytes: Uint8Array): Uint8Array {
  const stream = new CrlfStream();
  const body = stream.push(bytes);
  const rest = stream.end();
  return rest.length === 0 ? body : Buffer.concat([body, rest]);
}
