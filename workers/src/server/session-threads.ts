/**
 * The session threads of a server process, seen from its main thread: starts them, hands on what concerns all, and puts
 * a new thread in the place of one that died or hangs. A thread that dies takes its own sessions with it, nothing else:
 * what it had handed over is stored all the same, what it had not was never acknowledged.
 */
import { type MessagePort, type Transferable, Worker } from 'node:worker_threads';
import { createLedgerMemory } from '@posthorn/core/auth/ledger';
import type { AdmissionControl } from '@posthorn/core/dispatch/admission';
import type { Log } from '@posthorn/core/observe/log';
import type { SessionThreadData, Settings, ToServerMain, ToSessionThread } from '../ipc.ts';

export interface SessionThreadsOptions {
  readonly slot: number;
  readonly processes: number;
  readonly threads: number;
  /** Of session tickets, at the start. */
  readonly ticketKeys: Uint8Array;
  readonly admission: AdmissionControl;
  readonly log: Log;
  /** What else a new thread is given: a port of the pool of plugin threads. */
  readonly equip: () => { readonly data: MessagePort | undefined; readonly transfer: Transferable[] };
  readonly onMessage: (message: ToServerMain, answer: (message: ToSessionThread) => void, threadIndex: number) => void;
  readonly onGone: (threadIndex: number) => void;
  /** A thread cannot start, the first time: the process cannot either. */
  readonly onFailed: (problem: string) => void;
}

/** A thread that did not move its heart for so long is stuck in a plugin's loop or worse. */
const STUCK_MS = 10_000;
const WATCH_MS = 1_000;
/** A thread that dies this soon is not started again at once. */
const YOUNG_MS = 2_000;
const YOUNG_DELAY_MS = 1_000;

interface Thread {
  readonly place: number;
  readonly index: number;
  readonly worker: Worker;
  readonly heart: Int32Array;
  readonly startedAtMs: number;
  beat: number;
  movedAtMs: number;
  listening: boolean;
}

type ThreadAnswer = Extract<ToServerMain, { to: 'main.count' | 'main.reloaded' }>;
/** What a thread answers to `thread.count`. */
export type ThreadCounts = Extract<ToServerMain, { to: 'main.count' }>;

interface Question {
  readonly left: Set<number>;
  readonly answers: ThreadAnswer[];
  readonly done: (answers: ThreadAnswer[]) => void;
}

export class SessionThreads {
  readonly #options: SessionThreadsOptions;
  readonly #threads: (Thread | undefined)[] = [];
  readonly #watch: NodeJS.Timeout;
  readonly #loginLedger = createLedgerMemory();
  #settings: Settings;
  #ticketKeys: Uint8Array;
  /** Never reused: names of sessions, messages and memory carry it. */
  #nextIndex = 0;
  #ending = false;
  /** Every thread has listened once: what goes wrong from now on is one thread's affair. */
  #serving = false;
  #started: PromiseWithResolvers<void> | undefined;
  #drained: PromiseWithResolvers<void> | undefined;
  readonly #questions = new Map<number, Question>();
  #nextToken = 1;

  constructor(options: SessionThreadsOptions, settings: Settings) {
    this.#options = options;
    this.#settings = settings;
    this.#ticketKeys = options.ticketKeys;
    this.#watch = setInterval(() => this.#lookForStuck(), WATCH_MS);
    this.#watch.unref();
  }

