/**
 * Starts the plugins that run on this thread: calls `open` once for each and binds the context to its hooks. Used by
 * session threads for inline plugins and by plugin threads for those of their kind.
 */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { describe } from '@posthorn/core/hook/call';
import type { Requests, Stage } from '@posthorn/core/hook/contract';
import type { InlineHooks, PipelinePlugin } from '@posthorn/core/hook/pipeline';
import type { Clock } from '@posthorn/core/mail/clock';
import type { Dns } from '@posthorn/core/mail/dns';
import type { Log } from '@posthorn/core/observe/log';
import type { Plugin, PluginContext } from '@posthorn/sdk';
import { PluginError } from './entries.ts';
import type { LoadedPlugin } from './loader.ts';

/** Where a plugin runs: in the session thread, or on a plugin thread of its kind. */
export type RunsOn = 'inline' | 'compute' | 'wait';

/** What the thread gives to every plugin's context. */
export interface ContextParts {
  readonly dns: Dns;
  readonly clock: Clock;
  readonly log: Log;
  readonly hostname: string;
  /** The server's data folder. */
  readonly dataDirectory: string;
}

export interface OpenPlugins {
  /** By the plugin's index in the configuration; undefined for those that run elsewhere. */
  readonly hooks: readonly (InlineHooks | undefined)[];
  /** Calls every `close`; a failure is logged and stops nothing. */
  close(): Promise<void>;
}

/** The folder of a plugin's own; not made yet. */
export function pluginDirectory(dataDirectory: string, plugin: string): string {
  return join(dataDirectory, 'plugins', plugin);
}

export function runsOn({ manifest: { run } }: Pick<LoadedPlugin, 'manifest'>): RunsOn {
  return run.isolation === 'inline' ? 'inline' : run.pool;
}

/**
 * Opens the plugins that run `where`.
 * @throws PluginError when an `open` fails; those opened before are closed again.
 */
export async function openPlugins(plugins: readonly LoadedPlugin[], where: RunsOn, parts: ContextParts): Promise<OpenPlugins> {
  const hooks: (InlineHooks | undefined)[] = [];
  const closers: { readonly name: string; readonly close: () => void | Promise<void> }[] = [];
  const close = async () => {
    for (const one of closers.splice(0)) {
      try {
        await one.close();
      } catch (error) {
        parts.log.warn('plugin.close-failed', { plugin: one.name, cause: describe(error) });
      }
    }
  };
  for (const [index, one] of plugins.entries()) {
    if (runsOn(one) !== where) continue;
    const { name } = one.manifest;
    try {
      const state = await one.plugin.open?.(contextOf(one, parts));
      const closer = one.plugin.close;
      if (closer !== undefined) closers.push({ name, close: () => closer(state) });
      hooks[index] = bind(one.plugin, contextOf(one, parts, state));
    } catch (error) {
      await close();
      throw new PluginError(`plugin ${name} cannot start: ${describe(error)}`, { cause: error });
    }
  }
  return { hooks, close };
}

/** Loaded plugins as the pipeline takes them, with the hooks that run in place here. */
export function pipelinePlugins(plugins: readonly LoadedPlugin[], open: OpenPlugins): PipelinePlugin[] {
  return plugins.map(({ manifest, mode }, index) => {
    const hooks = open.hooks[index];
    return { manifest, mode, ...(hooks === undefined ? {} : { hooks }) };
  });
}

function contextOf(one: LoadedPlugin, parts: ContextParts, state?: unknown): PluginContext<unknown, unknown> {
  const directory = pluginDirectory(parts.dataDirectory, one.manifest.name);
  let made = false;
  return {
    options: one.options,
    state,
    dns: parts.dns,
    clock: parts.clock,
    log: parts.log.with({ plugin: one.manifest.name }),
    hostname: parts.hostname,
    get dataDirectory() {
      if (!made) mkdirSync(directory, { recursive: true, mode: 0o700 });
      made = true;
      return directory;
    },
  };
}

function bind(plugin: Plugin, context: PluginContext<unknown, unknown>): InlineHooks {
  const bound: [Stage, (request: Requests[Stage]) => unknown][] = [];
  for (const stage of plugin.manifest.stages) {
    const hook = plugin.hooks[stage] as
      | ((request: Requests[Stage], context: PluginContext<unknown, unknown>) => unknown)
      | undefined;
    if (hook !== undefined) bound.push([stage, (request) => hook(request, context)]);
  }
  return Object.fromEntries(bound) as InlineHooks;
}
