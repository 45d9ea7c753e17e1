/**
 * Stages that report (`queued`, `delivered`, `deferred`, `bounced`): every plugin is told, nobody waits, nothing a
 * plugin answers or does wrong changes anything. Failures are logged like those of other stages.
 */
import { callHook } from './call.ts';
import type { Requests, Stage, Verdict } from './contract.ts';
import type { Outcome } from './host.ts';
import { logFailure, type StagePlan } from './stage-run.ts';
import { PASS } from './verdict.ts';

/** Tells all plugins of the stage and returns at once. */
export function report<S extends Stage>(plan: StagePlan<S>, request: Requests[S]): Verdict {
  const note = (plugin: string, outcome: Outcome): void => {
    if ('failed' in outcome) logFailure(plan, request, plugin, outcome);
  };
  const threaded: number[] = [];
  for (const { hook, plugin, manifest } of plan.seats) {
    if (hook === undefined) {
      threaded.push(plugin);
      continue;
    }
    const outcome = callHook(plan.stage, () => hook(request));
    if (outcome instanceof Promise) void outcome.then((late) => note(manifest.name, late));
    else note(manifest.name, outcome);
  }
  if (threaded.length > 0) {
    plan.host.ask({
      stage: plan.stage,
      request,
      plugins: threaded,
      given: [],
      settle: (plugin, outcome) => note(plan.manifests[plan.seatOfPlugin.get(plugin)!]!.name, outcome),
    });
  }
  return PASS;
}
