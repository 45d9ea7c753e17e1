/**
 * `definePlugin`: the one function a plugin file calls. It checks nothing at run time beyond what types cannot; the
 * host checks the manifest when it loads the plugin, so a bad plugin stops the start and never a message.
 */
import type { HookAnswer, OnFailure, PluginManifest, Requests, Stage } from '@posthorn/core/hook/contract';
import { CONTRACT_VERSION } from '@posthorn/core/hook/contract';
import type { Clock } from '@posthorn/core/mail/clock';
import type { Dns } from '@posthorn/core/mail/dns';
import type { Log } from '@posthorn/core/observe/log';
import { z } from 'zod';

/** What every hook is given beside its request. */
export interface PluginContext<Options, State = undefined> {
  /** The plugin's part of the configuration, checked by its schema, with defaults. */
  readonly options: Options;
  /** What `open` returned, one for each thread the plugin runs on. */
  readonly state: State;
  readonly dns: Dns;
  readonly clock: Clock;
  readonly log: Log;
  /** This server's name, for headers such as Authentication-Results. */
  readonly hostname: string;
  /** A folder of the plugin's own under `data`, made when first asked for. */
  readonly dataDirectory: string;
}

type HooksOf<Options, State> = {
  readonly [S in Stage]?: (request: Requests[S], context: PluginContext<Options, State>) => HookAnswer | Promise<HookAnswer>;
};

/** What a plugin author writes. */
export interface PluginDefinition<Schema extends z.ZodType, State> {
  /** Lower case with dashes; the key in the configuration. */
  readonly name: string;
  readonly version: string;
  /** Zod object for the plugin's options; absent: it takes none. */
  readonly options?: Schema;
  /** `inline` (the default): in the session thread, for what takes microseconds. `compute`, `wait`: on a plugin thread. */
  readonly run?: 'inline' | 'compute' | 'wait';
  readonly reads?: readonly string[];
  /** When it throws, is late, dies or answers nonsense. Default `defer`. */
  readonly onFailure?: OnFailure;
  /** Default 5,000; for an inline plugin 500. */
  readonly deadlineMs?: number;
  /** Called once on each thread before the first hook. */
  readonly open?: (context: Omit<PluginContext<z.output<Schema>>, 'state'>) => State | Promise<State>;
  /** Called when the thread ends in order. */
  readonly close?: (state: State) => void | Promise<void>;
  readonly hooks: HooksOf<z.output<Schema>, State>;
}

/** What the host works with: the manifest as data, and the functions. */
export interface Plugin {
  readonly manifest: PluginManifest;
  readonly options: z.ZodType;
  readonly open: ((context: Omit<PluginContext<unknown>, 'state'>) => unknown) | undefined;
  readonly close: ((state: unknown) => void | Promise<void>) | undefined;
  readonly hooks: HooksOf<unknown, unknown>;
}

/**
 * Makes a plugin out of its definition; the file's default export.
 * @returns the plugin with its manifest; `stages` are the hooks it has.
 */
export function definePlugin<Schema extends z.ZodType = z.ZodObject<Record<string, never>>, State = undefined>(
  definition: PluginDefinition<Schema, State>,
): Plugin {
  const run = definition.run ?? 'inline';
  return {
    manifest: {
      name: definition.name,
      version: definition.version,
      contract: CONTRACT_VERSION,
      run: run === 'inline' ? { isolation: 'inline' } : { isolation: 'thread', pool: run },
      stages: Object.keys(definition.hooks) as Stage[],
      reads: definition.reads ?? [],
      onFailure: definition.onFailure ?? 'defer',
      deadlineMs: definition.deadlineMs ?? (run === 'inline' ? 500 : 5000),
    },
    options: definition.options ?? z.strictObject({}),
    open: definition.open as Plugin['open'],
    close: definition.close as Plugin['close'],
    hooks: definition.hooks as Plugin['hooks'],
  };
}
