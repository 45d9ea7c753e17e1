/** The lanes and their heaps against a sorted list. */
import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { createSchedule, FORCED_MS, NO_WISH, type Wish, wishFor } from './schedule.ts';

const STEP_MS = 10;
const HELD = wishFor(undefined, true);
const of = (priority: number): Wish => wishFor(priority, false);

interface Turn {
  readonly dueAtMs: number;
  readonly wish: Wish;
}

test('gives what is due in the order of time, and nothing before', () => {
  const schedule = createSchedule(STEP_MS);
  for (const [id, due] of [
    ['c', 30],
    ['a', 10],
    ['b', 20],
  ] as const)
    schedule.add(id, due, NO_WISH);
  expect(schedule.nextDueAtMs()).toBe(10);
  expect(schedule.take(9)).toBeUndefined();
  expect([schedule.take(25)?.id, schedule.take(25)?.id, schedule.take(25)?.id]).toEqual(['a', 'b', undefined]);
  expect(schedule.size).toBe(1);
});

/** Who goes first by the words of the head of schedule.ts. */
function firstOf(model: ReadonlyMap<string, Turn>, nowMs: number): { id: string; rank: number } | undefined {
  const due = [...model].filter(([, { dueAtMs }]) => dueAtMs <= nowMs);
  const ranked = due.map(([id, { dueAtMs, wish }]) => ({ id, rank: dueAtMs - wish.priority * STEP_MS }));
  return ranked.toSorted((a, b) => a.rank - b.rank)[0];
}

test('agrees with a sorted list through any calls', () => {
  const turn = fc.record({
    dueAtMs: fc.integer({ min: 1, max: 50 }),
    wish: fc.constantFrom(NO_WISH, NO_WISH, of(9), of(1), of(-1), of(-9), HELD, wishFor(3, true)),
  });
  const call = fc.oneof(
    fc.record({ do: fc.constant('add' as const), turn }),
    fc.record({ do: fc.constant('take' as const), now: fc.integer({ min: 0, max: 60 }) }),
    fc.record({ do: fc.constantFrom('remove' as const, 'force' as const), pick: fc.nat(60) }),
    fc.record({ do: fc.constant('force all' as const) }),
  );
  fc.assert(
    fc.property(fc.array(call, { maxLength: 200 }), (calls) => {
      const schedule = createSchedule(STEP_MS);
      const model = new Map<string, Turn>();
      let next = 0;
      for (const one of calls) {
        if (one.do === 'add') {
          schedule.add(`m${next}`, one.turn.dueAtMs, one.turn.wish);
          model.set(`m${next++}`, one.turn);
        } else if (one.do === 'take') {
          const taken = schedule.take(one.now);
          const first = firstOf(model, one.now);
          if (taken === undefined) expect(first).toBeUndefined();
          else {
            const { id, ...turn } = taken;
            expect(turn.dueAtMs - turn.wish.priority * STEP_MS).toBe(first?.rank);
            expect(model.get(id)).toEqual(turn);
            model.delete(id);
          }
        } else if (one.do === 'remove') {
          expect(schedule.remove(`m${one.pick}`)).toBe(model.delete(`m${one.pick}`));
        } else if (one.do === 'force') {
          const known = model.get(`m${one.pick}`);
          expect(schedule.has(`m${one.pick}`)).toBe(known !== undefined);
          expect(schedule.force(`m${one.pick}`)).toBe(known !== undefined);
          if (known !== undefined) model.set(`m${one.pick}`, { dueAtMs: FORCED_MS, wish: { ...known.wish, held: false } });
        } else {
          const free = [...model].filter(([, { wish }]) => !wish.held);
          expect(schedule.forceAll()).toBe(free.length);
          for (const [id, known] of free) model.set(id, { ...known, dueAtMs: FORCED_MS });
        }
        const times = [...model.values()].map(({ dueAtMs }) => dueAtMs);
        expect(schedule.size).toBe(model.size);
        expect(schedule.nextDueAtMs()).toBe(model.size === 0 ? undefined : Math.min(...times));
      }
    }),
  );
});

test('forces all at once, but for what is held', () => {
  const schedule = createSchedule(STEP_MS);
  for (let index = 0; index < 3000; index++) schedule.add(`m${index}`, 1e12 + index, NO_WISH);
  schedule.add('held', 1e12, HELD);
  schedule.remove('m7');
  expect(schedule.forceAll()).toBe(2999);
  let count = 0;
  while (schedule.take(1)?.dueAtMs === FORCED_MS) count++;
  expect(count).toBe(2999);
  expect(schedule.has('held')).toBe(true);
});

describe('priority', () => {
  test('goes before what came due within its steps, not before what has waited longer', () => {
    const schedule = createSchedule(STEP_MS);
    schedule.add('waits long', 1000, NO_WISH);
    schedule.add('came lately', 1021, NO_WISH);
    schedule.add('urgent', 1050, of(3));
    schedule.add('may wait', 1000, of(-9));
    const order = [1, 2, 3, 4].map(() => schedule.take(1100)?.id);
    expect(order).toEqual(['waits long', 'urgent', 'came lately', 'may wait']);
  });

  test('starves nobody: the least goes when its steps are over, however much that is urgent comes in', () => {
    const schedule = createSchedule(STEP_MS);
    schedule.add('least', 0, of(-9));
    let now = 0;
    // One comes in and one goes out at each tick: the queue never empties.
    schedule.add('urgent 0', now, of(9));
    for (let tick = 1; ; tick++) {
      now = tick;
      schedule.add(`urgent ${tick}`, now, of(9));
      if (schedule.take(now)?.id === 'least') break;
      expect(tick).toBeLessThan(1000);
    }
    expect(now).toBe(18 * STEP_MS + 1);
  });

  test('what is urgent and not due yet keeps nobody waiting', () => {
    const schedule = createSchedule(STEP_MS);
    schedule.add('urgent, later', 500, of(9));
    schedule.add('ordinary', 499, NO_WISH);
    expect(schedule.take(499)?.id).toBe('ordinary');
    expect(schedule.take(499)).toBeUndefined();
  });
});
