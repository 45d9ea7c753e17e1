import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { editDistance, nearest } from './nearest.ts';

describe('nearest', () => {
  const keys = ['maxMessageBytes', 'maxRecipients', 'tls', 'timeouts'];
  it.each([
    ['max_message_bytes', 'maxMessageBytes'],
    ['MaxRecipient', 'maxRecipients'],
    ['tsl', 'tls'],
    ['timeout', 'timeouts'],
  ])('%s is a slip for %s', (word, meant) => expect(nearest(word, keys)).toBe(meant));
  it.each(['password', 'x', '', 'y'.repeat(1000)])('%j is no slip', (word) => expect(nearest(word, keys)).toBeUndefined());
});

describe('editDistance', () => {
  it('counts swapped neighbours once', () => expect(editDistance('relay', 'realy')).toBe(1));
  it('is the same both ways, zero for the same word, never above the longer one', () => {
    fc.assert(
      fc.property(fc.string({ maxLength: 12 }), fc.string({ maxLength: 12 }), (a, b) => {
        expect(editDistance(a, b)).toBe(editDistance(b, a));
        expect(editDistance(a, a)).toBe(0);
        expect(editDistance(a, b)).toBeLessThanOrEqual(Math.max(a.length, b.length));
      }),
    );
  });
});
