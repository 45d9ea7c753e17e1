/**
 * Lets few expensive computations run at once and few more wait, in order. argon2id runs on libuv's pool, which file
 * writes and syncs share: a burst of logins must not take all of its threads, nor 19 MiB each without end.
 */
export class Turnstile {
  readonly #maxRunning: number;
  readonly #maxWaiting: number;
  readonly #waiting: (() => void)[] = [];
  #running = 0;

  constructor(maxRunning: number, maxWaiting: number) {
    this.#maxRunning = maxRunning;
    this.#maxWaiting = maxWaiting;
  }

  /**
   * Runs `work` when it is its turn.
   * @returns its result, or undefined at once when too many wait. Rejects as `work` does.
   */
  run<T>(work: () => Promise<T>): Promise<T> | undefined {
    if (this.#running < this.#maxRunning) {
      this.#running++;
      return this.#finish(work());
    }
    if (this.#waiting.length >= this.#maxWaiting) return undefined;
    return new Promise<void>((resolve) => this.#waiting.push(resolve)).then(() => this.#finish(work()));
  }

  async #finish<T>(work: Promise<T>): Promise<T> {
    try {
      return await work;
    } finally {
      const next = this.#waiting.shift();
      // The place is handed on, not given back: nobody new can slip in between.
      if (next === undefined) this.#running--;
      else next();
    }
  }
}
