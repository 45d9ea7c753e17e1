/**
 * A message as the octets of one BDAT (RFC 3030 §2): what dots and line ends are does not matter, what was announced is
 * sent, neither more nor less. Called by remote/client for whole messages and by remote/connection for streamed ones.
 */

/** The command that the octets follow. */
export function lastChunkLine(sizeBytes: number): string {
  return `BDAT ${sizeBytes} LAST\r\n`;
}

/**
 * A whole small message as it goes over the wire, and what is to follow it, in one buffer: one write.
 * @param following commands right behind the last octet, or nothing
 */
export function asLastChunk(message: Uint8Array, following: string): Buffer {
  return Buffer.concat([Buffer.from(lastChunkLine(message.length), 'latin1'), message, Buffer.from(following, 'utf8')]);
}

/** The same over chunks. One for each message. */
export class OctetCounter {
  #missingBytes: number;

  constructor(sizeBytes: number) {
    this.#missingBytes = sizeBytes;
  }

  /** @returns the chunk. @throws Error when it is more than was announced: nothing of it may go out */
  push(chunk: Uint8Array): Uint8Array {
    this.#missingBytes -= chunk.length;
    if (this.#missingBytes < 0) throw new Error('longer than its envelope says');
    return chunk;
  }

  /** The end of the message: nothing more is to be written. @throws Error when octets are missing that the peer waits for */
  end(): Uint8Array {
    if (this.#missingBytes > 0) throw new Error('shorter than its envelope says');
    return new Uint8Array(0);
  }
}
