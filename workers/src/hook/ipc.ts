/**
 * What travels between session threads, plugin threads and the main thread about hooks: plain data, named by who
 * receives it. Calls and answers go straight between a session thread and a plugin thread; the main thread only makes
 * threads, introduces them to each other, and ends them.
 */
import type { MessagePort } from 'node:worker_threads';
import type { GivenEvidence, Stage } from '@posthorn/core/hook/contract';
import type { Outcome } from '@posthorn/core/hook/host';
import type { BytesPlace } from '@posthorn/core/mail/message-bytes';
import type { LogFields } from '@posthorn/core/observe/log';
import type { RunningCall } from './control.ts';
import type { RawPluginEntry } from '../plugin/entries.ts';

export type PoolKind = 'compute' | 'wait';

/** All that a thread needs to load and open plugins. */
export interface HookSettings {
  readonly plugins: readonly RawPluginEntry[];
  /** Folder of the configuration file. */
  readonly baseDirectory: string;
  /** The server's data folder; each plugin gets its own below it. */
  readonly dataDirectory: string;
  readonly hostname: string;
  readonly dns: { readonly servers: readonly string[] | null; readonly timeoutMs: number };
}

/** Where the bytes of a message are; a copy only when they lie in memory that is not shared. */
export type WireBytes = BytesPlace | { readonly in: 'copy'; readonly bytes: Uint8Array };

/** One stage of one message, for all plugins that run on one thread. */
export interface WireCall {
  readonly token: number;
  readonly stage: Stage;
  readonly plugins: readonly number[];
  /** The request without its bytes. */
  readonly request: object;
  readonly bytes: WireBytes | undefined;
  readonly given: readonly GivenEvidence[];
  /** `sharedMonotonicMs` when the pipeline asked: deadlines count from here. */
  readonly askedAtMs: number;
}

export interface WireAnswer {
  readonly token: number;
  readonly plugin: number;
  readonly outcome: Outcome;
}

/** Session thread to plugin thread: all calls of one turn of its loop, and memory they may lie in. */
export interface ToPluginThread {
  readonly slabs: readonly (readonly [number, SharedArrayBuffer])[];
  readonly slabsGone: readonly number[];
  readonly calls: readonly WireCall[];
}

/** Plugin thread to session thread: all answers of one turn. */
export interface FromPluginThread {
  readonly answers: readonly WireAnswer[];
}

/** Main thread to plugin thread. */
export type PluginThreadOrder =
  | { readonly to: 'plugin-thread.serve'; readonly host: number; readonly port: MessagePort }
  /** End when the calls that were taken are answered; no more will come. */
  | { readonly to: 'plugin-thread.leave' };

/** Plugin thread to main thread. */
export type PluginThreadNews =
  | { readonly to: 'main.plugin-thread-ready'; readonly threadId: number }
  | {
      readonly to: 'main.plugin-log';
      readonly level: 'debug' | 'info' | 'warn' | 'error';
      readonly event: string;
      readonly fields: LogFields;
    };

/** Main thread to the hook host of a session thread. */
export type HookHostNews =
  | { readonly to: 'hook-host.welcome'; readonly host: number }
  | {
      readonly to: 'hook-host.thread';
      readonly thread: number;
      readonly kind: PoolKind;
      readonly port: MessagePort;
      readonly control: SharedArrayBuffer;
    }
  /** It takes no new calls; what did not begin there is to be sent elsewhere. */
  | { readonly to: 'hook-host.thread-leaves'; readonly thread: number }
  | { readonly to: 'hook-host.thread-gone'; readonly thread: number; readonly cause: string };

/** Hook host to main thread: this call passed its deadline. */
export interface HookHostWord extends Omit<RunningCall, 'host'> {
  readonly to: 'main.hook-late';
  readonly thread: number;
}

/** What the Piscina task of a plugin thread starts with. */
export interface PluginThreadTask {
  readonly kind: PoolKind;
  readonly settings: HookSettings;
  readonly control: SharedArrayBuffer;
  readonly port: MessagePort;
  /** How long a compute thread waits for one promise before it begins the next call. */
  readonly patienceMs: number;
}
