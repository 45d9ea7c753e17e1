/**
 * What a peer sends, on its way to the session that takes it: handed on at once, or kept aside (bounded) while the session
 * may take nothing; then the connection is told to read no more. Made by the protocol sessions. What was sent ahead of
 * TLS does not survive `clear`, the rest of the chunk in hand included.
 */
import { Backlog } from './backlog.ts';
import { bufferOf } from './buffer-of.ts';
import type { SessionOutput } from './session.ts';

/** The rest of a chunk and what a paused connection still delivers. */
const MAX_BACKLOG_BYTES = 256 * 1024;
const NO_BYTES = Buffer.alloc(0);

export interface ByteTaker {
  /** May bytes be taken now? */
  readonly ready: boolean;
  /** Takes what it may. @returns how much that was. */
  take(bytes: Buffer): number;
}

export class Inflow {
  readonly #taker: ByteTaker;
  readonly #output: Pick<SessionOutput, 'pause' | 'resume'>;
  readonly #backlog = new Backlog(MAX_BACKLOG_BYTES);
  #paused = false;
  /** How often all was thrown away: whoever is taking a chunk leaves the rest of it when this grows. */
  cleared = 0;

  constructor(taker: ByteTaker, output: Pick<SessionOutput, 'pause' | 'resume'>) {
    this.#taker = taker;
    this.#output = output;
  }

  /** @param chunk the caller's: what is needed of it later is copied. @returns false when too much was sent ahead. */
  feed(chunk: Uint8Array): boolean {
    let used = 0;
    if (this.#taker.ready) {
      used = this.#take(bufferOf(chunk));
    } else if (!this.#paused) {
      // Only now: a client that waits for its answer sends nothing, and pausing is not free.
      this.#paused = true;
      this.#output.pause();
    }
    return used === chunk.length || this.#backlog.append(chunk, used, chunk.length);
  }

  /** Takes up what was kept, at least once: without bytes, too, there may be something to do. */
  goOn(): void {
    if (!this.#taker.ready) return;
    do {
      const kept = this.#backlog.shift() ?? NO_BYTES;
      const used = this.#take(kept);
      if (used < kept.length) this.#backlog.unshift(kept.subarray(used));
    } while (this.#taker.ready && !this.#backlog.isEmpty);
  }

  /** Has the connection read again, where it does not and bytes may be taken. */
  resume(): void {
    if (!this.#paused || !this.#taker.ready) return;
    this.#paused = false;
    this.#output.resume();
  }

  /** Throws away all that was sent and not taken. */
  clear(): void {
    this.cleared += 1;
    this.#backlog.clear();
  }

  /** The connection reads again by itself: TLS begins. */
  unpaused(): void {
    this.#paused = false;
  }

  /** @returns how much was taken; what was thrown away counts as taken. */
  #take(bytes: Buffer): number {
    const { cleared } = this;
    const used = this.#taker.take(bytes);
    return this.cleared === cleared ? used : bytes.length;
  }
}
