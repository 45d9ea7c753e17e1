/** The heap against a sorted list. */
import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { createSchedule, FORCED_MS } from './schedule.ts';

test('gives what is due in the order of time, and nothing before', () => {
  const schedule = createSchedule();
  for (const [id, due] of [
    ['c', 30],
    ['a', 10],
    ['b', 20],
  ] as const)
    schedule.add(id, due);
  expect(schedule.nextDueAtMs()).toBe(10);
  expect(schedule.take(9)).toBeUndefined();
  expect([schedule.take(25)?.id, schedule.take(25)?.id, schedule.take(25)?.id]).toEqual(['a', 'b', undefined]);
  expect(schedule.size).toBe(1);
});

test('agrees with a sorted list through any calls', () => {
  const call = fc.oneof(
    fc.record({ do: fc.constant('add' as const), due: fc.integer({ min: 1, max: 50 }) }),
    fc.record({ do: fc.constant('take' as const), now: fc.integer({ min: 0, max: 60 }) }),
    fc.record({ do: fc.constantFrom('remove' as const, 'force' as const), pick: fc.nat(60) }),
  );
  fc.assert(
    fc.property(fc.array(call, { maxLength: 200 }), (calls) => {
      const schedule = createSchedule();
      const model = new Map<string, number>();
      let next = 0;
      for (const one of calls) {
        if (one.do === 'add') {
          schedule.add(`m${next}`, one.due);
          model.set(`m${next++}`, one.due);
        } else if (one.do === 'take') {
          const taken = schedule.take(one.now);
          const first = Math.min(...model.values());
          if (taken === undefined) expect(first).toBeGreaterThan(one.now);
          else {
            expect(taken.dueAtMs).toBe(first);
            expect(model.get(taken.id)).toBe(first);
            model.delete(taken.id);
          }
        } else if (one.do === 'remove') {
          expect(schedule.remove(`m${one.pick}`)).toBe(model.delete(`m${one.pick}`));
        } else {
          expect(schedule.force(`m${one.pick}`)).toBe(model.has(`m${one.pick}`));
          if (model.has(`m${one.pick}`)) model.set(`m${one.pick}`, FORCED_MS);
        }
        expect(schedule.size).toBe(model.size);
        expect(schedule.nextDueAtMs()).toBe(model.size === 0 ? undefined : Math.min(...model.values()));
      }
    }),
  );
});

test('forces all at once', () => {
  const schedule = createSchedule();
  for (let index = 0; index < 3000; index++) schedule.add(`m${index}`, 1e12 + index);
  schedule.remove('m7');
  expect(schedule.forceAll()).toBe(2999);
  let count = 0;
  while (schedule.take(1)?.dueAtMs === FORCED_MS) count++;
  expect(count).toBe(2999);
});
