/**
 * Counts, while a message goes by, by how much its surrogate for clients without UTF-8 mode is longer (RFC 6858): LIST
 * has to tell that size without reading the message. Used at delivery, and where a file of another program is counted.
 */
import { asciiHeader, endOfHeader } from '../mail/ascii-header.ts';

/** Nobody makes a surrogate of a longer header: pop3/surrogate.ts. */
const MAX_HEADER_BYTES = 512 * 1024;

export class SurrogateSize {
  #header: Buffer | undefined = Buffer.alloc(0);
  #grownBytes = 0;

  /** The header is not over yet: what comes counts. */
  get begun(): boolean {
    return this.#header !== undefined;
  }

  /** @param chunk with CRLF line ends; not kept once the header is over. */
  push(chunk: Uint8Array): void {
    if (this.#header === undefined || chunk.length === 0) return;
    const read: Buffer = Buffer.concat([this.#header, chunk]);
    const end = endOfHeader(read);
    if (end < read.length) this.#over(read.subarray(0, end));
    else this.#header = read.length > MAX_HEADER_BYTES ? undefined : read;
  }

  /** @returns the surrogate's octets for a message that has so many; undefined where it needs none. */
  of(wireBytes: number): number | undefined {
    if (this.#header !== undefined) this.#over(this.#header);
    return this.#grownBytes === 0 ? undefined : wireBytes + this.#grownBytes;
  }

  #over(header: Buffer): void {
    this.#grownBytes = (asciiHeader(header)?.length ?? header.length) - header.length;
    this.#header = undefined;
  }
}
