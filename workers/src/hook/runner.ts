/**
 * Runs the calls that a plugin thread was given. A compute thread runs them one after the other, and goes on to the next
 * when one waits for something longer than its patience. A wait thread runs many at once, a bounded number. Used by
 * thread.ts. Each answer goes to the session thread that asked, all of one turn together; calls whose deadline
 * passed before they began are left out, their session has its answer.
 */
import { AsyncLocalStorage } from 'node:async_hooks';
import { callHook } from '@posthorn/core/hook/call';
import type { GivenEvidence, PluginManifest, Requests, Stage } from '@posthorn/core/hook/contract';
import { evidenceIn, requestFor } from '@posthorn/core/hook/evidence';
import type { Outcome } from '@posthorn/core/hook/host';
import type { InlineHooks } from '@posthorn/core/hook/pipeline';
import { endsStage } from '@posthorn/core/hook/verdict';
import { MemoryBytes, openMessage } from '@posthorn/core/mail/placed-bytes';
import type { SharedSlabs } from '@posthorn/core/mail/slab-pool';
import { type HookControl, type RunningCall, sharedMonotonicMs } from './control.ts';
import type { PoolKind, WireAnswer, WireBytes, WireCall } from './ipc.ts';

/** A compute thread lets the loop turn, so that messages come in, when it was busy this long. */
const TURN_MS = 10;

export interface RunnerParts {
  readonly kind: PoolKind;
  readonly plugins: readonly { readonly manifest: PluginManifest; readonly mode: 'enforce' | 'shadow' }[];
  readonly hooks: readonly (InlineHooks | undefined)[];
  readonly slabs: SharedSlabs;
  readonly control: HookControl;
  readonly patienceMs: number;
  /** Calls at once on a wait thread. */
  readonly concurrency: number;
  /** Called when everything taken is answered. */
  readonly onIdle: () => void;
}

interface Job {
  readonly host: number;
  readonly call: WireCall;
  readonly answer: (answer: WireAnswer) => void;
  readonly request: Requests[Stage];
  /** Evidence for plugins of this call that read others. */
  readonly given: GivenEvidence[];
}

export class HookRunner {
  readonly #parts: RunnerParts;
  readonly #queue: Job[] = [];
  /** Which call code belongs to, wherever it was continued: says whose it was when it takes the thread down. */
  readonly #owner = new AsyncLocalStorage<RunningCall>();
  #running = 0;
  #taken = 0;

  constructor(parts: RunnerParts) {
    this.#parts = parts;
  }

  /** Takes a call; `answer` is called once for each plugin whose deadline has not passed. */
  take(host: number, call: WireCall, answer: Job['answer']): void {
    const { control, slabs } = this.#parts;
    this.#taken += 1;
    control.busy = this.#taken;
    let request: Requests[Stage];
    try {
      request = requestOf(call.request, call.bytes, slabs);
    } catch (error) {
      for (const plugin of call.plugins)
        answer({ token: call.token, plugin, outcome: { failed: 'crash', cause: String(error) } });
      this.#done();
      return;
    }
    this.#queue.push({ host, call, answer, request, given: [...call.given] });
    this.#next();
  }

  get idle(): boolean {
    return this.#taken === 0;
  }

  /** Writes down whose code runs right now; for the thread's last moment. */
  blame(): void {
    const owner = this.#owner.getStore();
    if (owner !== undefined) this.#parts.control.begin(owner);
  }

