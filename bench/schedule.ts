/**
 * What order costs in the queue's schedule, and what a priority brings under overload. Run: `node --expose-gc
 * bench/schedule.ts [messages] [rounds]`.
 * `cost`: adding and taking so many messages, all ordinary, a tenth with a priority, and a third; nanoseconds for a
 * message and bytes for one that waits, ids not counted. `wait`: more comes in than goes out for an hour, by a clock that
 * is turned by hand: how long messages of each priority wait, in minutes.
 */
import { createSchedule, wishFor } from '@posthorn/core/queue/schedule';
import { alternate, Recorder } from './lib/run.ts';
import { median } from './lib/stats.ts';
import { formatTable } from './lib/table.ts';

const messages = Number(process.argv[2] ?? 1_000_000);
const rounds = Number(process.argv[3] ?? 5);
const STEP_MS = 600_000;
const SIDES = { 'all ordinary': 0, 'a tenth with a priority': 10, 'a third with a priority': 3 } as const;
const PRIORITIES = [-9, -4, 4, 9];

/** Always the same, so that rounds compare. */
function makeRandom(): () => number {
  let state = 42;
  return () => {
    state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0;
    return state / 2 ** 32;
  };
}

interface Cost {
  readonly nsPerMessage: number;
  readonly bytesPerMessage: number;
}

function measureCost(every: number): Cost {
  const random = makeRandom();
  const ids = Array.from({ length: messages }, (_, index) => `q${String(index).padStart(12, '0')}`);
  const due = Float64Array.from({ length: messages }, () => Math.floor(random() * 3_600_000));
  const schedule = createSchedule(STEP_MS);
  globalThis.gc?.();
  const before = process.memoryUsage();
  const begun = performance.now();
  for (let index = 0; index < messages; index++) {
    const priority = every > 0 && index % every === 0 ? PRIORITIES[index % PRIORITIES.length]! : undefined;
    schedule.add(ids[index]!, due[index]!, wishFor(priority, false));
  }
  const added = performance.now() - begun;
  globalThis.gc?.();
  const after = process.memoryUsage();
  const again = performance.now();
  while (schedule.take(Infinity) !== undefined);
  const taken = performance.now() - again;
  const bytes = after.arrayBuffers - before.arrayBuffers + (after.heapUsed - before.heapUsed);
  return { nsPerMessage: ((added + taken) * 1e6) / messages, bytesPerMessage: bytes / messages };
}

/** Ten messages come in and five go out each second for an hour, then what is left goes out. @returns minutes, by priority */
function measureWait(): Map<number, number[]> {
  const shares = [
    [0, 40],
    [4, 10],
    [9, 2],
    [-4, 30],
    [-9, 18],
  ] as const;
  const mix = shares.flatMap(([priority, share]) => Array.from({ length: share }, () => priority));
  const random = makeRandom();
  const schedule = createSchedule(STEP_MS);
  const waits = new Map<number, number[]>(shares.map(([priority]) => [priority, []]));
  let count = 0;
  for (let second = 0; ; second++) {
    const nowMs = second * 1000;
    if (second < 3600) {
      for (let one = 0; one < 10; one++) {
        const priority = mix[Math.floor(random() * mix.length)]!;
        schedule.add(`m${count++}`, nowMs, wishFor(priority, false));
      }
    } else if (schedule.size === 0) {
      return waits;
    }
    for (let one = 0; one < 5; one++) {
      const taken = schedule.take(nowMs);
      if (taken !== undefined) waits.get(taken.wish.priority)!.push((nowMs - taken.dueAtMs) / 60_000);
    }
  }
}

const recorder = await Recorder.open('schedule', { messages, rounds });
const names = Object.keys(SIDES) as (keyof typeof SIDES)[];
const results = await alternate(names, rounds, async (side, round) => {
  const result = measureCost(SIDES[side]);
  recorder.write('round', { side, round, ...result });
  return result;
});
const costs = names.map((side) => {
  const nsPerMessage = median(results[side].map((one) => one.nsPerMessage));
  const bytesPerMessage = median(results[side].map((one) => one.bytesPerMessage));
  recorder.write('summary', { side, nsPerMessage, bytesPerMessage });
  return [side, Math.round(nsPerMessage), bytesPerMessage.toFixed(1)];
});
const waits = [...measureWait()].map(([priority, minutes]) => {
  const sorted = minutes.toSorted((a, b) => a - b);
  const longest = sorted.at(-1) ?? 0;
  recorder.write('summary', { priority, messages: minutes.length, medianMinutes: median(minutes), longestMinutes: longest });
  return [priority, minutes.length, median(minutes).toFixed(1), longest.toFixed(1)];
});
recorder.finish(
  `${formatTable(['cost', 'ns/message', 'bytes/message'], costs)}\n\n${formatTable(['priority', 'messages', 'median wait, min', 'longest, min'], waits)}`,
);
