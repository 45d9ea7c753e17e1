/** Counters in memory of one thread; `posthorn status` sums them over threads and processes. */
import type { Counters } from './counters.ts';

export interface CountedCounters extends Counters {
  /** All counts so far, by name. */
  snapshot(): Record<string, number>;
}

export function createCounters(): CountedCounters {
  const counts = new Map<string, number>();
  return {
    add: (name, by = 1) => void counts.set(name, (counts.get(name) ?? 0) + by),
    snapshot: () => Object.fromEntries(counts),
  };
}