  #next(): void {
    if (this.#parts.kind === 'wait') {
      while (this.#running < this.#parts.concurrency) {
        const job = this.#queue.shift();
        if (job === undefined) return;
        this.#running += 1;
        void this.#runTogether(job).then(() => {
          this.#running -= 1;
          this.#done();
          this.#next();
        });
      }
    } else if (this.#running === 0 && this.#queue.length > 0) {
      this.#running = 1;
      void this.#runAll().then(() => {
        this.#running = 0;
        // Calls that were taken while the last one ended.
        this.#next();
      });
    }
  }

  #done(): void {
    this.#taken -= 1;
    this.#parts.control.busy = this.#taken;
    if (this.#taken === 0) this.#parts.onIdle();
  }

  /** Compute: one job after the other, until none is left. */
  async #runAll(): Promise<void> {
    let turnEndsAtMs = sharedMonotonicMs() + TURN_MS;
    for (let job = this.#queue.shift(); job !== undefined; job = this.#queue.shift()) {
      let ended = false;
      for (const plugin of job.call.plugins) {
        const now = sharedMonotonicMs();
        if (now > turnEndsAtMs) {
          await new Promise((resolve) => setImmediate(resolve));
          turnEndsAtMs = sharedMonotonicMs() + TURN_MS;
        }
        // Nothing behind a plugin that ended the stage counts: do not spend time on it.
        const outcome: Outcome | Promise<Outcome> | undefined = ended ? { results: [] } : this.#begin(job, plugin);
        if (outcome instanceof Promise) ended = (await this.#patiently(job, plugin, outcome)) || ended;
        else if (outcome !== undefined) ended = this.#answer(job, plugin, outcome) || ended;
        this.#parts.control.end();
      }
      this.#done();
    }
  }

  /** @returns whether the stage ended; false when patience ended first. The answer is given whenever it comes. */
  async #patiently(job: Job, plugin: number, outcome: Promise<Outcome>): Promise<boolean> {
    const answered = outcome.then((settled) => this.#answer(job, plugin, settled));
    const { promise, resolve } = Promise.withResolvers<boolean>();
    const timer = setTimeout(resolve, this.#parts.patienceMs, false);
    const ended = await Promise.race([answered, promise]);
    clearTimeout(timer);
    return ended;
  }

  /** Wait: all plugins of the job at once, but readers after those they read. */
  async #runTogether(job: Job): Promise<void> {
    const settled = new Map<string, Promise<void>>();
    for (const plugin of job.call.plugins) {
      const { name, reads } = this.#parts.plugins[plugin]!.manifest;
      const first = reads.map((read) => settled.get(read)).filter((one) => one !== undefined);
      const run = () => this.#runOne(job, plugin);
      settled.set(name, first.length === 0 ? run() : Promise.all(first).then(run));
    }
    await Promise.all(settled.values());
  }

  /** Resolves when it is answered, or at its deadline: then its place is free for others. */
  async #runOne(job: Job, plugin: number): Promise<void> {
    const outcome = this.#begin(job, plugin);
    this.#parts.control.end();
    if (outcome === undefined) return;
    if (!(outcome instanceof Promise)) {
      this.#answer(job, plugin, outcome);
      return;
    }
    const { promise, resolve } = Promise.withResolvers<void>();
    const timer = setTimeout(resolve, Math.max(1, this.#leftMs(job, plugin)));
    await Promise.race([outcome.then((settled) => this.#answer(job, plugin, settled)), promise]);
    clearTimeout(timer);
  }

  #leftMs({ call }: Job, plugin: number): number {
    return call.askedAtMs + this.#parts.plugins[plugin]!.manifest.deadlineMs - sharedMonotonicMs();
  }

  /** Calls the hook; undefined when it is too late for that. */
  #begin(job: Job, plugin: number): Outcome | Promise<Outcome> | undefined {
    const { plugins, hooks, control } = this.#parts;
    if (this.#leftMs(job, plugin) <= 0) return undefined;
    const { stage, token } = job.call;
    const hook = hooks[plugin]?.[stage] as ((request: Requests[Stage]) => unknown) | undefined;
    if (hook === undefined) return { failed: 'crash', cause: `no hook for ${stage} on this thread` };
    const owner: RunningCall = { host: job.host, token, plugin };
    control.begin(owner);
    const request = requestFor(job.request, plugins[plugin]!.manifest, job.given);
    return this.#owner.run(owner, () => callHook(stage, () => hook(request)));
  }

  /** @returns whether it ended the stage. */
  #answer(job: Job, plugin: number, outcome: Outcome): boolean {
    job.answer({ token: job.call.token, plugin, outcome });
    const { manifest, mode } = this.#parts.plugins[plugin]!;
    if (!('results' in outcome) || mode === 'shadow') return false;
    job.given.push(...evidenceIn(outcome.results, manifest.name));
    return endsStage(outcome.results);
  }
}

function requestOf(request: object, bytes: WireBytes | undefined, slabs: SharedSlabs): Requests[Stage] {
  if (bytes === undefined) return request as Requests[Stage];
  const opened = bytes.in === 'copy' ? new MemoryBytes(bytes.bytes, undefined) : openMessage(bytes, slabs);
  return { ...request, bytes: opened } as Requests['message'];
}
