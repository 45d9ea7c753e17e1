/**
 * The hooks of one thread: its plugins loaded, those that run in place opened, the others reached over a port of the
 * pool. Used by session threads, and by the main thread for delivery's stages. The pipeline is one object for good: a
 * reload puts other plugins behind it, for running sessions too, and what was asked of the old ones is still answered.
 */
import type { MessagePort } from 'node:worker_threads';
import { type Pipeline, STAGES } from '@posthorn/core/hook/contract';
import { noHost } from '@posthorn/core/hook/host';
import { createPipeline } from '@posthorn/core/hook/pipeline';
import { createResolver } from '@posthorn/core/dns/resolver';
import type { Clock } from '@posthorn/core/mail/clock';
import type { Counters } from '@posthorn/core/observe/counters';
import type { Log } from '@posthorn/core/observe/log';
import { createHookHost, type ThreadedHookHost } from '../hook/host.ts';
import type { HookSettings } from '../hook/ipc.ts';
import type { Settings } from '../ipc.ts';
import { loadPlugins } from '../plugin/loader.ts';
import { type OpenPlugins, openPlugins, pipelinePlugins } from '../plugin/open.ts';

export interface HooksParts {
  /** Shared memory that this thread has made so far. */
  readonly slabs: Iterable<readonly [number, SharedArrayBuffer]>;
  readonly clock: Clock;
  readonly log: Log;
  readonly counters: Counters;
}

/** At the end: reports that are under way get this long, whatever a plugin's deadline is. */
const LAST_MS = 500;

/** What the plugin side needs of the settings; two that are alike need no new plugins. */
export function hookSettingsOf({ config, hostname }: Settings): HookSettings {
  return { plugins: config.plugins, baseDirectory: config.data, dataDirectory: config.data, hostname, dns: config.dns };
}

export class Hooks {
  readonly pipeline: Pipeline;
  readonly #parts: HooksParts;
  #host: ThreadedHookHost | undefined;
  #open: OpenPlugins | undefined;

  constructor(parts: HooksParts) {
    this.#parts = parts;
    this.pipeline = Object.fromEntries(STAGES.map((stage) => [stage, null])) as Pipeline;
  }

  /**
   * Loads the plugins and puts them behind the pipeline; the former ones finish what they were asked.
   * @param port of the pool, undefined when there is no pool
   * @throws PluginError; the former plugins stay.
   */
  async load(settings: HookSettings, port: MessagePort | undefined): Promise<void> {
    const { clock, log, counters, slabs } = this.#parts;
    const plugins = await loadPlugins(settings.plugins, settings.baseDirectory);
    const dns = createResolver({ ...settings.dns, clock });
    const open = await openPlugins(plugins, 'inline', {
      dns,
      clock,
      log,
      hostname: settings.hostname,
      dataDirectory: settings.dataDirectory,
    });
    const host = port === undefined ? undefined : createHookHost({ port, plugins, slabs, clock, counters });
    const pipeline = createPipeline({ plugins: pipelinePlugins(plugins, open), host: host ?? noHost, clock, log, counters });
    const former = { host: this.#host, open: this.#open };
    this.#host = host;
    this.#open = open;
    Object.assign(this.pipeline, pipeline);
    void this.#retire(former.host, former.open);
  }

  announceSlab(id: number, memory: SharedArrayBuffer): void {
    this.#host?.announceSlab(id, memory);
  }

  forgetSlab(id: number): void {
    this.#host?.forgetSlab(id);
  }

  /** Lets what is pending come to its end and closes the plugins, each for a bounded time: the sessions are gone by now. */
  async close(): Promise<void> {
    await this.#within(LAST_MS, this.#retire(this.#host, undefined));
    await this.#within(LAST_MS, this.#retire(undefined, this.#open));
  }

  async #within(ms: number, ended: Promise<void>): Promise<void> {
    const { promise: late, resolve } = Promise.withResolvers<void>();
    const cancel = this.#parts.clock.after(ms, resolve);
    await Promise.race([ended, late]);
    cancel();
  }

  async #retire(host: ThreadedHookHost | undefined, open: OpenPlugins | undefined): Promise<void> {
    try {
      await host?.close();
      await open?.close();
    } catch (error) {
      this.#parts.log.warn('plugins-not-closed', { cause: error instanceof Error ? error.message : String(error) });
    }
  }
}
