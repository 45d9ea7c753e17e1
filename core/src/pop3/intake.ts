/**
 * Cuts what the peer sends into lines, one at a time, for the session. Input that may not be taken yet is kept by
 * wire/inflow; nothing that a client sent ahead of TLS survives it.
 */
import { type ByteTaker, Inflow } from '../wire/inflow.ts';
import { LineReader, type LineEvent } from '../wire/line-reader.ts';
import type { SessionOutput } from '../wire/session.ts';

export interface LineTaker {
  /** May a line be taken now? */
  readonly ready: boolean;
  /** A line is there, or one that cannot be read. */
  takeLine(event: Exclude<LineEvent, 'more'>, line: string): void;
}

export class Intake implements ByteTaker {
  readonly #taker: LineTaker;
  readonly #lines: LineReader;
  readonly inflow: Inflow;

  constructor(taker: LineTaker, output: Pick<SessionOutput, 'pause' | 'resume'>, maxLineBytes: number) {
    this.#taker = taker;
    this.#lines = new LineReader(maxLineBytes);
    this.inflow = new Inflow(this, output);
  }

  get ready(): boolean {
    return this.#taker.ready;
  }

  /** Longest line from the next one on, with its CRLF. */
  set maxLineBytes(bytes: number) {
    this.#lines.maxLineBytes = bytes;
  }

  /** Throws away all that was sent and not taken, a line that was begun, too. */
  clear(): void {
    this.#lines.reset();
    this.inflow.clear();
  }

  take(bytes: Buffer): number {
    const { cleared } = this.inflow;
    let at = 0;
    while (at < bytes.length && this.#taker.ready && this.inflow.cleared === cleared) {
      const event = this.#lines.next(bytes, at, bytes.length);
      at = this.#lines.at;
      if (event !== 'more') this.#taker.takeLine(event, this.#lines.text);
    }
    return at;
  }
}