  /** Resolves when every thread listens. */
  async start(): Promise<void> {
    this.#started = Promise.withResolvers<void>();
    for (let place = 0; place < this.#options.threads; place++) this.#run(place);
    await this.#started.promise;
    this.#serving = true;
  }

  /**
   * Gives all threads new settings; those started later begin with them.
   * @param equip whether there is a new pool of plugin threads to go to
   * @returns problems, when every thread has said what it could take up
   */
  async reload(settings: Settings, equip: boolean): Promise<string[]> {
    this.#settings = settings;
    const answers = await this.#ask((token, thread) => {
      const equipment = equip ? this.#options.equip() : undefined;
      const message: ToSessionThread = { to: 'thread.reload', token, settings, equipment: equipment?.data };
      thread.worker.postMessage(message, equipment?.transfer ?? []);
    });
    return answers.flatMap((answer) => (answer.to === 'main.reloaded' && answer.problem !== undefined ? [answer.problem] : []));
  }

  /** Gives all threads new certificates and keys of session tickets; those started later begin with them. */
  changeTls(tls: Settings['tls'], ticketKeys: Uint8Array): void {
    this.#settings = { ...this.#settings, tls };
    this.#ticketKeys = ticketKeys;
    this.broadcast({ to: 'thread.tls', tls, ticketKeys });
  }

  broadcast(message: ToSessionThread): void {
    for (const thread of this.#alive()) thread.worker.postMessage(message);
  }

  /** Counters and memory of every thread. */
  async counts(): Promise<ThreadCounts[]> {
    const answers = await this.#ask((token, thread) =>
      thread.worker.postMessage({ to: 'thread.count', token } satisfies ToSessionThread),
    );
    return answers.filter((answer) => answer.to === 'main.count');
  }

  /** Running sessions may finish; what is left after `graceMs` is closed. */
  async drain(graceMs: number): Promise<void> {
    this.#ending = true;
    if (this.#alive().length === 0) return;
    this.#drained = Promise.withResolvers<void>();
    this.broadcast({ to: 'thread.drain' });
    const timer = setTimeout(() => this.broadcast({ to: 'thread.stop' }), graceMs);
    await this.#drained.promise;
    clearTimeout(timer);
    clearInterval(this.#watch);
  }

  #alive(): Thread[] {
    return this.#threads.filter((thread) => thread !== undefined);
  }

  #run(place: number): void {
    const index = this.#nextIndex++;
    const { data, transfer } = this.#options.equip();
    const heart = new Int32Array(new SharedArrayBuffer(4));
    const { slot, processes, threads, admission } = this.#options;
    const workerData: SessionThreadData = {
      settings: this.#settings,
      slot,
      processes,
      place,
      threadIndex: index,
      sessionThreads: threads,
      ticketKeys: this.#ticketKeys,
      admission: admission.memory,
      loginLedger: this.#loginLedger,
      heart,
      equipment: data,
    };
    const worker = new Worker(new URL('../session/thread.js', import.meta.url), {
      workerData,
      transferList: transfer,
      name: `sessions-${index}`,
    });
    const nowMs = performance.now();
    const thread: Thread = { place, index, worker, heart, startedAtMs: nowMs, beat: 0, movedAtMs: nowMs, listening: false };
    this.#threads[place] = thread;
    worker.on('message', (message: ToServerMain) => this.#heard(thread, message));
    worker.on('error', (error: Error) =>
      this.#options.log.error('session-thread-error', { thread: index, cause: error.message, stack: error.stack }),
    );
    worker.once('exit', (code) => this.#gone(thread, code));
  }

  #heard(thread: Thread, message: ToServerMain): void {
    if (message.to === 'main.listening') {
      thread.listening = true;
      if (this.#alive().every((one) => one.listening)) this.#started?.resolve();
    } else if (message.to === 'main.failed') this.#notStarted(thread, message.problem);
    else if (message.to === 'main.count' || message.to === 'main.reloaded') this.#answered(thread.index, message.token, message);
    else this.#options.onMessage(message, (answer) => thread.worker.postMessage(answer), thread.index);
  }

  /** The first time nothing runs yet, and the operator is to see it; later it is tried again, and the others go on. */
  #notStarted(thread: Thread, problem: string): void {
    if (!this.#serving) {
      this.#options.onFailed(problem);
      return;
    }
    this.#options.log.error('session-thread-not-started', { thread: thread.index, problem });
    void thread.worker.terminate();
  }

  /** One question to every thread; a thread that dies meanwhile gives no answer. */
  #ask(put: (token: number, thread: Thread) => void): Promise<ThreadAnswer[]> {
    const token = this.#nextToken++;
    const threads = this.#alive();
    if (threads.length === 0) return Promise.resolve([]);
    return new Promise((done) => {
      this.#questions.set(token, { left: new Set(threads.map((thread) => thread.index)), answers: [], done });
      for (const thread of threads) put(token, thread);
    });
  }

  #answered(index: number, token: number, answer: ThreadAnswer | undefined): void {
    const question = this.#questions.get(token);
    if (question === undefined || !question.left.delete(index)) return;
    if (answer !== undefined) question.answers.push(answer);
    if (question.left.size > 0) return;
    this.#questions.delete(token);
    question.done(question.answers);
  }

  #gone(thread: Thread, code: number): void {
    const { log, admission, onGone } = this.#options;
    this.#threads[thread.place] = undefined;
    admission.forgetThread(thread.place);
    for (const token of this.#questions.keys()) this.#answered(thread.index, token, undefined);
    onGone(thread.index);
    if (this.#ending) {
      if (this.#alive().length === 0) this.#drained?.resolve();
      return;
    }
    if (!thread.listening && !this.#serving) {
      this.#options.onFailed(`a session thread ended with code ${code} before it listened`);
      return;
    }
    const young = performance.now() - thread.startedAtMs < YOUNG_MS;
    log.error('session-thread-died', { thread: thread.index, code });
    const again = () => {
      // A stop that began meanwhile would not tell the new one to drain, and wait for it.
      if (!this.#ending) this.#run(thread.place);
    };
    setTimeout(again, young ? YOUNG_DELAY_MS : 0);
  }

  #lookForStuck(): void {
    const nowMs = performance.now();
    for (const thread of this.#alive()) {
      const beat = Atomics.load(thread.heart, 0);
      if (beat !== thread.beat) {
        thread.beat = beat;
        thread.movedAtMs = nowMs;
      } else if (thread.listening && nowMs - thread.movedAtMs > STUCK_MS) {
        this.#options.log.error('session-thread-stuck', { thread: thread.index, stillMs: Math.round(nowMs - thread.movedAtMs) });
        thread.movedAtMs = nowMs;
        void thread.worker.terminate();
      }
    }
  }
}
