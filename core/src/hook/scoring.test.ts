import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import type { GivenEvidence, Verdict } from './contract.ts';
import { createScoring } from './scoring.ts';

const scoring = createScoring({ tag: 5, quarantine: 8, reject: 15 });
const found = (...weights: number[]): Verdict => ({
  kind: 'pass',
  edits: [],
  evidence: weights.map((weight, index) => ({ name: `E${index}`, weight, reason: 'why', plugin: 'p' })),
});

test.each([
  [[], 'pass', 0],
  [[4.9], 'pass', 4.9],
  [[5], 'tag', 5],
  [[10, -2], 'quarantine', 8],
  [[20, -4.5], 'reject', 15.5],
  [[-30], 'pass', -30],
  [[4.7, 0.1, 0.1, 0.1], 'tag', 5],
] as const)('weights %j come to %s', (weights, action, score) => {
  expect(scoring(found(...weights))).toMatchObject({ action, score });
});

test('a threshold of null is never reached', () => {
  expect(createScoring({ tag: 5, quarantine: null, reject: null })(found(1000)).action).toBe('tag');
});

test('a message that a plugin accepted passes with any score', () => {
  expect(scoring({ ...found(100), kind: 'accept' }).action).toBe('pass');
});

test('the explanation names score, action and each piece of evidence', () => {
  expect(scoring(found(3.5, 2)).explanation).toBe('5.5 (tag)\r\n\tE0=3.5 (why);\r\n\tE1=2 (why);');
  expect(scoring(found()).explanation).toBe('');
});

test('the explanation is always printable ASCII, folded below 78 columns, no empty line', () => {
  const evidence = fc.record({
    name: fc.string({ minLength: 1, maxLength: 64 }),
    weight: fc.double({ noNaN: true, min: -1e9, max: 1e9 }),
    reason: fc.string({ unit: 'binary', maxLength: 300 }),
    plugin: fc.constant('p'),
  });
  fc.assert(
    fc.property(fc.array(evidence, { minLength: 1, maxLength: 80 }), (list: GivenEvidence[]) => {
      const [first, ...rest] = scoring({ kind: 'pass', edits: [], evidence: list }).explanation.split('\r\n');
      expect(first).toMatch(/^[\x20-\x7e]{1,50}$/);
      for (const line of rest) expect(line).toMatch(/^\t[\x20-\x7e]{1,76}$/);
    }),
  );
});
