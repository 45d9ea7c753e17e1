/**
 * The model as a plugin thread holds it: loaded when first asked for, looked at again at most once a second, and loaded
 * anew when a training has published another. A file that is no model leaves the one before in force and is logged once.
 */
import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { Clock, Log } from '@posthorn/sdk';
import { loadSnapshot, type Snapshot } from './snapshot.ts';
import { MODEL_FILE } from './train.ts';

const LOOK_AGAIN_MS = 1000;

export class PublishedModel {
  readonly #path: string;
  readonly #clock: Clock;
  readonly #log: Log;
  #model: Snapshot | undefined;
  #stamp = '';
  #lookedAtMs = Number.NEGATIVE_INFINITY;

  constructor(directory: string, clock: Clock, log: Log) {
    this.#path = join(directory, MODEL_FILE);
    this.#clock = clock;
    this.#log = log;
  }

  /** @returns the model in force, undefined when none was ever published. */
  async current(): Promise<Snapshot | undefined> {
    const nowMs = this.#clock.monotonic();
    if (nowMs - this.#lookedAtMs < LOOK_AGAIN_MS) return this.#model;
    this.#lookedAtMs = nowMs;
    try {
      const { ino, mtimeMs, size } = await stat(this.#path);
      const stamp = `${ino} ${mtimeMs} ${size}`;
      if (stamp === this.#stamp) return this.#model;
      this.#stamp = stamp;
      this.#model = await loadSnapshot(this.#path);
      const { spamMessages, hamMessages, tokens } = this.#model;
      this.#log.info('bayes.model.loaded', { spamMessages, hamMessages, tokens });
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return this.#model;
      this.#log.warn('bayes.model.unusable', { path: this.#path, error: String(error) });
    }
    return this.#model;
  }
}
