/**
 * One plugin thread as a session thread sees it: the port to it, the calls that wait there, and what goes out with the
 * next message. Used by host.ts.
 */
import type { MessagePort } from 'node:worker_threads';
import type { GivenEvidence } from '@posthorn/core/hook/contract';
import type { HookCall } from '@posthorn/core/hook/host';
import type { HookControl } from './control.ts';
import type { PoolKind, ToPluginThread, WireBytes, WireCall } from './ipc.ts';

/** A call on its way: its plugins of one kind that are not settled. */
export interface Pending {
  readonly call: HookCall;
  /** The request as it travels: without its bytes, and where those are. */
  readonly request: object;
  readonly bytes: WireBytes | undefined;
  readonly kind: PoolKind;
  left: number[];
  /** With what plugins of this call gave since, for a second try. */
  readonly given: GivenEvidence[];
  readonly askedAtMs: number;
  token: number;
  /** How often it was on a thread that died for an unknown reason. */
  suspicions: number;
}

export class HookLink {
  readonly thread: number;
  readonly kind: PoolKind;
  readonly control: HookControl;
  readonly pending = new Map<number, Pending>();
  /** Plugin calls that wait there. */
  load = 0;
  /** False once the thread takes no new calls. */
  serves = true;
  readonly #port: MessagePort;
  #slabs: (readonly [number, SharedArrayBuffer])[];
  #slabsGone: number[] = [];
  #calls: WireCall[] = [];

  constructor(
    thread: number,
    kind: PoolKind,
    port: MessagePort,
    control: HookControl,
    slabs: Iterable<readonly [number, SharedArrayBuffer]>,
  ) {
    this.thread = thread;
    this.kind = kind;
    this.control = control;
    this.#port = port;
    this.#slabs = [...slabs];
  }

  announce(id: number, memory: SharedArrayBuffer): void {
    this.#slabs.push([id, memory]);
  }

  /** @returns whether the thread was told of it, and so is to be told that it is gone, with or without a call. */
  forget(id: number): boolean {
    // A thread that is asked seldom must not keep here what came and went meanwhile.
    const unsent = this.#slabs.findIndex(([known]) => known === id);
    if (unsent >= 0) this.#slabs.splice(unsent, 1);
    else this.#slabsGone.push(id);
    return unsent < 0;
  }

  /** Sends it with the next message. */
  send(pending: Pending): void {
    this.keep(pending);
    const { token, request, bytes, given, askedAtMs } = pending;
    this.#calls.push({ token, stage: pending.call.stage, plugins: [...pending.left], request, bytes, given, askedAtMs });
  }

  /** Counts it as pending here. */
  keep(pending: Pending): void {
    this.pending.set(pending.token, pending);
    this.load += pending.left.length;
  }

  /** Nothing is pending here any more; the caller has it. */
  takeAll(): Pending[] {
    const all = [...this.pending.values()];
    this.pending.clear();
    this.#calls = [];
    this.load = 0;
    return all;
  }

  /** Sends what gathered as one message. @returns how many calls it carried. */
  flush(): number {
    const calls = this.#calls;
    if (calls.length === 0 && this.#slabsGone.length === 0) return 0;
    const message: ToPluginThread = { slabs: this.#slabs, slabsGone: this.#slabsGone, calls };
    this.#calls = [];
    this.#slabs = [];
    this.#slabsGone = [];
    this.#port.postMessage(message);
    return calls.length;
  }

  isRunning(host: number, token: number, plugin: number): boolean {
    const running = this.control.running;
    return running?.host === host && running.token === token && running.plugin === plugin;
  }

  close(): void {
    this.#port.close();
  }
}
