/**
 * Replies on their way out: collected over a turn and written in one piece, at once when there is much of it.
 * Used by the session, the only one that writes. Knows whether the peer takes what it asked for; whoever produces a
 * long answer goes through `pour`, where a piece is asked for when the one before it is out of the house: what it was read
 * into is used again, maybe for another user's mail.
 */
import type { BufferPool } from '../wire/buffer-pool.ts';
import type { SessionOutput } from '../wire/session.ts';

const WRITE_BYTES = 64 * 1024;

export class Replies {
  readonly #output: Pick<SessionOutput, 'write'>;
  readonly #buffers: BufferPool;
  /** Lines; they come before what is in `#room`. */
  #lines = '';
  /** Where bytes are gathered, and lines between them. */
  #room: Buffer | undefined;
  #used = 0;
  #blocked = false;
  #isOver = false;

  constructor(output: Pick<SessionOutput, 'write'>, buffers: BufferPool) {
    this.#output = output;
    this.#buffers = buffers;
  }

  /** The peer is behind: nothing more should be produced before `drained`. */
  get blocked(): boolean {
    return this.#blocked;
  }

  /** @param piece a string of one character for each byte, or bytes, which are the caller's again afterwards. */
  add(piece: string | Uint8Array): void {
    if (this.#isOver) return;
    if (typeof piece !== 'string') this.#addBytes(piece);
    else if (this.#room === undefined) this.#lines += piece;
    else this.#addLine(piece);
    if (this.#used >= WRITE_BYTES || this.#lines.length >= WRITE_BYTES) this.flush();
  }

  #addLine(line: string): void {
    if (this.#room !== undefined && this.#used + line.length <= this.#room.length) {
      this.#used += this.#room.write(line, this.#used, 'latin1');
    } else {
      this.flush();
      this.#lines = line;
    }
  }

  #addBytes(bytes: Uint8Array): void {
    for (let from = 0; from < bytes.length && !this.#isOver;) {
      const room = this.#room ?? this.#makeRoom();
      const wanted = Math.min(bytes.length - from, room.length - this.#used);
      room.set(wanted === bytes.length ? bytes : bytes.subarray(from, from + wanted), this.#used);
      this.#used += wanted;
      from += wanted;
      if (this.#used === room.length) this.flush();
    }
  }

  #makeRoom(): Buffer {
    if (this.#lines.length > 1024) this.flush();
    this.#room = this.#buffers.take();
    this.#used = this.#room.write(this.#lines, 'latin1');
    this.#lines = '';
    return this.#room;
  }

  /**
   * Sends what is made while it is sent, as fast as the peer takes it.
   * @param stream each piece is left alone until the next is asked for, or the stream is given back.
   * @param over asked for each piece: is there nobody to take it?
   */
  async pour(stream: Iterable<Uint8Array> | AsyncIterable<Uint8Array>, over: () => boolean): Promise<void> {
    this.flush();
    for await (const piece of stream) {
      if (over()) return;
      if (piece.length > 0) await this.#handOver(piece);
    }
  }

  #handOver(piece: Uint8Array): Promise<void> {
    return new Promise((taken) => this.#write(piece, taken));
  }

  flush(): void {
    const room = this.#room;
    if (room !== undefined) {
      this.#room = undefined;
      this.#write(room.subarray(0, this.#used), () => this.#buffers.give(room));
      this.#used = 0;
    } else if (this.#lines !== '') {
      const bytes = Buffer.from(this.#lines, 'latin1');
      this.#lines = '';
      this.#write(bytes);
    }
  }

  /** Sends what there is, and nothing more: a write may have ended the session in the middle of a piece. */
  end(): void {
    this.flush();
    this.#isOver = true;
  }

  #write(bytes: Uint8Array, taken?: () => void): void {
    if (!this.#output.write(bytes, taken)) this.#blocked = true;
  }

  /** The peer is no longer behind. */
  drained(): void {
    this.#blocked = false;
  }
}
