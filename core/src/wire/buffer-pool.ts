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
  readonly #fresh = new WeakSet<Buffer>();
  readonly #lent = new Set<Buffer>();

  /** @returns a buffer of at least so many bytes, with anything in it. */
  take(leastBytes = 0): Buffer {
    if (this.#lent.size >= MAX_LARGE || leastBytes > LARGE_BYTES) {
      const fresh = Buffer.allocUnsafeSlow(Math.max(SMALL_BYTES, leastBytes));
      this.#fresh.add(fresh);
      return fresh;
    }
    const buffer = this.#free.pop() ?? Buffer.allocUnsafeSlow(LARGE_BYTES);
    this.#lent.add(buffer);
    return buffer;
  }

  /**
   * Gives back what `take` gave, when nobody will look at it any more.
   * @throws when it is not lent: given back twice it would be lent to two, and one would send the other's mail.
   */
  give(buffer: Buffer): void {
    if (this.#lent.delete(buffer)) this.#free.push(buffer);
    else if (!this.#fresh.delete(buffer)) throw new Error('a buffer was given back that is not lent');
  }
}
