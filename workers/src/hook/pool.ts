/**
 * The plugin threads of a server process, made, introduced, watched and ended by its main thread. Piscina makes and ends
 * the threads, one pool for plugins that compute and one for those that wait; each thread runs one long-lived task
 * (thread.ts), because a task for every call costs far more. A thread that dies is replaced at once, with growing
 * pauses if it dies young again and again. A compute thread that is stuck gets a successor first and is ended at the
 * deadline of the call it is stuck in; a wait thread that is stuck, or one that takes too much memory, is ended at once.
 */
import { MessageChannel, type MessagePort } from 'node:worker_threads';
import type { Clock } from '@posthorn/core/mail/clock';
import type { Counters } from '@posthorn/core/observe/counters';
import type { Log } from '@posthorn/core/observe/log';
import { Piscina } from 'piscina';
import type { HookHostNews, HookHostWord, HookSettings, PoolKind } from './ipc.ts';
import { PluginThread, type ThreadEnd } from './pool-thread.ts';
import { HookWatch } from './watch.ts';
import { PluginError } from '../plugin/entries.ts';
import { type LoadedPlugin, loadPlugins } from '../plugin/loader.ts';
import { runsOn } from '../plugin/open.ts';

const KINDS: readonly PoolKind[] = ['compute', 'wait'];
/** A thread that lived shorter than this died young. */
const YOUNG_MS = 1000;
const FIRST_PAUSE_MS = 50;
const LONGEST_PAUSE_MS = 1000;
const MIB = 1024 * 1024;
/** A loop that does not turn for this long is stuck; sooner where a plugin's deadline is short. */
const STUCK_MS = 500;
const STUCK_LEAST_MS = 50;

export interface HookPoolOptions {
  readonly settings: HookSettings;
  /** Threads of each kind, made only where a plugin needs the kind. */
  readonly threads: number;
  /** JavaScript heap of one plugin thread. Default 256 MiB. */
  readonly heapLimitBytes?: number;
  /** Buffers and the like of one plugin thread, which the heap limit does not count. Default 256 MiB. */
  readonly externalLimitBytes?: number;
  readonly clock: Clock;
  readonly log: Log;
  readonly counters: Counters;
}

/** What is told of a thread, for tests and for `queue`-like views of the running server. */
export interface ThreadStatus {
  readonly thread: number;
  readonly kind: PoolKind;
  readonly state: PluginThread['state'];
  readonly busy: number;
}

interface Host {
  readonly index: number;
  readonly port: MessagePort;
}

/**
 * Loads all plugins once to check them, starts the threads and waits until each has opened its plugins.
 * @throws PluginError when one cannot be loaded or opened; no thread is left then.
 */
export async function createHookPool(options: HookPoolOptions): Promise<HookPool> {
  const plugins = await loadPlugins(options.settings.plugins, options.settings.baseDirectory);
  const pool = new HookPool(options, plugins);
  try {
    await pool.start();
  } catch (error) {
    await pool.close();
    throw error;
  }
  return pool;
}

export class HookPool {
  readonly #options: HookPoolOptions;
  readonly #plugins: readonly LoadedPlugin[];
  readonly #pools = new Map<PoolKind, Piscina>();
  readonly #threads = new Set<PluginThread>();
  readonly #hosts = new Set<Host>();
  readonly #pauses = new Map<PoolKind, number>();
  readonly #watch: HookWatch;
  #hostsMade = 0;
  #threadsMade = 0;
  #closing = false;

