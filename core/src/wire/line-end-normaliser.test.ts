import * as fc from 'fast-check';
import { expect, it } from 'vitest';
import { LineEndNormaliser } from './line-end-normaliser.ts';

/** Pieces of text, with many line ends of every kind in them. */
const TEXT = fc
  .array(fc.constantFrom('\r', '\n', '\r\n', '.', 'a', 'x'.repeat(120)), { maxLength: 60 })
  .map((all) => all.join(''));

function normalise(text: string, cuts: readonly number[]) {
  let said = '';
  const normaliser = new LineEndNormaliser(
    (chunk, from, to) => (said += Buffer.from(chunk.subarray(from, to)).toString('latin1')),
  );
  const bytes = Buffer.from(text, 'latin1');
  let from = 0;
  for (const to of [...cuts.map((cut) => cut % (bytes.length + 1)), bytes.length].sort((a, b) => a - b)) {
    normaliser.take(bytes, from, to);
    from = to;
  }
  normaliser.finish();
  return { said, normaliser };
}

it('makes each CR, LF and CRLF one CRLF, however the text is cut, and changes nothing else', () => {
  fc.assert(
    fc.property(TEXT, fc.array(fc.nat(), { maxLength: 8 }), (text, cuts) => {
      expect(normalise(text, cuts).said).toBe(text.replace(/\r\n|\r|\n/g, '\r\n'));
    }),
  );
});

it('measures what it hands on', () => {
  fc.assert(
    fc.property(TEXT, fc.array(fc.nat(), { maxLength: 8 }), (text, cuts) => {
      const { said, normaliser } = normalise(text, cuts);
      expect(normaliser.sizeBytes).toBe(said.length);
      const header = said.startsWith('\r\n') ? 2 : said.indexOf('\r\n\r\n') + 4;
      expect(normaliser.headerBytes).toBe(header === 3 ? undefined : header);
      const lines = said.split('\r\n').map((line, index, all) => line.length + (index === all.length - 1 ? 0 : 2));
      expect(normaliser.longestLineBytes).toBe(Math.max(...lines));
    }),
  );
});
