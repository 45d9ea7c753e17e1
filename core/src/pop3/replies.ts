/**
 * Replies on their way out: collected over a turn and written in one piece, at once when there is much of it.
 * Used by the session, the only one that writes. Knows whether the peer takes what it asked for; whoever produces a
 * long answer goes through `pour`.
 */
import type { SessionOutput } from '../wire/session.ts';

const WRITE_BYTES = 64 * 1024;

export class Replies {
  readonly #output: Pick<SessionOutput, 'write'>;
  #pieces: (string | Uint8Array)[] = [];
  #bytes = 0;
  #blocked = false;
  #waiter: (() => void) | undefined;

  constructor(output: Pick<SessionOutput, 'write'>) {
    this.#output = output;
  }

  /** The peer is behind: nothing more should be produced before `drained`. */
  get blocked(): boolean {
    return this.#blocked;
  }

  /** @param piece a string of one character for each byte, or bytes that nobody changes any more. */
  add(piece: string | Uint8Array): void {
    if (piece.length === 0) return;
    this.#pieces.push(piece);
    this.#bytes += piece.length;
    if (this.#bytes >= WRITE_BYTES) this.flush();
  }

  /** Sends what is made while it is sent, as fast as the peer takes it. @param over asked for each piece: is there nobody to take it? */
  async pour(stream: Iterable<Uint8Array> | AsyncIterable<Uint8Array>, over: () => boolean): Promise<void> {
    for await (const piece of stream) {
      if (over()) return;
      this.add(piece);
      if (this.#blocked) await this.#room();
    }
  }

  flush(): void {
    if (this.#bytes === 0) return;
    const bytes = join(this.#pieces, this.#bytes);
    this.#pieces = [];
    this.#bytes = 0;
    if (!this.#output.write(bytes)) this.#blocked = true;
  }

  /** The peer is no longer behind, or it is gone. */
  drained(): void {
    this.#blocked = false;
    this.#waiter?.();
    this.#waiter = undefined;
  }

  #room(): Promise<void> {
    return new Promise((resolve) => {
      this.#waiter = resolve;
    });
  }
}

function join(pieces: readonly (string | Uint8Array)[], totalBytes: number): Uint8Array {
  const [first] = pieces;
  if (pieces.length === 1 && first !== undefined) return typeof first === 'string' ? Buffer.from(first, 'latin1') : first;
  const joined = Buffer.allocUnsafe(totalBytes);
  let at = 0;
  for (const piece of pieces) {
    if (typeof piece === 'string') joined.write(piece, at, 'latin1');
    else joined.set(piece, at);
    at += piece.length;
  }
  return joined;
}
