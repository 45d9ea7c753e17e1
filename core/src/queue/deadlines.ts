/**
 * The times by which waiting messages are to be delivered (RFC 2852): each is looked at when its time comes, also when it
 * gets no turn till then. Called by queue.ts; a message is in here while it is in the schedule, and few messages have such
 * a time. One timer for all of them, and a look at all when it rings.
 */
import type { Clock } from '../mail/clock.ts';

export interface Deadlines {
  /** A time that is over already was told of, and is left out. */
  add(id: string, atMs: number | undefined): void;
  /** Of a message that the last run left: its time may have passed since, and nobody was told. */
  recall(id: string, atMs: number): void;
  remove(id: string): void;
  /** Takes out up to `limit` whose time is over; others are told of again. */
  takePassed(limit: number): string[];
  /** Rings no more. */
  stop(): void;
}

/** Between two looks, and for the wall clock that may be set meanwhile. */
const LEAST_WAIT_MS = 100;
/** Those that nobody took are told of again after this: who takes them may have been busy. */
const AGAIN_MS = 1_000;
const LONGEST_WAIT_MS = 600_000;

/** @param passed called when the time of some is over */
export function createDeadlines(clock: Pick<Clock, 'now' | 'after'>, passed: () => void): Deadlines {
  const times = new Map<string, number>();
  let ringsAtMs = Infinity;
  let cancel: (() => void) | undefined;

  function arm(atMs: number, nowMs: number): void {
    if (atMs >= ringsAtMs) return;
    cancel?.();
    ringsAtMs = atMs;
    cancel = clock.after(Math.min(LONGEST_WAIT_MS, Math.max(LEAST_WAIT_MS, atMs - nowMs)), ring);
  }

  function ring(): void {
    ringsAtMs = Infinity;
    cancel = undefined;
    const nowMs = clock.now();
    let next = Infinity;
    let isOver = false;
    for (const atMs of times.values()) {
      if (atMs <= nowMs) isOver = true;
      else next = Math.min(next, atMs);
    }
    if (isOver) next = Math.min(next, nowMs + AGAIN_MS);
    if (next < Infinity) arm(next, nowMs);
    if (isOver) passed();
  }

  return {
    add(id, atMs) {
      const nowMs = clock.now();
      if (atMs === undefined || atMs <= nowMs) return;
      times.set(id, atMs);
      arm(atMs, nowMs);
    },
    recall(id, atMs) {
      times.set(id, atMs);
      arm(atMs, clock.now());
    },
    remove: (id) => void times.delete(id),
    takePassed(limit) {
      const ids: string[] = [];
      const nowMs = clock.now();
      for (const [id, atMs] of times) {
        if (ids.length >= limit) break;
        if (atMs <= nowMs) ids.push(id);
      }
      for (const id of ids) times.delete(id);
      return ids;
    },
    stop() {
      cancel?.();
      times.clear();
    },
  };
}
