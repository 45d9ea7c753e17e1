import * as fc from 'fast-check';
import { expect, it } from 'vitest';
import { CrlfStream, toCrlf, WireCounter } from './wire-form.ts';

const text = fc.array(fc.constantFrom('\r', '\n', '\r\n', 'a', 'bc'), { maxLength: 40 }).map((parts) => parts.join(''));
const sizes = fc.array(fc.integer({ min: 1, max: 5 }), { minLength: 1, maxLength: 9 });

/** The plain way: by strings. A CR that no LF follows stays; the end is a line's end. */
function naive(message: string): string {
  const lines = message.replace(/(?<!\r)\n/g, '\r\n');
  return lines === '' || lines.endsWith('\n') ? lines : `${lines}\r\n`;
}

function cut(message: string, lengths: readonly number[]): Buffer[] {
  const bytes = Buffer.from(message, 'latin1');
  const chunks: Buffer[] = [];
  for (let at = 0, turn = 0; at < bytes.length; turn++) {
    const length = lengths[turn % lengths.length]!;
    chunks.push(bytes.subarray(at, at + length));
    at += length;
  }
  return chunks;
}

it('makes line ends CRLF and counts them as the naive way does, however the message is cut', () => {
  fc.assert(
    fc.property(text, sizes, (message, lengths) => {
      const stream = new CrlfStream();
      const counter = new WireCounter();
      const pieces = cut(message, lengths).map((chunk) => {
        counter.push(chunk);
        return stream.push(chunk);
      });
      expect(Buffer.concat([...pieces, stream.end()]).toString('latin1')).toBe(naive(message));
      expect(Buffer.from(toCrlf(Buffer.from(message, 'latin1'))).toString('latin1')).toBe(naive(message));
      expect([counter.fileBytes, counter.wireBytes]).toEqual([message.length, naive(message).length]);
      expect(counter.endsLine).toBe(message === '' || message.endsWith('\n'));
    }),
    { numRuns: 2000 },
  );
});

it('passes on what has CRLF already, not copied', () => {
  const chunk = Buffer.from('a\r\nb\r\n');
  expect(new CrlfStream().push(chunk)).toBe(chunk);
});
