/**
 * One slot of the supervisor: keeps a server process running in it. A process that dies is started again at once. One
 * that served and dies young again and again waits a moment before each start, so that there is never a tight loop and
 * yet the port is back soon; one that does not even get ready is tried ever later, up to half a minute. A slot keeps its
 * number for life, and with it its shard of the queue.
 */
import { fork, type ChildProcess } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import type { Log } from '@posthorn/core/observe/log';
import type { ToMaster, ToServer } from '../ipc.ts';

export interface SlotOptions {
  readonly slot: number;
  /** libuv's file threads of the process: syncs, password hashes and DNS look-ups share them. */
  readonly fileThreads: number;
  readonly log: Log;
  /** What a new process is started with. */
  readonly start: () => Extract<ToServer, { to: 'server.start' }>;
  readonly onMessage: (message: ToMaster) => void;
  /** The process is gone; questions under way will not be answered. */
  readonly onExit: () => void;
}

/** A process that lived shorter than this died young. */
const YOUNG_MS = 10_000;
const YOUNG_DELAY_MS = 250;
const MAX_DELAY_MS = 30_000;

export class Slot {
  readonly #options: SlotOptions;
  #child: ChildProcess | undefined;
  /** Deaths in a row of processes that were young, and of those that never got ready. */
  #youngDeaths = 0;
  #failedStarts = 0;
  #ready = false;
  #stopping = false;
  #timer: NodeJS.Timeout | undefined;
  #onStopped: (() => void) | undefined;

  constructor(options: SlotOptions) {
    this.#options = options;
  }

  get pid(): number | undefined {
    return this.#child?.pid;
  }

  /** Starts the process; from now on it is kept running. */
  run(): void {
    const startedAtMs = performance.now();
    const child = fork(fileURLToPath(new URL('../server/server.js', import.meta.url)), [], {
      serialization: 'advanced',
      env: { ...process.env, UV_THREADPOOL_SIZE: String(this.#options.fileThreads) },
    });
    this.#child = child;
    this.#ready = false;
    child.on('message', (message) => {
      const told = message as ToMaster;
      if (told.to === 'master.ready') this.#ready = true;
      this.#options.onMessage(told);
    });
    child.on('error', (error) =>
      this.#options.log.error('server-process-error', { slot: this.#options.slot, cause: error.message }),
    );
    child.once('exit', (code, signal) => this.#gone(code, signal, performance.now() - startedAtMs));
    this.send(this.#options.start());
  }

  /** @returns false when no process is there to hear it. */
  send(message: ToServer): boolean {
    if (this.#child?.connected !== true) return false;
    // A process that dies while being told is seen by its exit; there is nobody else to tell.
    this.#child.send(message, (error) => {
      if (error !== null) this.#options.log.debug('server-process-deaf', { slot: this.#options.slot, cause: error.message });
    });
    return true;
  }

  /** Asks the process to drain; kills it when it takes longer than `graceMs`. Resolves when it is gone. */
  async stop(graceMs: number): Promise<void> {
    this.#stopping = true;
    clearTimeout(this.#timer);
    const child = this.#child;
    if (child === undefined) return;
    const gone = new Promise<void>((resolve) => (this.#onStopped = resolve));
    this.send({ to: 'server.shutdown' });
    const killer = setTimeout(() => {
      this.#options.log.warn('server-process-killed', { slot: this.#options.slot, reason: 'did not end in time' });
      child.kill('SIGKILL');
    }, graceMs);
    await gone;
    clearTimeout(killer);
  }

  /** Ends it at once. */
  kill(): void {
    this.#stopping = true;
    clearTimeout(this.#timer);
    this.#child?.kill('SIGKILL');
  }

  #gone(code: number | null, signal: string | null, livedMs: number): void {
    const { slot, log } = this.#options;
    this.#child = undefined;
    this.#options.onExit();
    if (this.#stopping) {
      this.#onStopped?.();
      return;
    }
    this.#youngDeaths = livedMs < YOUNG_MS ? this.#youngDeaths + 1 : 0;
    this.#failedStarts = this.#ready ? 0 : this.#failedStarts + 1;
    // One that never got ready may not at the next try either, however long the one before it lived.
    const pauseMs = this.#youngDeaths < 2 && this.#failedStarts === 0 ? 0 : YOUNG_DELAY_MS;
    const delayMs = Math.min(MAX_DELAY_MS, pauseMs * 2 ** Math.max(0, this.#failedStarts - 1));
    log.error('server-process-died', { slot, code, signal, livedMs: Math.round(livedMs), restartInMs: delayMs });
    this.#timer = setTimeout(() => this.run(), delayMs);
  }
}
