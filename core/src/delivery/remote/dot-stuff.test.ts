import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { DotStuffer, stuffWhole } from './dot-stuff.ts';

/** As RFC 5321 §4.5.2 says it, line by line. */
function byLines(message: string): string {
  const ended = message === '' || message.endsWith('\r\n') ? message : `${message}\r\n`;
  return `${ended.replace(/(^|\r\n)\./g, '$1..')}.\r\n`;
}

function inChunks(message: string, sizes: readonly number[]): string {
  const bytes = Buffer.from(message, 'latin1');
  const stuffer = new DotStuffer();
  const out: Buffer[] = [];
  let at = 0;
  for (let turn = 0; at < bytes.length; turn++) {
    const size = sizes[turn % sizes.length]!;
    out.push(Buffer.from(stuffer.push(bytes.subarray(at, at + size))));
    at += size;
  }
  return Buffer.concat([...out, stuffer.end()]).toString('latin1');
}

/** Texts made of what matters: dots, CR, LF, in any order, and something else. */
const message = fc
  .array(fc.constantFrom('.', '\r\n', '\r', '\n', 'a', '..', '\r\n.', '\r\n.\r\n', '\xff'), { maxLength: 40 })
  .map((parts) => parts.join(''));

describe('dot-stuffing', () => {
  it('doubles the dots at the starts of lines, and ends with a lone one', () => {
    fc.assert(
      fc.property(message, (text) => {
        expect(stuffWhole(Buffer.from(text, 'latin1'), '').toString('latin1')).toBe(byLines(text));
      }),
    );
  });

  it('does the same in chunks of any size', () => {
    fc.assert(
      fc.property(message, fc.array(fc.integer({ min: 1, max: 5 }), { minLength: 1, maxLength: 5 }), (text, sizes) => {
        expect(inChunks(text, sizes)).toBe(byLines(text));
      }),
    );
  });

  it('puts the following commands behind the final dot', () => {
    expect(stuffWhole(Buffer.from('a\r\n'), 'MAIL FROM:<>\r\n').toString()).toBe('a\r\n.\r\nMAIL FROM:<>\r\n');
  });

  it('leaves the stored bytes as they are', () => {
    const stored = Buffer.from('.a\r\n.b\r\n');
    stuffWhole(stored, '');
    new DotStuffer().push(stored);
    expect(stored.toString()).toBe('.a\r\n.b\r\n');
  });
});
