/**
 * Large buffers that are used again and again, for what is read from files and written to peers. Fresh memory costs more
 * than the reading and the writing do: each page of it is a fault, and V8 collects its whole heap when enough of it has
 * gone through (docs/decisions/maildrop-syscalls.md). One pool for each thread. Past a bound the buffers are fresh and
 * small: a thousand clients that are slow must not hold a thousand large ones.
 */

const LARGE_BYTES = 256 * 1024;
const SMALL_BYTES = 16 * 1024;
const MAX_LARGE = 64;

export class BufferPool {
  readonly #free: Buffer[] = [];
  #lent = 0;

  /** @returns a buffer of at least so many bytes, with anything in it. */
  take(leastBytes = 0): Buffer {
    if (this.#lent >= MAX_LARGE || leastBytes > LARGE_BYTES) return Buffer.allocUnsafeSlow(Math.max(SMALL_BYTES, leastBytes));
    this.#lent++;
    return this.#free.pop() ?? Buffer.allocUnsafeSlow(LARGE_BYTES);
  }

  /** Gives back what `take` gave, once, when nobody will look at it any more. */
  give(buffer: Buffer): void {
    if (buffer.length !== LARGE_BYTES) return;
    this.#lent--;
    this.#free.push(buffer);
  }
}
