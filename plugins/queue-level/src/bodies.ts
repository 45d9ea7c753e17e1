/**
 * Bodies that are too large for the log: each a file of its own in `bodies/`, named by the message's id. Called by the
 * store. A spool file is synced and moved in here before the record that names it is written; when that fails it is
 * deleted again. A file that no message owns is what a crash between the two left, and goes at the next start.
 */
import { join } from 'node:path';
import { type NewMessage, StoreError } from '@posthorn/sdk';
import { codeOf } from './failure.ts';
import type { FileOps } from './file-ops.ts';

export class Bodies {
  readonly #files: FileOps;
  readonly #directory: string;
  readonly #report: (event: string, fields: Record<string, unknown>) => void;

  constructor(files: FileOps, directory: string, report: (event: string, fields: Record<string, unknown>) => void) {
    this.#files = files;
    this.#directory = directory;
    this.#report = report;
  }

  path(id: string): string {
    return join(this.#directory, id);
  }

  /** Takes over the spool files of a group, all or none. @throws what the file system says */
  async adopt(group: readonly NewMessage[]): Promise<void> {
    const adopted: string[] = [];
    try {
      for (const { id, file } of group) {
        if (file === undefined) continue;
        adopted.push(id);
        await this.#adoptOne(id, file);
      }
      if (adopted.length > 0) await this.#files.syncDirectory(this.#directory);
    } catch (cause) {
      for (const id of adopted) await this.remove(id);
      throw cause;
    }
  }

  async #adoptOne(id: string, file: NonNullable<NewMessage['file']>): Promise<void> {
    const size = await this.#files.sizeOf(file.path);
    if (file.from < 0 || file.to < file.from || file.to > size) {
      throw new StoreError('PH_STORE_FAILED', `range ${file.from} to ${file.to} of a spool file of ${size} bytes`);
    }
    const to = this.path(id);
    try {
      await this.#files.syncFile(file.path);
      await this.#files.rename(file.path, to);
    } catch (cause) {
      if (codeOf(cause) !== 'EXDEV') throw cause;
      await this.#files.copy(file.path, to);
      await this.#files.syncFile(to);
      await this.#files.unlink(file.path);
    }
  }

  /** Deletes a body; one that cannot be deleted is reported and goes at the next start. */
  async remove(id: string): Promise<void> {
    try {
      await this.#files.unlink(this.path(id));
    } catch (cause) {
      if (codeOf(cause) !== 'ENOENT') this.#report('store.bodyKept', { message: id, reason: String(cause) });
    }
  }

  /** Ids of all bodies on disk. */
  ids(): Promise<string[]> {
    return this.#files.list(this.#directory);
  }

  sizeOf(id: string): Promise<number> {
    return this.#files.sizeOf(this.path(id));
  }
}
