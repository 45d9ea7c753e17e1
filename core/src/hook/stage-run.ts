/**
 * One stage of one message or session on its way through the plugins: a local value of the pipeline's call, nothing of
 * it is shared. Round by round: inline plugins in place, then one hop for all threaded ones. No promise is made when
 * every answer comes at once. Plugins behind the one that ended the stage are not asked, or not waited for.
 * Every failure is logged once here, whoever noticed it, and turned into what the plugin's `onFailure` says.
 */
import type { Clock } from '../mail/clock.ts';
import type { Counters } from '../observe/counters.ts';
import type { Log, LogFields } from '../observe/log.ts';
import { callHook } from './call.ts';
import type { GivenEvidence, HookResult, PluginManifest, Requests, Stage, Verdict } from './contract.ts';
import { evidenceIn, requestFor } from './evidence.ts';
import type { Failure, HookHost, Outcome } from './host.ts';
import type { Round } from './order.ts';
import { endsStage, mergeResults, resultsOf } from './verdict.ts';

/** A plugin's place at one stage. */
export interface Seat<S extends Stage> {
  /** Its index in the configuration, by which the host knows it. */
  readonly plugin: number;
  readonly manifest: PluginManifest;
  readonly shadow: boolean;
  /** Undefined for a threaded plugin. */
  readonly hook: ((request: Requests[S]) => unknown) | undefined;
  /** Seats at this stage whose results it wants first. */
  readonly reads: readonly number[];
}

/** What is the same for all runs of a stage. */
export interface StagePlan<S extends Stage> {
  readonly stage: S;
  /** In the order that counts; `seats` and every seat number follow it. */
  readonly manifests: readonly PluginManifest[];
  readonly seats: readonly Seat<S>[];
  readonly seatOfPlugin: ReadonlyMap<number, number>;
  readonly rounds: readonly Round[];
  readonly host: HookHost;
  readonly clock: Clock;
  readonly log: Log;
  readonly counters: Counters;
}

const NOTHING: readonly HookResult[] = [];

/** Asks all plugins of the stage. Never throws or rejects. */
export function runStage<S extends Stage>(plan: StagePlan<S>, request: Requests[S]): Verdict | Promise<Verdict> {
  return new StageRun(plan, request).begin();
}

class StageRun<S extends Stage> {
  readonly #plan: StagePlan<S>;
  readonly #request: Requests[S];
  readonly #results: (readonly HookResult[] | undefined)[] = [];
  /** Seats that were asked and did not answer yet. */
  readonly #waiting = new Set<number>();
  /** The first seat that ended the stage; later ones do not count. */
  #end: number;
  #round = 0;
  #step: 'inline' | 'threaded' = 'inline';
  /** Inline seats of this round that wait for another inline one. */
  #held: readonly number[] | undefined;
  #asking = false;
  #verdict: Verdict | undefined;
  #resolve: ((verdict: Verdict) => void) | undefined;

  constructor(plan: StagePlan<S>, request: Requests[S]) {
    this.#plan = plan;
    this.#request = request;
    this.#end = plan.seats.length;
  }

  begin(): Verdict | Promise<Verdict> {
    this.#advance();
    return this.#verdict ?? new Promise((resolve) => (this.#resolve = resolve));
  }