  constructor(options: HookPoolOptions, plugins: readonly LoadedPlugin[]) {
    this.#options = options;
    this.#plugins = plugins;
    this.#watch = new HookWatch({
      threads: this.#threads,
      clock: options.clock,
      log: options.log,
      externalLimitBytes: options.externalLimitBytes ?? 256 * MIB,
      onStuck: (thread) => this.#stuck(thread),
    });
  }

  /** Starts the threads. */
  async start(): Promise<void> {
    const starts: Promise<void>[] = [];
    for (const kind of KINDS.filter((one) => this.#plugins.some((plugin) => runsOn(plugin) === one))) {
      const { threads, heapLimitBytes = 256 * MIB } = this.#options;
      const pool = new Piscina({
        filename: new URL('./thread.js', import.meta.url).href,
        minThreads: 0,
        // Room for the successor of each thread that is stuck.
        maxThreads: threads * 2,
        concurrentTasksPerWorker: 1,
        // Its waiting for tasks would stop the timers of plugins.
        atomics: 'disabled',
        recordTiming: false,
        workerHistogram: false,
        resourceLimits: { maxOldGenerationSizeMb: Math.ceil(heapLimitBytes / MIB), maxYoungGenerationSizeMb: 32 },
      });
      pool.on('error', (error: Error) => this.#options.log.warn('plugin-pool.error', { cause: error.message }));
      this.#pools.set(kind, pool);
      for (let count = 0; count < threads; count += 1) starts.push(this.#startThread(kind, pool));
    }
    const failed = (await Promise.allSettled(starts)).find((one) => one.status === 'rejected');
    if (failed !== undefined) throw failed.reason;
    if (this.#pools.size > 0) this.#watch.start();
  }

  /** A port for the hook host of one session thread, to be transferred there. It is forgotten when the port closes. */
  attach(): MessagePort {
    const { port1, port2 } = new MessageChannel();
    const host: Host = { index: (this.#hostsMade += 1), port: port1 };
    this.#hosts.add(host);
    port1.on('message', (word: HookHostWord) => this.#late(host, word));
    port1.on('close', () => this.#hosts.delete(host));
    port1.unref();
    this.#tell(host, { to: 'hook-host.welcome', host: host.index });
    for (const thread of this.#threads) if (thread.state === 'serving') this.#introduce(thread, host);
    return port2;
  }

  /** The threads of this moment. */
  get status(): ThreadStatus[] {
    return [...this.#threads].map(({ id, kind, state, control }) => ({ thread: id, kind, state, busy: control.busy }));
  }

  /** Lets running calls end for a bounded time, then ends every thread. */
  async close(graceMs = 1000): Promise<void> {
    this.#closing = true;
    this.#watch.stop();
    for (const thread of this.#threads) thread.leave();
    const all = Promise.all([...this.#threads].map((thread) => thread.ended));
    const { promise: late, resolve } = Promise.withResolvers<void>();
    const cancel = this.#options.clock.after(graceMs, resolve);
    await Promise.race([all, late]);
    cancel();
    for (const thread of this.#threads) thread.end('the server ends');
    await Promise.all([...this.#pools.values()].map((pool) => pool.destroy()));
    for (const { port } of this.#hosts) port.close();
  }

  async #startThread(kind: PoolKind, pool: Piscina): Promise<void> {
    const { settings, log } = this.#options;
    const deadlines = this.#plugins.filter((one) => runsOn(one) === kind).map(({ manifest }) => manifest.deadlineMs);
    const stuckMs = Math.max(STUCK_LEAST_MS, Math.min(STUCK_MS, ...deadlines.map((one) => one / 4)));
    const thread = new PluginThread({
      id: (this.#threadsMade += 1),
      kind,
      pool,
      settings,
      stuckMs,
      deadlineMs: Math.max(...deadlines),
      log,
      clock: this.#options.clock,
    });
    this.#threads.add(thread);
    void thread.ended.then((end) => this.#gone(thread, end));
    await thread.ready;
    log.debug('plugin-thread.ready', { kind, pluginThread: thread.id });
    for (const host of this.#hosts) this.#introduce(thread, host);
  }

  #introduce(thread: PluginThread, host: Host): void {
    const port = thread.portFor(host.index);
    const news: HookHostNews = {
      to: 'hook-host.thread',
      thread: thread.id,
      kind: thread.kind,
      port,
      control: thread.control.memory,
    };
    host.port.postMessage(news, [port]);
  }

  #tell(host: Host, news: HookHostNews): void {
    host.port.postMessage(news);
  }

  #stuck(thread: PluginThread): void {
    const { log, counters } = this.#options;
    const plugin = this.#nameOf(thread.control.running?.plugin);
    counters.add('hook.thread-stuck');
    log.warn('plugin-thread.stuck', { kind: thread.kind, pluginThread: thread.id, plugin });
    if (thread.kind === 'wait') {
      thread.end(`its loop was blocked${plugin === undefined ? '' : ` by ${plugin}`}`);
      return;
    }
    thread.leave();
    for (const host of this.#hosts) this.#tell(host, { to: 'hook-host.thread-leaves', thread: thread.id });
    this.#replace(thread.kind, 0);
    if (thread.isCondemned()) thread.end(`it was stuck in ${plugin ?? 'a call'} past its deadline`);
  }

  #late(host: Host, { thread: id, token, plugin }: HookHostWord): void {
    const thread = [...this.#threads].find((one) => one.id === id);
    thread?.condemn({ host: host.index, token, plugin });
    if (thread?.state === 'leaving' && thread.isCondemned()) {
      thread.end(`it was stuck in ${this.#nameOf(plugin) ?? 'a call'} past its deadline`);
    }
  }

  #gone(thread: PluginThread, { cause, aliveMs }: ThreadEnd): void {
    const wasLeaving = thread.state === 'leaving';
    this.#threads.delete(thread);
    thread.forget();
    if (this.#closing) return;
    for (const host of this.#hosts)
      this.#tell(host, { to: 'hook-host.thread-gone', thread: thread.id, cause: cause ?? 'it left' });
    if (cause === undefined) return;
    const { log, counters } = this.#options;
    counters.add('hook.thread-died');
    log.warn('plugin-thread.died', {
      kind: thread.kind,
      pluginThread: thread.id,
      plugin: this.#nameOf(thread.control.running?.plugin),
      cause,
    });
    if (wasLeaving || !thread.wasReady) return;
    const young = aliveMs < YOUNG_MS;
    const pause = young ? (this.#pauses.get(thread.kind) ?? 0) : 0;
    this.#pauses.set(thread.kind, young ? Math.min(LONGEST_PAUSE_MS, Math.max(FIRST_PAUSE_MS, pause * 2)) : 0);
    this.#replace(thread.kind, pause);
  }

  #replace(kind: PoolKind, pauseMs: number): void {
    const pool = this.#pools.get(kind);
    if (pool === undefined) return;
    const start = () => {
      if (this.#closing) return;
      this.#startThread(kind, pool).catch((error: unknown) => {
        if (this.#closing) return;
        const cause = error instanceof PluginError ? error.message : String(error);
        this.#options.log.error('plugin-thread.not-started', { kind, cause, againInMs: LONGEST_PAUSE_MS });
        this.#replace(kind, LONGEST_PAUSE_MS);
      });
    };
    if (pauseMs === 0) start();
    else this.#options.clock.after(pauseMs, start);
  }

  #nameOf(plugin: number | undefined): string | undefined {
    return plugin === undefined ? undefined : this.#plugins[plugin]?.manifest.name;
  }
}
