/** When a recipient is tried again and given up. */
import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { type Agreed, nextAttemptAt, notPast } from './retry.ts';

const policy = { waitsMs: [100_000, 200_000, 400_000], giveUpAfterMs: 10_000_000 };
const middle = (): number => 0.5;

test.each([
  [1, 100_000],
  [2, 200_000],
  [3, 400_000],
  [9, 400_000],
  [0, 100_000],
])('after attempt %i it waits as the list says, the last wait repeating', (attempts, waitMs) => {
  expect(nextAttemptAt(policy, 0, 1000, attempts, middle)).toBe(1000 + waitMs);
});

test('chance moves a wait by a tenth at most', () => {
  expect(nextAttemptAt(policy, 0, 0, 1, () => 0)).toBe(90_000);
  expect(nextAttemptAt(policy, 0, 0, 1, () => 0.999_999)).toBeLessThanOrEqual(110_000);
});

test('a wait that the peer asked for is never shortened', () => {
  expect(nextAttemptAt(policy, 0, 0, 3, () => 0, 60_000)).toBe(60_000);
  expect(nextAttemptAt(policy, 0, 0, 3, middle, 60_000)).toBe(63_000);
  expect(nextAttemptAt(policy, 0, 0, 3, middle, -5)).toBe(0);
});

test('the last attempt is made when the message expires, and none after it', () => {
  expect(nextAttemptAt(policy, 0, 9_999_000, 5, middle)).toBe(10_000_000);
  expect(nextAttemptAt(policy, 0, 10_000_000, 6, middle)).toBeUndefined();
});

test('recipients that wait equally long come due together: each had a chance of its own, and a message went out in as many copies', () => {
  const agreed: Agreed = new Map();
  const chances = [0.1, 0.9, 0.3];
  const next = (nowMs: number, attempts: number, retryAfterMs?: number) =>
    nextAttemptAt(policy, 0, nowMs, attempts, () => chances.shift()!, retryAfterMs, agreed);
  expect([next(0, 1), next(5, 1), next(30_000, 1)]).toEqual([92_000, 92_000, 92_000]);
  expect([next(0, 3), next(5, 4)]).toEqual([432_000, 432_000]);
  expect([next(0, 1, 300_000), next(5, 2, 300_000)]).toEqual([309_000, 309_000]);
});

test('one whose attempt ended much later does not join the others, and one whose time is over is given up', () => {
  const agreed: Agreed = new Map();
  expect(nextAttemptAt(policy, 0, 0, 1, middle, undefined, agreed)).toBe(100_000);
  expect(nextAttemptAt(policy, 0, 50_001, 1, middle, undefined, agreed)).toBe(150_001);
  expect(nextAttemptAt(policy, 0, 9_999_999, 1, middle, undefined, agreed)).toBe(10_000_000);
  expect(nextAttemptAt(policy, 0, 10_000_000, 1, middle, undefined, agreed)).toBeUndefined();
});

test('every schedule comes to an end', () => {
  const chance = fc.double({ min: 0, max: 0.999, noNaN: true });
  fc.assert(
    fc.property(fc.array(fc.integer({ min: 100_000, max: 1e7 }), { minLength: 1, maxLength: 5 }), chance, (waitsMs, random) => {
      let now = 0;
      let attempts = 1;
      for (;;) {
        const next = nextAttemptAt({ waitsMs, giveUpAfterMs: 1e8 }, 0, now, attempts, () => random);
        if (next === undefined) break;
        expect(next).toBeGreaterThan(now);
        now = next;
        attempts++;
      }
      expect(now).toBe(1e8);
    }),
  );
});

test('an attempt is made when the time of BY is over, and the waits go on after it', () => {
  const deliverBy = { atMs: 5000, mode: 'notify', trace: false } as const;
  expect(notPast(deliverBy, 9000, 1000)).toBe(5000);
  expect(notPast(deliverBy, 3000, 1000)).toBe(3000);
  expect(notPast(deliverBy, 9000, 5000)).toBe(9000);
  expect(notPast(undefined, 9000, 1000)).toBe(9000);
});
