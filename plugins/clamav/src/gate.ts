/**
 * How many scans run at a time, and whether clamd is asked at all. Calls past the limit wait in order, each no longer than
 * its own time. After three failures running clamd is left alone for a while, and callers fail at once: a dead scanner must
 * not hold every session for the length of a timeout. Then one call tries; its success lets all others through again.
 */
import type { Clock } from '@posthorn/sdk';
import { ClamdError } from './clamd.ts';

const FAILURES_TO_OPEN = 3;

class LeftAlone extends ClamdError {
  constructor() {
    super('clamd failed lately and is left alone for a while');
  }
}

export class Gate {
  readonly #limit: number;
  readonly #retryAfterMs: number;
  readonly #clock: Clock;
  readonly #waiting = new Set<() => void>();
  #running = 0;
  #failures = 0;
  #closedUntilMs = Number.NEGATIVE_INFINITY;
  #trying = false;

  constructor(limit: number, retryAfterMs: number, clock: Clock) {
    this.#limit = limit;
    this.#retryAfterMs = retryAfterMs;
    this.#clock = clock;
  }

  /**
   * Runs a scan when its turn comes.
   * @param timeoutMs for waiting and scanning; the scan is told what is left of it.
   * @throws ClamdError at once while clamd is left alone, or when the turn did not come in time; else what `scan` throws.
   */
  async run<T>(timeoutMs: number, scan: (leftMs: number) => Promise<T>): Promise<T> {
    const startMs = this.#clock.monotonic();
    this.#refuseWhileClosed();
    if (this.#running < this.#limit) this.#running++;
    else await this.#turn(timeoutMs);
    let tries = false;
    try {
      this.#refuseWhileClosed();
      tries = this.#failures >= FAILURES_TO_OPEN;
      this.#trying ||= tries;
      const result = await scan(timeoutMs - (this.#clock.monotonic() - startMs));
      this.#failures = 0;
      return result;
    } catch (error) {
      if (!(error instanceof LeftAlone)) {
        this.#failures++;
        if (this.#failures >= FAILURES_TO_OPEN) this.#closedUntilMs = this.#clock.monotonic() + this.#retryAfterMs;
      }
      throw error;
    } finally {
      if (tries) this.#trying = false;
      this.#running--;
      const [next] = this.#waiting;
      next?.();
    }
  }

  #refuseWhileClosed(): void {
    if (this.#failures < FAILURES_TO_OPEN) return;
    if (this.#trying || this.#clock.monotonic() < this.#closedUntilMs) throw new LeftAlone();
  }

  /** Waits for another scan's end, which hands its place on. */
  #turn(timeoutMs: number): Promise<void> {
    return new Promise((resolve, reject) => {
      const go = (): void => {
        this.#waiting.delete(go);
        this.#running++;
        cancel();
        resolve();
      };
      const cancel = this.#clock.after(timeoutMs, () => {
        this.#waiting.delete(go);
        reject(new ClamdError('no free connection in time'));
      });
      this.#waiting.add(go);
    });
  }
}
