/**
 * Writes a message that is too large for memory to a file while it still comes in. Used by message-writer.ts only.
 * Bytes wait in blocks of the slab pool, a bounded number of them: past it `write` answers false until the disk caught
 * up. A disk error or a pool at its limit ends it: `onFailure` is called once, everything held is given back, the file
 * is removed. Nothing here syncs: the queue store does, when it takes the file over.
 */
import { close, open, unlink, write } from 'node:fs';
import type { Block, SlabPool } from './slab-pool.ts';

const BLOCK_BYTES = 64 * 1024;
/** Bytes that may wait for the disk before the session is asked to stop feeding, and where it may go on. */
const HIGH_BYTES = 512 * 1024;
const LOW_BYTES = 128 * 1024;

/** The file operations it needs; tests make each of them fail. */
export interface SpoolDisk {
  readonly open: typeof open;
  readonly write: typeof write;
  readonly close: typeof close;
  readonly unlink: typeof unlink;
}
export const systemDisk: SpoolDisk = { open, write, close, unlink };

export type SpoolFailure = 'memory' | 'disk';

interface Waiting {
  readonly block: Block;
  used: number;
}

export class SpoolFile {
  readonly path: string;
  readonly #pool: SlabPool;
  readonly #disk: SpoolDisk;
  readonly #onFailure: (failure: SpoolFailure, cause: string) => void;
  readonly #waiting: Waiting[] = [];
  #waitingBytes = 0;
  #fd: number | undefined;
  /** Bytes of the first waiting block that are on the file already, and of the file as a whole. */
  #blockWritten = 0;
  #fileWritten = 0;
  #busy = true;
  #ended: 'no' | 'finishing' | 'finished' | 'failed' | 'discarded' = 'no';
  #drain: (() => void) | undefined;
  #finished: PromiseWithResolvers<void> | undefined;

  constructor(path: string, pool: SlabPool, disk: SpoolDisk, onFailure: (failure: SpoolFailure, cause: string) => void) {
    this.path = path;
    this.#pool = pool;
    this.#disk = disk;
    this.#onFailure = onFailure;
    disk.open(path, 'wx', 0o600, (error, fd) => {
      this.#busy = false;
      if (error !== null) return this.#fail('disk', error.message, false);
      this.#fd = fd;
      if (this.#over) this.#release(true);
      else this.#pump();
    });
  }

  /** Takes over a block with the first `used` bytes in it. */
  adopt(block: Block, used: number): void {
    this.#waiting.push({ block, used });
    this.#waitingBytes += used;
    this.#pump();
  }

  /** Takes a copy of `chunk[from, to)`; false asks the caller to wait for `onDrain`. */
  write(chunk: Uint8Array, from: number, to: number): boolean {
    for (let at = from; at < to && !this.#over;) {
      let last = this.#waiting.at(-1);
      if (last === undefined || last.used === last.block.bytes.length) {
        const block = this.#pool.take(BLOCK_BYTES);
        if (block === undefined) {
          this.#fail('memory', 'no memory for bytes that wait for the disk', true);
          break;
        }
        last = { block, used: 0 };
        this.#waiting.push(last);
      }
      const count = Math.min(to - at, last.block.bytes.length - last.used);
      last.block.bytes.set(chunk.subarray(at, at + count), last.used);
      last.used += count;
      this.#waitingBytes += count;
      at += count;
    }
    this.#pump();
    return this.#over || this.#waitingBytes < HIGH_BYTES;
  }

  /** Calls `then` once when few enough bytes wait; at once when that is so already. */
  onDrain(then: () => void): void {
    if (this.#over || this.#waitingBytes <= LOW_BYTES) then();
    else this.#drain = then;
  }

  /** Resolves when every byte is on the file, or when it failed (`onFailure` was called then). */
  finish(): Promise<void> {
    this.#finished ??= Promise.withResolvers<void>();
    if (this.#ended === 'no') this.#ended = 'finishing';
    if (this.#over) this.#finished.resolve();
    else this.#pump();
    return this.#finished.promise;
  }

  /** Gives up what is held and removes the file, unless somebody took it over. Safe to call twice. */
  discard(): void {
    if (this.#ended === 'discarded') return;
    const created = this.#fd !== undefined || this.#ended === 'finished';
    this.#ended = 'discarded';
    this.#release(created);
  }

  get #over(): boolean {
    return this.#ended === 'failed' || this.#ended === 'discarded';
  }

  #pump(): void {
    const fd = this.#fd;
    if (this.#busy || fd === undefined || this.#over) return;
    const first = this.#waiting[0];
    if (first === undefined) {
      if (this.#ended === 'finishing') this.#end(fd);
      return;
    }
    const from = this.#blockWritten;
    // Small pieces wait for more to come, unless nothing will.
    if (first.used - from < BLOCK_BYTES && this.#waiting.length === 1 && this.#ended === 'no') return;
    this.#busy = true;
    this.#disk.write(fd, first.block.bytes, from, first.used - from, this.#fileWritten, (error, written) => {
      this.#busy = false;
      if (this.#over) return this.#release(true);
      if (error !== null) return this.#fail('disk', error.message, true);
      if (written === 0) return this.#fail('disk', 'the disk took nothing', true);
      this.#blockWritten += written;
      this.#fileWritten += written;
      this.#waitingBytes -= written;
      if (this.#blockWritten === first.used) {
        this.#waiting.shift();
        this.#blockWritten = 0;
        this.#pool.give(first.block);
      }
      this.#pump();
      if (this.#waitingBytes <= LOW_BYTES) this.#wake();
    });
  }

  #end(fd: number): void {
    this.#busy = true;
    this.#fd = undefined;
    this.#disk.close(fd, (error) => {
      this.#busy = false;
      if (this.#over) return this.#release(true);
      // Some file systems tell only here that a byte was not kept.
      if (error !== null) return this.#fail('disk', error.message, true);
      this.#ended = 'finished';
      this.#finished?.resolve();
    });
  }

  #fail(failure: SpoolFailure, cause: string, created: boolean): void {
    if (this.#over) return;
    this.#ended = 'failed';
    this.#release(created);
    this.#onFailure(failure, cause);
  }

  /** Gives back blocks, descriptor and file; while the disk holds a block this waits for its callback. */
  #release(created: boolean): void {
    this.#wake();
    this.#finished?.resolve();
    if (this.#busy) return;
    for (const { block } of this.#waiting.splice(0)) this.#pool.give(block);
    this.#waitingBytes = 0;
    const fd = this.#fd;
    this.#fd = undefined;
    if (fd !== undefined) this.#disk.close(fd, (error) => this.#report(error));
    if (created) this.#disk.unlink(this.path, (error) => this.#report(error));
  }

  /** The message is lost or stored elsewhere already: a file that stays behind is cleared at the next start. */
  #report(error: NodeJS.ErrnoException | null): void {
    if (error !== null && error.code !== 'ENOENT') this.#onFailure('disk', `${this.path}: ${error.message}`);
  }

  #wake(): void {
    const drain = this.#drain;
    this.#drain = undefined;
    drain?.();
  }
}
