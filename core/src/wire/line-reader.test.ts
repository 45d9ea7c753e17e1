import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { LineReader } from './line-reader.ts';

const MAX = 20;

/** All events with their lines, fed in chunks of these sizes. */
function run(text: string, sizes: readonly number[]): string[] {
  const reader = new LineReader(MAX);
  const bytes = Buffer.from(text, 'latin1');
  const events: string[] = [];
  let from = 0;
  for (const size of [...sizes, bytes.length]) {
    // A copy that is spoilt afterwards: the reader may not lean on the caller's buffer.
    const chunk = Buffer.from(bytes.subarray(from, from + size));
    from += chunk.length;
    let at = 0;
    while (at < chunk.length) {
      const event = reader.next(chunk, at, chunk.length);
      // A CR at the end of a chunk is found to be bare only at the next one's first byte, which is not consumed for it.
      if (event !== 'bare-line-end') expect(reader.at).toBeGreaterThan(at);
      at = reader.at;
      if (event !== 'more') events.push(event === 'line' ? `line ${reader.text}` : event);
    }
    chunk.fill(0);
  }
  return events;
}

/** The same line by line, plainly: what is wrong first in a line decides. */
function oracle(text: string): string[] {
  const lines = text.split('\r\n');
  const events: string[] = [];
  for (const [index, line] of lines.entries()) {
    const whole = index < lines.length - 1;
    // A CR at the very end may yet get its LF.
    const known = whole ? line : line.replace(/\r$/, '');
    const at = known.search(/[\0-\x1f\x7f]/);
    if (known.length > MAX - 2 && (at < 0 || at > MAX - 2)) events.push('too-long');
    else if (at >= 0) events.push(/[\r\n]/.test(known[at]!) ? 'bare-line-end' : 'control-character');
    else if (whole) events.push(`line ${line}`);
  }
  return events;
}

const pieces = fc.constantFrom('\r\n', '\r', '\n', 'NOOP', 'MAIL FROM:<a@b>', ' ', '\0', '\xe4', '\x7f', 'x', '\r\r\n', '\n\r\n');

describe('LineReader', () => {
  it('agrees with the plain reading, however the bytes are cut', () => {
    fc.assert(
      fc.property(
        fc.array(pieces, { maxLength: 30 }).map((parts) => parts.join('')),
        fc.array(fc.integer({ min: 1, max: 12 })),
        (text, sizes) => {
          expect(run(text, sizes)).toEqual(oracle(text));
        },
      ),
      { numRuns: 3000 },
    );
  });

  it('takes a line of the limit and refuses one byte more', () => {
    expect(run(`${'x'.repeat(MAX - 2)}\r\n`, [])).toEqual([`line ${'x'.repeat(MAX - 2)}`]);
    expect(run(`${'x'.repeat(MAX - 1)}\r\nNOOP\r\n`, [])).toEqual(['too-long', 'line NOOP']);
  });

  it('knows whether a line is begun, and forgets it on reset', () => {
    const reader = new LineReader(MAX);
    const feed = (text: string) => reader.next(Buffer.from(text), 0, text.length);
    expect(reader.begun).toBe(false);
    feed('NO');
    expect(reader.begun).toBe(true);
    reader.reset();
    expect(reader.begun).toBe(false);
    expect(feed('NOOP\r\n')).toBe('line');
    expect(reader.text).toBe('NOOP');
    feed('a\nb');
    expect(reader.begun).toBe(true);
    reader.reset();
    expect(feed('QUIT\r\n')).toBe('line');
  });
});
