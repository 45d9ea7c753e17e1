/**
 * The plugins of a server process as its main thread sees them: the pool of plugin threads for everybody, and the hooks
 * of the stages that belong to delivery. A reload with other plugins makes a new pool beside the old one, which ends
 * when every session thread has left it.
 */
import type { MessagePort, Transferable } from 'node:worker_threads';
import type { Pipeline } from '@posthorn/core/hook/contract';
import { systemClock } from '@posthorn/core/mail/system-clock';
import type { Counters } from '@posthorn/core/observe/counters';
import type { Log } from '@posthorn/core/observe/log';
import { createHookPool, type HookPool } from '../hook/pool.ts';
import { Hooks, hookSettingsOf } from '../session/hooks.ts';
import type { Settings } from '../ipc.ts';
import { filesStamp } from '../plugin/loader.ts';

export interface PluginThreadsOptions {
  /** Threads of each kind, made only where a plugin needs the kind. */
  readonly threads: number;
  readonly log: Log;
  readonly counters: Counters;
}

/** Longer than any sensible deadline: a former pool's calls end by their own deadlines. */
const LEAVE_MS = 30_000;

export class PluginThreads {
  readonly #options: PluginThreadsOptions;
  readonly #hooks: Hooks;
  #pool: HookPool | undefined;
  #former: HookPool | undefined;
  /** What the plugins in force were made from. */
  #made = '';

  constructor(options: PluginThreadsOptions) {
    this.#options = options;
    this.#hooks = new Hooks({ slabs: [], clock: systemClock, log: options.log, counters: options.counters });
  }

  /** For delivery: its stages, in this thread. */
  get pipeline(): Pipeline {
    return this.#hooks.pipeline;
  }

  /**
   * Loads the plugins of these settings, unless they are in force already.
   * @returns whether session threads must be equipped anew.
   * @throws PluginError; the plugins in force stay.
   */
  async load(settings: Settings): Promise<boolean> {
    const wanted = hookSettingsOf(settings);
    const made = JSON.stringify([wanted, await filesStamp(wanted.plugins, wanted.baseDirectory)]);
    if (made === this.#made) return false;
    const { threads, log, counters } = this.#options;
    const pool = await createHookPool({ settings: wanted, threads, clock: systemClock, log, counters });
    try {
      await this.#hooks.load(wanted, pool.attach());
    } catch (error) {
      await pool.close(0);
      throw error;
    }
    this.#former = this.#pool;
    this.#pool = pool;
    this.#made = made;
    return true;
  }

  /** A port of the pool for a session thread. */
  equip(): { readonly data: MessagePort | undefined; readonly transfer: Transferable[] } {
    const port = this.#pool?.attach();
    return { data: port, transfer: port === undefined ? [] : [port] };
  }

  /** Every session thread has left the former pool. */
  async endFormer(): Promise<void> {
    const former = this.#former;
    this.#former = undefined;
    await former?.close(LEAVE_MS);
  }

  async close(): Promise<void> {
    await this.#hooks.close();
    await this.endFormer();
    await this.#pool?.close();
  }
}
