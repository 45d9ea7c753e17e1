/**
 * One plugin thread as the main thread sees it: a Piscina task that runs as long as the thread serves, its shared words,
 * and what is known of its end. Used by pool.ts and watch.ts.
 */
import { MessageChannel, type MessagePort } from 'node:worker_threads';
import type { Clock } from '@posthorn/core/mail/clock';
import type { Log } from '@posthorn/core/observe/log';
import type { Piscina } from 'piscina';
import { HookControl, isSameCall, type RunningCall } from './control.ts';
import type { HookSettings, PluginThreadNews, PluginThreadOrder, PluginThreadTask, PoolKind } from './ipc.ts';
import { PluginError } from '../plugin/entries.ts';

/** `cause` is undefined for a thread that left as it was told to. */
export interface ThreadEnd {
  readonly cause: string | undefined;
  readonly aliveMs: number;
}

export interface PluginThreadParts {
  readonly id: number;
  readonly kind: PoolKind;
  readonly pool: Piscina;
  readonly settings: HookSettings;
  /** How long its loop may not turn before it counts as stuck. */
  readonly stuckMs: number;
  /** The longest deadline of its plugins. */
  readonly deadlineMs: number;
  readonly clock: Clock;
  readonly log: Log;
}

export class PluginThread {
  readonly id: number;
  readonly kind: PoolKind;
  readonly stuckMs: number;
  readonly deadlineMs: number;
  readonly control = new HookControl();
  /** Resolves when its plugins are open; rejects with PluginError when it ended before. */
  readonly ready: Promise<void>;
  /** Never rejects. */
  readonly ended: Promise<ThreadEnd>;
  state: 'starting' | 'serving' | 'leaving' = 'starting';
  wasReady = false;
  /** What worker_threads calls it; known once it serves. */
  threadId = 0;
  readonly #pool: Piscina;
  readonly #port: MessagePort;
  readonly #abort = new AbortController();
  #endCause: string | undefined;
  /** The call that passed its deadline while it may run here. */
  #late: RunningCall | undefined;

  constructor(parts: PluginThreadParts) {
    const { kind, settings, clock } = parts;
    this.id = parts.id;
    this.kind = kind;
    this.stuckMs = parts.stuckMs;
    this.deadlineMs = parts.deadlineMs;
    this.#pool = parts.pool;
    const { port1, port2 } = new MessageChannel();
    this.#port = port1;
    const startedAtMs = clock.monotonic();
    const ready = Promise.withResolvers<void>();
    this.ready = ready.promise;
    port1.on('message', (news: PluginThreadNews) => {
      if (news.to === 'main.plugin-log') {
        parts.log[news.level](news.event, { pluginThread: this.id, ...news.fields });
      } else {
        this.threadId = news.threadId;
        this.wasReady = true;
        if (this.state === 'starting') this.state = 'serving';
        ready.resolve();
      }
    });
    port1.unref();
    const task: PluginThreadTask = { kind, settings, control: this.control.memory, port: port2, patienceMs: this.stuckMs };
    // Piscina wants a list here, and says otherwise in its types.
    const transferList: object = [port2];
    this.ended = parts.pool.run(task, { transferList, signal: this.#abort.signal }).then(
      () => ({ cause: this.#endCause, aliveMs: clock.monotonic() - startedAtMs }),
      (error: unknown) => {
        const cause = this.#endCause ?? (error instanceof Error ? error.message : String(error));
        return { cause, aliveMs: clock.monotonic() - startedAtMs };
      },
    );
    void this.ended.then(({ cause }) => ready.reject(new PluginError(cause ?? 'a plugin thread left before it was ready')));
  }

  /** A new channel between this thread and a session thread. @returns the session's end. */
  portFor(host: number): MessagePort {
    const { port1, port2 } = new MessageChannel();
    const order: PluginThreadOrder = { to: 'plugin-thread.serve', host, port: port1 };
    this.#port.postMessage(order, [port1]);
    return port2;
  }

  /** It takes no new calls and ends when it has answered what it took. */
  leave(): void {
    if (this.state === 'leaving') return;
    this.state = 'leaving';
    this.#port.postMessage({ to: 'plugin-thread.leave' } satisfies PluginThreadOrder);
  }

  /** Ends it now, whatever it does. */
  end(cause: string): void {
    this.#endCause ??= cause;
    this.#abort.abort();
  }

  /** This call passed its deadline. Remembered only while it runs: calls that wait behind it are late too. */
  condemn(call: RunningCall): void {
    if (isSameCall(call, this.control.running)) this.#late = call;
  }

  /** Is it in the very call that passed its deadline? */
  isCondemned(): boolean {
    return isSameCall(this.#late, this.control.running);
  }

  /** Bytes outside of its heap (Buffers …), as its engine counts them; works while it is busy. */
  async externalBytes(): Promise<number> {
    const worker = this.#pool.threads.find(({ threadId }) => threadId === this.threadId);
    if (worker === undefined) return 0;
    const { external_memory: bytes } = await worker.getHeapStatistics();
    return bytes;
  }

  forget(): void {
    this.#port.close();
  }
}
