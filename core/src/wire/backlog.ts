/**
 * Input that came while a session could not take it: what was left of a chunk when a verdict had to be awaited, and the
 * few chunks that were on their way when reading was paused. In order and bounded; used by the protocol sessions.
 */
export class Backlog {
  readonly #maxBytes: number;
  #chunks: Buffer[] = [];
  #bytes = 0;

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  get isEmpty(): boolean {
    return this.#bytes === 0;
  }

  /** Appends a copy of `chunk[from, to)`. @returns false when that is more than is kept: nothing is kept of it then. */
  append(chunk: Uint8Array, from: number, to: number): boolean {
    if (from === to) return true;
    if (this.#bytes + to - from > this.#maxBytes) return false;
    this.#chunks.push(Buffer.from(chunk.subarray(from, to)));
    this.#bytes += to - from;
    return true;
  }

  /** Takes the oldest chunk out; it is the caller's. */
  shift(): Buffer | undefined {
    const chunk = this.#chunks.shift();
    if (chunk !== undefined) this.#bytes -= chunk.length;
    return chunk;
  }

  /** Puts back what was not used of a chunk that `shift` gave, without copying it. */
  unshift(rest: Buffer): void {
    if (rest.length === 0) return;
    this.#chunks.unshift(rest);
    this.#bytes += rest.length;
  }

  clear(): void {
    this.#chunks = [];
    this.#bytes = 0;
  }
}
