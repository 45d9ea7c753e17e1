import { expect, it } from 'vitest';
import { causeText } from './cause-text.ts';

it('an error is told with what is behind it', () => {
  const refused = Object.assign(new Error('connect ECONNREFUSED 127.0.0.1:443'), { code: 'ECONNREFUSED' });
  expect(causeText(new TypeError('fetch failed', { cause: refused }))).toBe('fetch failed: connect ECONNREFUSED 127.0.0.1:443');
  const all = Object.assign(new AggregateError([refused, refused], ''), { code: 'ECONNREFUSED' });
  expect(causeText(new TypeError('fetch failed', { cause: all }))).toBe(
    'fetch failed: ECONNREFUSED: connect ECONNREFUSED 127.0.0.1:443',
  );
});

it('what is said already is not said again, and an error without words tells its name', () => {
  expect(causeText(new Error('cannot ask: gone', { cause: new Error('gone') }))).toBe('cannot ask: gone');
  expect(causeText(new RangeError(''))).toBe('RangeError');
  expect(causeText(new Error('odd', { cause: 7 }))).toBe('odd: 7');
});

it('what is no error, and one that leads back to itself, are told too', () => {
  expect(causeText('words')).toBe('words');
  const ring = new Error('round');
  ring.cause = ring;
  expect(causeText(ring)).toBe('round');
});
