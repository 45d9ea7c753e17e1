import * as fc from 'fast-check';
import { expect, it } from 'vitest';
import { TopCutter } from './top-cutter.ts';

const message = fc
  .array(fc.constantFrom('\r\n', '\n', 'a', 'Subject: x\r\n', '\r', '\r\n\r\n'), { maxLength: 30 })
  .map((parts) => parts.join(''));

/** The plain way: lines up to the first empty one, then so many more. */
function naive(text: string, lines: number): string {
  const all = text.split(/(?<=\n)/);
  const empty = all.findIndex((line) => line === '\n' || line === '\r\n');
  return empty < 0 ? text : all.slice(0, empty + 1 + lines).join('');
}

it('cuts as the naive way does, however the message is cut into chunks', () => {
  fc.assert(
    fc.property(message, fc.integer({ min: 0, max: 8 }), fc.integer({ min: 1, max: 5 }), (text, lines, every) => {
      const cutter = new TopCutter(lines);
      const bytes = Buffer.from(text, 'latin1');
      let taken = '';
      for (let at = 0; at < bytes.length; at += every) {
        const wanted = cutter.take(bytes.subarray(at, at + every));
        if (wanted === undefined) break;
        taken += Buffer.from(wanted).toString('latin1');
      }
      expect(taken).toBe(naive(text, lines));
    }),
    { numRuns: 3000 },
  );
});
