/**
 * The session thread's side of plugin threads: implements the pipeline's HookHost. Everything that all sessions ask in
 * one turn of the loop goes to a plugin thread as one message; the answers come back the same way. Whatever happens to a
 * thread, each plugin that was asked is settled once, at its deadline at the latest: the call that brought a thread down
 * fails, those that only waited there are sent to another thread.
 */
import type { MessagePort } from 'node:worker_threads';
import type { PluginManifest, PluginMode } from '@posthorn/core/hook/contract';
import { describe } from '@posthorn/core/hook/call';
import { evidenceIn } from '@posthorn/core/hook/evidence';
import type { Failure, HookCall, HookHost, Outcome } from '@posthorn/core/hook/host';
import type { Clock } from '@posthorn/core/mail/clock';
import { placeOf } from '@posthorn/core/mail/placed-bytes';
import type { Counters } from '@posthorn/core/observe/counters';
import { HookControl, sharedMonotonicMs } from './control.ts';
import type { FromPluginThread, HookHostNews, HookHostWord, PoolKind, WireBytes } from './ipc.ts';
import { HookLink, type Pending } from './link.ts';

/** How often deadlines are looked at while something is pending; so late an answer may be. */
const SWEEP_MS = 20;
const KINDS: readonly PoolKind[] = ['compute', 'wait'];
/** A call that was on a thread when it died, with nobody to blame, is tried once more and not again. */
const MOST_SUSPICIONS = 1;

export interface HookHostParts {
  /** From `HookPool.attach`. */
  readonly port: MessagePort;
  /** All plugins in the order of the configuration, as on the plugin threads. */
  readonly plugins: readonly { readonly manifest: PluginManifest; readonly mode: PluginMode }[];
  /** Shared memory this thread made before; what comes later is told by `announceSlab`. */
  readonly slabs: Iterable<readonly [number, SharedArrayBuffer]>;
  readonly clock: Clock;
  readonly counters: Counters;
  /** Plugin calls that may be pending; more fail at once. Default 10,000. */
  readonly mostPending?: number;
}

export class ThreadedHookHost implements HookHost {
  readonly #parts: HookHostParts;
  readonly #mostPending: number;
  readonly #slabs: Map<number, SharedArrayBuffer>;
  readonly #links = new Map<number, HookLink>();
  /** Calls for which no thread serves at the moment. */
  readonly #homeless = new Set<Pending>();
  #self = 0;
  #nextToken = 0;
  /** Plugins asked and not settled. */
  #pending = 0;
  #flushing = false;
  #sweeping = false;
  #idle: PromiseWithResolvers<void> | undefined;
  #closed = false;

