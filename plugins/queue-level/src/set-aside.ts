/**
 * Where damage goes: `damaged/` has a file with the bytes and beside it one with the reason, for the operator to look at
 * and delete. Called by recover.ts and listed by the store. Never stops anything: what cannot be set aside (a full disk)
 * is reported and left behind.
 */
import { join } from 'node:path';
import type { FileOps } from './file-ops.ts';

export class SetAside {
  readonly #files: FileOps;
  readonly #directory: string;
  readonly #report: (event: string, fields: Record<string, unknown>) => void;
  /** How many were put here by this object. */
  count = 0;

  constructor(files: FileOps, directory: string, report: (event: string, fields: Record<string, unknown>) => void) {
    this.#files = files;
    this.#directory = directory;
    this.#report = report;
  }

  /** @param name of the file, without an ending; the same damage found again has the same name */
  async put(name: string, bytes: Uint8Array, reason: string): Promise<void> {
    this.count++;
    this.#report('store.damaged', { where: name, bytes: bytes.length, reason });
    try {
      await this.#files.writeFile(join(this.#directory, `${name}.bin`), bytes);
      await this.#files.writeFile(join(this.#directory, `${name}.txt`), `${reason}\n`);
    } catch (cause) {
      this.#report('store.damageNotKept', { where: name, reason: String(cause) });
    }
  }

  /** Moves a whole file here. */
  async move(path: string, name: string, reason: string): Promise<void> {
    this.count++;
    this.#report('store.damaged', { where: name, reason });
    try {
      await this.#files.rename(path, join(this.#directory, `${name}.bin`));
      await this.#files.writeFile(join(this.#directory, `${name}.txt`), `${reason}\n`);
    } catch (cause) {
      this.#report('store.damageNotKept', { where: name, reason: String(cause) });
    }
  }

  /** Everything that lies here, from earlier starts too. */
  async *all(): AsyncGenerator<{ readonly where: string; readonly reason: string }, void> {
    for (const name of await this.#files.list(this.#directory)) {
      if (!name.endsWith('.txt')) continue;
      const path = join(this.#directory, name);
      const text = Buffer.alloc(Math.min(await this.#files.sizeOf(path), 4096));
      const fd = await this.#files.openRead(path);
      try {
        const bytes = await this.#files.read(fd, text, 0);
        yield { where: join('damaged', name.replace(/\.txt$/, '.bin')), reason: text.toString('utf8', 0, bytes).trim() };
      } finally {
        await this.#files.close(fd);
      }
    }
  }
}
