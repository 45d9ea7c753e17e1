import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { DotStream } from './dot-stream.ts';

interface Outcome {
  readonly content: string;
  readonly ended: boolean;
  readonly bare: boolean;
  readonly used: number;
  readonly longestLineBytes: number;
  readonly headerBytes: number | undefined;
}

/** Feeds `text` in chunks of these sizes, then the rest. */
function run(text: string, sizes: readonly number[]): Outcome {
  const pieces: string[] = [];
  const stream = new DotStream((chunk, from, to) => pieces.push(Buffer.from(chunk.subarray(from, to)).toString('latin1')));
  // At an odd offset in a larger buffer, as a view of a socket's buffer may be.
  const bytes = Buffer.from(`?${text}`, 'latin1').subarray(1);
  let used = 0;
  for (const size of [...sizes, bytes.length]) {
    if (used >= bytes.length || stream.ended) break;
    used = stream.take(bytes, used, Math.min(used + size, bytes.length));
  }
  const content = pieces.join('');
  expect(stream.sizeBytes).toBe(content.length);
  return {
    content,
    ended: stream.ended,
    bare: stream.bareLineEnd,
    used,
    longestLineBytes: stream.longestLineBytes,
    headerBytes: stream.headerBytes,
  };
}

/** The same by string functions, slowly and plainly. */
function oracle(text: string): Outcome {
  const end = `\r\n${text}`.indexOf('\r\n.\r\n');
  const ended = end >= 0;
  const stuffed = ended ? text.slice(0, end) : text;
  // An unfinished dot or dot-CR at the end may yet become the end of data.
  const held = ended ? stuffed : stuffed.replace(/(^|\r\n)\.\r?$/, '$1');
  const content = held.replace(/(^|\r\n)\.(?=[^])/g, '$1');
  const lines = content.split('\r\n').map((line, index, all) => line.length + (index < all.length - 1 ? 2 : 0));
  const empty = content.startsWith('\r\n') ? 2 : content.indexOf('\r\n\r\n') + 4;
  return {
    content,
    ended,
    bare: /\r(?!\n)|(?<!\r)\n/.test(ended ? stuffed : stuffed.replace(/\r$/, '')),
    used: ended ? end + 3 : text.length,
    longestLineBytes: Math.max(0, ...lines),
    headerBytes: empty === 3 ? undefined : empty,
  };
}

const pieces = fc.constantFrom(
  '\r\n',
  '.',
  '\r\n.',
  '\r\n.\r\n',
  '\r',
  '\n',
  'a',
  'text of a line',
  '\0',
  '..',
  '\xff',
  'x'.repeat(130),
);
const texts = fc.array(pieces, { maxLength: 40 }).map((parts) => parts.join(''));

describe('DotStream', () => {
  it('agrees with the plain reading, however the bytes are cut', () => {
    fc.assert(
      fc.property(texts, fc.array(fc.integer({ min: 1, max: 150 })), (text, sizes) => {
        expect(run(text, sizes)).toEqual(oracle(text));
      }),
      { numRuns: 3000 },
    );
  });

  it('ends at CRLF.CRLF only, and consumes nothing after it', () => {
    for (const not of [
      '\n.\n',
      '\n.\r\n',
      '\r.\r',
      '\r.\r\n',
      '\r\n.\n',
      '\r\n.\r',
      '\r\n.\r\r\n',
      '\r\n.\0\r\n',
      '\r\n\0.\r\n',
      '\r\n. \r\n',
    ]) {
      expect(run(`x${not}y`, []).ended, JSON.stringify(not)).toBe(false);
    }
    expect(run('x\r\n.\r\nMAIL', [])).toMatchObject({ ended: true, content: 'x\r\n', used: 6 });
    expect(run('.\r\nMAIL', [])).toMatchObject({ ended: true, content: '', used: 3 });
  });

  it('hands a message without stuffed dots on in one range', () => {
    let ranges = 0;
    const text = `${'a line of text\r\n'.repeat(300)}.\r\n`;
    const stream = new DotStream(() => (ranges += 1));
    stream.take(Buffer.from(text), 0, text.length);
    expect(stream.ended).toBe(true);
    expect(ranges).toBe(1);
  });
});
