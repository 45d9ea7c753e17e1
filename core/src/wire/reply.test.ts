import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Reply } from './reply.ts';

describe('Reply', () => {
  it('is one line with its enhanced code', () => {
    expect(new Reply(550, '5.1.1', 'No such user here').bytes.toString()).toBe('550 5.1.1 No such user here\r\n');
    expect(new Reply(354, '', 'Go on').bytes.toString()).toBe('354 Go on\r\n');
    expect(new Reply(334, '', '').bytes.toString()).toBe('334 \r\n');
  });

  it('writes several lines with the code on each', () => {
    expect(new Reply(451, '4.7.1', 'one\r\ntwo\nthree').bytes.toString()).toBe(
      '451-4.7.1 one\r\n451-4.7.1 two\r\n451 4.7.1 three\r\n',
    );
  });

  it('is well-formed, short enough and of one code whatever its text is', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary', maxLength: 1500 }), (text) => {
        const bytes = new Reply(550, '5.7.1', text).bytes.toString('latin1');
        const lines = bytes.split('\r\n');
        expect(lines.pop()).toBe('');
        expect(lines.pop()).toMatch(/^550 5\.7\.1 [\x20-\x7e]{0,498}$/);
        for (const line of lines) expect(line).toMatch(/^550-5\.7\.1 [\x20-\x7e]{0,498}$/);
        expect(lines.length).toBeLessThan(50);
      }),
    );
  });
});