  constructor(parts: HookHostParts) {
    this.#parts = parts;
    this.#mostPending = parts.mostPending ?? 10_000;
    this.#slabs = new Map(parts.slabs);
    parts.port.on('message', (news: HookHostNews) => this.#hear(news));
    parts.port.unref();
  }

  /** Tells plugin threads of new shared memory, before the first call that refers to it. */
  announceSlab(id: number, memory: SharedArrayBuffer): void {
    this.#slabs.set(id, memory);
    for (const link of this.#links.values()) link.announce(id, memory);
  }

  forgetSlab(id: number): void {
    this.#slabs.delete(id);
    for (const link of this.#links.values()) if (link.forget(id)) this.#flushLater();
  }

  ask(call: HookCall): void {
    const wire = wireOf(call.request);
    const problem =
      this.#refusal(call) ?? (wire === undefined ? refuse('crash', 'bytes that no other thread can read') : undefined);
    if (wire === undefined || problem !== undefined) {
      for (const plugin of call.plugins) call.settle(plugin, problem!);
      return;
    }
    const askedAtMs = sharedMonotonicMs();
    for (const kind of KINDS) {
      const left = call.plugins.filter((plugin) => this.#kindOf(plugin) === kind);
      if (left.length === 0) continue;
      this.#pending += left.length;
      this.#place({ call, ...wire, kind, left, given: [...call.given], askedAtMs, token: 0, suspicions: 0 });
    }
    this.#sweepLater();
  }

  /** Lets what is pending come to its end, each at its deadline at the latest, and closes. Later calls fail at once. */
  async close(): Promise<void> {
    this.#closed = true;
    if (this.#pending > 0) {
      this.#idle ??= Promise.withResolvers<void>();
      await this.#idle.promise;
    }
    for (const link of this.#links.values()) link.close();
    this.#links.clear();
    this.#parts.port.close();
  }

  #kindOf(plugin: number): PoolKind {
    const { run, name } = this.#parts.plugins[plugin]!.manifest;
    if (run.isolation === 'inline') throw new TypeError(`plugin ${name} runs inline`);
    return run.pool;
  }

  #refusal({ plugins }: HookCall): Failure | undefined {
    if (this.#closed) return refuse('overload', 'the hooks are closed');
    return this.#pending + plugins.length > this.#mostPending
      ? refuse('overload', `${this.#pending} calls are pending`)
      : undefined;
  }

  /** To the thread with the least to do; with a new token, so that an answer to an earlier try is ignored. */
  #place(pending: Pending): void {
    let best: HookLink | undefined;
    for (const link of this.#links.values()) {
      if (link.kind === pending.kind && link.serves && (best === undefined || link.load < best.load)) best = link;
    }
    if (best === undefined) {
      this.#homeless.add(pending);
      return;
    }
    // 30 bits: it is kept in a word of 32. Nobody waits for an answer from a thousand million calls ago.
    this.#nextToken = (this.#nextToken + 1) & 0x3fff_ffff;
    pending.token = this.#nextToken;
    best.send(pending);
    this.#flushLater();
  }

  #flushLater(): void {
    if (this.#flushing) return;
    this.#flushing = true;
    setImmediate(() => this.#flush());
  }

  #flush(): void {
    this.#flushing = false;
    for (const link of this.#links.values()) {
      let calls: number;
      try {
        calls = link.flush();
      } catch (error) {
        // A request that cannot be copied: none of this message's calls arrived.
        this.#fail(link, `the calls cannot be sent: ${describe(error)}`);
        continue;
      }
      if (calls === 0) continue;
      this.#parts.counters.add('hook.hops');
      this.#parts.counters.add('hook.calls', calls);
    }
  }

  #fail(link: HookLink, cause: string): void {
    for (const pending of link.takeAll()) {
      for (const plugin of pending.left.slice()) this.#settle(pending, plugin, refuse('crash', cause), undefined);
    }
  }

  #hear(news: HookHostNews): void {
    switch (news.to) {
      case 'hook-host.welcome':
        this.#self = news.host;
        break;
      case 'hook-host.thread': {
        const link = new HookLink(news.thread, news.kind, news.port, new HookControl(news.control), this.#slabs);
        news.port.on('message', ({ answers }: FromPluginThread) => {
          for (const { token, plugin, outcome } of answers) this.#answered(link, token, plugin, outcome);
        });
        news.port.unref();
        this.#links.set(link.thread, link);
        for (const pending of this.#homeless) {
          if (pending.kind !== link.kind) continue;
          this.#homeless.delete(pending);
          this.#place(pending);
        }
        break;
      }
      case 'hook-host.thread-leaves': {
        const link = this.#links.get(news.thread);
        if (link !== undefined) this.#leaves(link);
        break;
      }
      case 'hook-host.thread-gone': {
        const link = this.#links.get(news.thread);
        if (link !== undefined) this.#gone(link, news.cause);
        break;
      }
    }
  }

  #answered(link: HookLink, token: number, plugin: number, outcome: Outcome): void {
    const pending = link.pending.get(token);
    // Not there: it was answered at its deadline, or sent elsewhere.
    if (pending === undefined || !pending.left.includes(plugin)) return;
    const { manifest, mode } = this.#parts.plugins[plugin]!;
    if ('results' in outcome && mode === 'enforce') pending.given.push(...evidenceIn(outcome.results, manifest.name));
    this.#settle(pending, plugin, outcome, link);
  }

  #settle(pending: Pending, plugin: number, outcome: Outcome, link: HookLink | undefined): void {
    pending.left.splice(pending.left.indexOf(plugin), 1);
    if (link !== undefined) link.load -= 1;
    if (pending.left.length === 0) {
      link?.pending.delete(pending.token);
      this.#homeless.delete(pending);
    }
    this.#pending -= 1;
    pending.call.settle(plugin, outcome);
    if (this.#pending === 0) this.#idle?.resolve();
  }

  /** Settles what passed its deadline, and says so to the main thread, which ends the thread if it is stuck in it. */
  #sweep(): void {
    this.#sweeping = false;
    const now = sharedMonotonicMs();
    for (const pending of this.#homeless) this.#expire(pending, now, undefined);
    for (const link of this.#links.values()) {
      for (const pending of link.pending.values()) this.#expire(pending, now, link);
    }
    this.#sweepLater();
  }

  #sweepLater(): void {
    if (this.#sweeping || this.#pending === 0) return;
    this.#sweeping = true;
    this.#parts.clock.after(SWEEP_MS, () => this.#sweep());
  }

  #expire(pending: Pending, now: number, link: HookLink | undefined): void {
    for (const plugin of pending.left.slice()) {
      const { deadlineMs } = this.#parts.plugins[plugin]!.manifest;
      if (now < pending.askedAtMs + deadlineMs) continue;
      const { token } = pending;
      if (link !== undefined) {
        const word: HookHostWord = { to: 'main.hook-late', thread: link.thread, token, plugin };
        this.#parts.port.postMessage(word);
      }
      const where =
        link === undefined
          ? ', no thread serves'
          : link.isRunning(this.#self, token, plugin)
            ? ''
            : ', it did not begin or waits';
      this.#settle(pending, plugin, { failed: 'timeout', cause: `no answer within ${deadlineMs} ms${where}` }, link);
    }
  }

  /** It is stuck in one call: everything else goes to other threads, but for what needs that call's answer. */
  #leaves(link: HookLink): void {
    link.serves = false;
    const running = link.control.running;
    for (const pending of link.takeAll()) {
      const stuck = running?.host === this.#self && running.token === pending.token ? running.plugin : undefined;
      if (stuck === undefined || !pending.left.includes(stuck)) {
        this.#place(pending);
        continue;
      }
      const stay = pending.left.filter((plugin) => plugin === stuck || this.#reads(plugin, stuck));
      const go = pending.left.filter((plugin) => !stay.includes(plugin));
      pending.left = stay;
      link.keep(pending);
      if (go.length > 0) this.#place({ ...pending, left: go, given: [...pending.given] });
    }
  }

  /** The call that ran when it died failed; without one, every call there is suspect and gets one more try. */
  #gone(link: HookLink, cause: string): void {
    this.#links.delete(link.thread);
    const running = link.control.running;
    const pendings = link.takeAll();
    link.close();
    for (const pending of pendings) {
      const guilty = running?.host === this.#self && running.token === pending.token ? running.plugin : undefined;
      if (running === undefined) pending.suspicions += 1;
      for (const plugin of pending.left.slice()) {
        if (plugin !== guilty && pending.suspicions <= MOST_SUSPICIONS) continue;
        this.#settle(pending, plugin, { failed: 'crash', cause: `the plugin thread ended: ${cause}` }, undefined);
      }
      if (pending.left.length > 0) this.#place(pending);
    }
  }

  #reads(plugin: number, source: number): boolean {
    return this.#parts.plugins[plugin]!.manifest.reads.includes(this.#parts.plugins[source]!.manifest.name);
  }
}

/** Makes the session thread's host; the pipeline asks it, the session thread tells it of its shared memory. */
export function createHookHost(parts: HookHostParts): ThreadedHookHost {
  return new ThreadedHookHost(parts);
}

function refuse(failed: Failure['failed'], cause: string): Failure {
  return { failed, cause };
}

/** @returns undefined for bytes that no other thread can read. */
function wireOf(request: HookCall['request']): Pick<Pending, 'request' | 'bytes'> | undefined {
  if (!('bytes' in request)) return { request, bytes: undefined };
  const { bytes, ...rest } = request;
  const place: WireBytes | undefined =
    placeOf(bytes) ?? (bytes.whole === undefined ? undefined : { in: 'copy', bytes: bytes.whole });
  return place === undefined ? undefined : { request: rest, bytes: place };
}