  /** Goes as far as it can without waiting. */
  #advance(): void {
    this.#asking = true;
    for (;;) {
      const round = this.#plan.rounds[this.#round];
      if (round === undefined) break;
      if (this.#step === 'inline') {
        if (!this.#askInline(this.#held ?? round.inline) || this.#mustWait()) break;
        this.#step = 'threaded';
        this.#askThreads(round.threaded);
      }
      if (this.#mustWait()) break;
      this.#step = 'inline';
      this.#held = undefined;
      this.#round += 1;
    }
    this.#asking = false;
    if (this.#round === this.#plan.rounds.length) this.#finish();
  }

  /** Is an answer under way that counts? */
  #mustWait(): boolean {
    for (const seat of this.#waiting) if (seat < this.#end) return true;
    return false;
  }

  /** @returns false when some wait for others that were not answered yet. */
  #askInline(seats: readonly number[]): boolean {
    let held: number[] | undefined;
    for (const seat of seats) {
      if (seat > this.#end) continue;
      const { reads } = this.#plan.seats[seat]!;
      if (reads.some((read) => this.#waiting.has(read) || held?.includes(read))) (held ??= []).push(seat);
      else this.#askInPlace(seat);
    }
    this.#held = held ?? [];
    return held === undefined;
  }

  #askInPlace(seat: number): void {
    const { hook, manifest } = this.#plan.seats[seat]!;
    this.#waiting.add(seat);
    const given = manifest.reads.length === 0 ? [] : this.#given();
    const request = requestFor(this.#request, manifest, given);
    const outcome = callHook(this.#plan.stage, () => hook!(request));
    if (!(outcome instanceof Promise)) {
      this.#settle(seat, outcome);
      return;
    }
    const cancel = this.#plan.clock.after(manifest.deadlineMs, () =>
      this.#settle(seat, { failed: 'timeout', cause: `no answer within ${manifest.deadlineMs} ms` }),
    );
    // The deadline may have passed by then: `settle` takes the first outcome only.
    void outcome.then((late) => {
      cancel();
      this.#settle(seat, late);
    });
  }

  #askThreads(seats: readonly number[]): void {
    const { seats: all, seatOfPlugin, host, stage } = this.#plan;
    const asked = seats.filter((seat) => seat < this.#end);
    if (asked.length === 0) return;
    for (const seat of asked) this.#waiting.add(seat);
    host.ask({
      stage,
      request: this.#request,
      plugins: asked.map((seat) => all[seat]!.plugin),
      given: this.#given(),
      settle: (plugin, outcome) => this.#settle(seatOfPlugin.get(plugin)!, outcome),
    });
  }

  #settle(seat: number, outcome: Outcome): void {
    if (!this.#waiting.delete(seat)) return;
    const { manifest, shadow } = this.#plan.seats[seat]!;
    if ('failed' in outcome) logFailure(this.#plan, this.#request, manifest.name, outcome);
    const results = resultsOf(outcome, manifest.onFailure, manifest.name);
    if (shadow && results.length > 0) {
      this.#plan.log.info('hook.shadow', { ...idsOf(this.#request), plugin: manifest.name, stage: this.#plan.stage, results });
    }
    this.#results[seat] = shadow ? NOTHING : results;
    if (!shadow && endsStage(results)) this.#end = Math.min(this.#end, seat);
    if (!this.#asking && this.#verdict === undefined) this.#advance();
  }

  /** Evidence of this stage so far, in the order of plugins. */
  #given(): GivenEvidence[] {
    if (this.#plan.stage !== 'message') return [];
    return this.#plan.manifests.flatMap(({ name }, seat) => evidenceIn(this.#results[seat] ?? NOTHING, name));
  }

  #finish(): void {
    this.#verdict = mergeResults(this.#plan.manifests, this.#results.slice(0, this.#end + 1));
    this.#resolve?.(this.#verdict);
  }
}

/** The one log line of a failure. */
export function logFailure<S extends Stage>(plan: StagePlan<S>, request: Requests[S], plugin: string, outcome: Failure): void {
  plan.counters.add(`hook.${outcome.failed}`);
  plan.log.warn('hook.failed', {
    ...idsOf(request),
    plugin,
    stage: plan.stage,
    failure: outcome.failed,
    cause: outcome.cause,
  });
}

/** Session and message, so that the line is found with the others of the same mail. */
function idsOf(request: Requests[Stage]): LogFields {
  return {
    ...('session' in request ? { session: request.session.sessionId } : {}),
    ...('envelope' in request ? { message: request.envelope.id } : {}),
  };
}
