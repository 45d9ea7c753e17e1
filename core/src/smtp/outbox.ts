/**
 * Replies on their way out: gathered over a turn and written in one piece. Used by the session, the only one that writes.
 * Knows whether the peer takes what it asked for.
 */
import type { Reply } from '../wire/reply.ts';
import type { SessionOutput } from '../wire/session.ts';

/** Gathered before they are written: one chunk of commands may ask for twenty times its size. */
const MAX_UNSENT_BYTES = 64 * 1024;

export class Outbox {
  readonly #output: Pick<SessionOutput, 'write'>;
  #unsent: Buffer[] = [];
  #unsentBytes = 0;
  #blocked = false;

  constructor(output: Pick<SessionOutput, 'write'>) {
    this.#output = output;
  }

  /** The peer is behind: nothing more should be answered before `drained`. */
  get blocked(): boolean {
    return this.#blocked;
  }

  add({ bytes }: Reply): void {
    this.#unsent.push(bytes);
    this.#unsentBytes += bytes.length;
    if (this.#unsentBytes > MAX_UNSENT_BYTES) this.flush();
  }

  flush(): void {
    const unsent = this.#unsent;
    if (unsent.length === 0) return;
    this.#unsent = [];
    this.#unsentBytes = 0;
    if (!this.#output.write(unsent.length === 1 ? unsent[0]! : Buffer.concat(unsent))) this.#blocked = true;
  }

  /** The peer is no longer behind. */
  drained(): void {
    this.#blocked = false;
  }
}
