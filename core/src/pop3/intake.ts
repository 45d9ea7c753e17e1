/**
 * What the peer sends, on its way in: cut into lines, and kept aside (bounded) while the session may take none; then the
 * connection is told to read no more. Made by the session; nothing that a client sent ahead of TLS survives it.
 */
import { bufferOf } from '../wire/buffer-of.ts';
import { Backlog } from '../wire/backlog.ts';
import { LineReader, type LineEvent } from '../wire/line-reader.ts';
import type { SessionOutput } from '../wire/session.ts';

/** The rest of a chunk and what a paused connection still delivers. */
const MAX_BACKLOG_BYTES = 256 * 1024;

export interface LineTaker {
  /** May a line be taken now? */
  readonly ready: boolean;
  /** A line is there, or one that cannot be read. */
  take(event: Exclude<LineEvent, 'more'>, line: string): void;
}

export class Intake {
  readonly #taker: LineTaker;
  readonly #output: Pick<SessionOutput, 'pause' | 'resume'>;
  readonly #lines: LineReader;
  readonly #backlog = new Backlog(MAX_BACKLOG_BYTES);
  #paused = false;
  /** Counts what was thrown away, so that the rest of the chunk in hand goes with it. */
  #cleared = 0;

  constructor(taker: LineTaker, output: Pick<SessionOutput, 'pause' | 'resume'>, maxLineBytes: number) {
    this.#taker = taker;
    this.#output = output;
    this.#lines = new LineReader(maxLineBytes);
  }

  /** Longest line from the next one on, with its CRLF. */
  set maxLineBytes(bytes: number) {
    this.#lines.maxLineBytes = bytes;
  }

  /** @param chunk the caller's: what is needed of it later is copied. @returns false when too much was sent ahead. */
  feed(chunk: Uint8Array): boolean {
    const bytes = bufferOf(chunk);
    let used = 0;
    if (this.#taker.ready) {
      used = this.#consume(bytes);
    } else if (!this.#paused) {
      // Only now: a client that waits for its answer sends nothing, and pausing is not free.
      this.#paused = true;
      this.#output.pause();
    }
    return used === bytes.length || this.#backlog.append(bytes, used, bytes.length);
  }

  /** Takes up what was kept. */
  goOn(): void {
    while (this.#taker.ready) {
      const kept = this.#backlog.shift();
      if (kept === undefined) break;
      this.#backlog.unshift(kept.subarray(this.#consume(kept)));
    }
  }

  /** Has the connection read again. */
  resume(): void {
    if (!this.#paused) return;
    this.#paused = false;
    this.#output.resume();
  }

  /** Throws away all that was sent and not taken. */
  clear(): void {
    this.#cleared += 1;
    this.#lines.reset();
    this.#backlog.clear();
  }

  /** The connection reads again by itself: TLS begins. */
  unpaused(): void {
    this.#paused = false;
  }

  /** @returns how much was taken; what was thrown away counts as taken. */
  #consume(bytes: Buffer): number {
    const cleared = this.#cleared;
    let at = 0;
    while (at < bytes.length && this.#taker.ready) {
      const event = this.#lines.next(bytes, at, bytes.length);
      at = this.#lines.at;
      if (event !== 'more') this.#taker.take(event, this.#lines.text);
      if (this.#cleared !== cleared) return bytes.length;
    }
    return at;
  }
}
