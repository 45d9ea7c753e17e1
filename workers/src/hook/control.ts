/**
 * A few words of memory that a plugin thread shares with everyone who waits for it: does its loop still turn, and which
 * call runs. They can be read while the thread is stuck in an endless loop, and after it died. Written by the plugin
 * thread alone.
 */

const BEAT = 0;
const BUSY = 1;
const HOST = 2;
const TOKEN = 3;
const PLUGIN = 4;
const WORDS = 5;

/** Which call of which session thread, and which plugin of it. */
export interface RunningCall {
  readonly host: number;
  readonly token: number;
  readonly plugin: number;
}

export class HookControl {
  readonly memory: SharedArrayBuffer;
  readonly #words: Int32Array;

  /** @param memory of an existing control, to look at it from another thread. */
  constructor(memory: SharedArrayBuffer = new SharedArrayBuffer(WORDS * Int32Array.BYTES_PER_ELEMENT)) {
    this.memory = memory;
    this.#words = new Int32Array(memory);
  }

  /** The loop turns, or the next call of a batch began. */
  beat(): void {
    Atomics.add(this.#words, BEAT, 1);
  }

  begin({ host, token, plugin }: RunningCall): void {
    Atomics.store(this.#words, HOST, host);
    Atomics.store(this.#words, TOKEN, token);
    Atomics.store(this.#words, PLUGIN, plugin + 1);
    Atomics.add(this.#words, BEAT, 1);
  }

  end(): void {
    Atomics.store(this.#words, PLUGIN, 0);
  }

  /** How many calls the thread has taken and not ended. */
  set busy(calls: number) {
    Atomics.store(this.#words, BUSY, calls);
  }

  get busy(): number {
    return Atomics.load(this.#words, BUSY);
  }

  /** Changes as long as the thread does something. */
  get beats(): number {
    return Atomics.load(this.#words, BEAT);
  }

  /** What runs now, or ran when the thread died; undefined when no hook does. */
  get running(): RunningCall | undefined {
    const plugin = Atomics.load(this.#words, PLUGIN) - 1;
    if (plugin < 0) return undefined;
    return { host: Atomics.load(this.#words, HOST), token: Atomics.load(this.#words, TOKEN), plugin };
  }
}

export function isSameCall(a: RunningCall | undefined, b: RunningCall | undefined): boolean {
  return a !== undefined && b !== undefined && a.host === b.host && a.token === b.token && a.plugin === b.plugin;
}

/** Milliseconds on a clock that all threads of a process share (`performance.now` begins anew on each). */
export function sharedMonotonicMs(): number {
  const [seconds, nanoseconds] = process.hrtime();
  return seconds * 1000 + nanoseconds / 1e6;
}
