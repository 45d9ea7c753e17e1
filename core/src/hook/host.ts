/**
 * The port to the plugin threads: what the pipeline asks of them and what it gets back. Implemented by
 * workers/src/hook/host.ts over batched message ports; tests bring their own. A host keeps this promise whatever happens to
 * a thread: every plugin that was asked is settled exactly once, at its deadline at the latest.
 */
import type { GivenEvidence, HookResult, Requests, Stage } from './contract.ts';

/** Why a plugin gave no usable answer. */
export type FailureKind = 'threw' | 'timeout' | 'crash' | 'nonsense' | 'overload';

/** What asking one plugin came to: results that were checked against the contract, or a failure with its private cause. */
export type Outcome = { readonly results: readonly HookResult[] } | Failure;
export interface Failure {
  readonly failed: FailureKind;
  readonly cause: string;
}

/** One stage of one message or session, for all threaded plugins that can be asked at the same time. */
export interface HookCall<S extends Stage = Stage> {
  readonly stage: S;
  readonly request: Requests[S];
  /** Indexes into the list of plugins, in the order they count. */
  readonly plugins: readonly number[];
  /** Evidence that plugins of this stage gave before; a plugin is shown what it `reads`. */
  readonly given: readonly GivenEvidence[];
  /** Called once for each of `plugins`, in any order, also in the same turn. Must not throw. */
  settle(plugin: number, outcome: Outcome): void;
}

export interface HookHost {
  ask(call: HookCall): void;
}

/** The host of a pipeline without threaded plugins: asking it is a mistake, and is answered as a failure. */
export const noHost: HookHost = {
  ask(call) {
    for (const plugin of call.plugins) call.settle(plugin, { failed: 'crash', cause: 'no plugin threads here' });
  },
};
