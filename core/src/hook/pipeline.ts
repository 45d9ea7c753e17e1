/**
 * The hook pipeline: from the plugins of the configuration to one function for each stage, or null where nobody hooks
 * it, so that such a stage costs nothing. Made once for each session thread (wiring); SMTP, POP3 and delivery call the
 * functions. They never throw and never reject: a plugin that fails counts as its `onFailure` says (verdict.ts).
 * How one stage of one message goes through its plugins is stage-run.ts.
 */
import type { Clock } from '../mail/clock.ts';
import type { Counters } from '../observe/counters.ts';
import type { Log } from '../observe/log.ts';
import type { Pipeline, PluginManifest, PluginMode, Requests, Stage, StageRunner } from './contract.ts';
import { REPORT_STAGES, STAGES } from './contract.ts';
import type { HookHost } from './host.ts';
import { cutRounds, orderPlugins } from './order.ts';
import { report } from './report.ts';
import { runStage, type Seat, type StagePlan } from './stage-run.ts';

/** Hooks with their context bound, to be called in place; what they answer is checked. */
export type InlineHooks = { readonly [S in Stage]?: (request: Requests[S]) => unknown };

export interface PipelinePlugin {
  /** As it counts here: with what the configuration says in place of the plugin's own defaults. */
  readonly manifest: PluginManifest;
  readonly mode: PluginMode;
  /** For a plugin with `isolation: inline`; others are asked through the host. */
  readonly hooks?: InlineHooks;
}

export interface PipelineParts {
  /** In the order of the configuration; the host knows them by their index here. */
  readonly plugins: readonly PipelinePlugin[];
  readonly host: HookHost;
  readonly clock: Clock;
  readonly log: Log;
  readonly counters: Counters;
}

/** A pipeline without plugins: for listeners that run none. */
export const NO_PIPELINE = Object.freeze(Object.fromEntries(STAGES.map((stage) => [stage, null]))) as Pipeline;

/**
 * Builds the pipeline.
 * @throws OrderError when plugins read each other in a ring.
 */
export function createPipeline(parts: PipelineParts): Pipeline {
  const order = orderPlugins(parts.plugins.map(({ manifest }) => manifest));
  const runners = STAGES.map((stage) => [stage, createRunner(stage, order, parts)] as const);
  return Object.fromEntries(runners) as Pipeline;
}

function createRunner<S extends Stage>(stage: S, order: readonly number[], parts: PipelineParts): StageRunner<S> {
  const indexes = order.filter((index) => parts.plugins[index]!.manifest.stages.includes(stage));
  if (indexes.length === 0) return null;
  const manifests = indexes.map((index) => parts.plugins[index]!.manifest);
  const plan: StagePlan<S> = {
    stage,
    manifests,
    seats: indexes.map((index) => seatOf(stage, index, parts.plugins[index]!, manifests)),
    seatOfPlugin: new Map(indexes.map((index, seat) => [index, seat])),
    rounds: cutRounds(manifests),
    host: parts.host,
    clock: parts.clock,
    log: parts.log,
    counters: parts.counters,
  };
  return isReport(stage) ? (request) => report(plan, request) : (request) => runStage(plan, request);
}

function seatOf<S extends Stage>(stage: S, plugin: number, one: PipelinePlugin, manifests: readonly PluginManifest[]): Seat<S> {
  const hook = one.hooks?.[stage];
  if (one.manifest.run.isolation === 'inline' && hook === undefined) {
    throw new TypeError(`plugin ${one.manifest.name} runs inline and has no hook for ${stage}`);
  }
  const reads = one.manifest.reads.map((name) => manifests.findIndex((other) => other.name === name)).filter((seat) => seat >= 0);
  return { plugin, manifest: one.manifest, shadow: one.mode === 'shadow', hook, reads };
}

function isReport(stage: Stage): boolean {
  return (REPORT_STAGES as readonly Stage[]).includes(stage);
}
