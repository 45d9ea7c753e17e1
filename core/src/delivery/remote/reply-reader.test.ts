import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { linesOf, ReplyReader, textOf } from './reply-reader.ts';

/** Replies of a text fed in chunks of `size`, as texts; a problem as the last one. */
function read(text: string, size: number): string[] {
  const reader = new ReplyReader();
  const bytes = Buffer.from(text, 'latin1');
  const replies: string[] = [];
  for (let at = 0; at < bytes.length; at += size) {
    const end = reader.feed(Uint8Array.from(bytes.subarray(at, at + size)), (raw) => {
      replies.push(textOf(raw));
      return true;
    });
    if (typeof end === 'string') return [...replies, end];
  }
  return replies;
}

describe('a reply reader', () => {
  it.each([1, 2, 3, 5, 7, 100])('finds replies of one and of several lines in chunks of %i bytes', (size) => {
    const text = '220 mx.test ESMTP\r\n250-mx.test\r\n250-SIZE 100\r\n250 PIPELINING\r\n354\r\n550 5.1.1 no\n';
    expect(read(text, size)).toEqual(['220 mx.test ESMTP', '250 mx.test SIZE 100 PIPELINING', '354', '550 5.1.1 no']);
  });

  it.each([
    ['another code within one reply', '250-a\r\n550 b\r\n'],
    ['letters', 'HTTP/1.1 400 Bad Request\r\n'],
    ['a code out of range', '650 x\r\n'],
    ['no space behind the code', '2500\r\n'],
    ['an empty line', '\r\n'],
  ])('takes %s for no reply', (_, text) => {
    expect(read(text, 1).at(-1)).toBe('malformed');
    expect(read(text, 100).at(-1)).toBe('malformed');
  });

  it('gives up on a line without end, on too many lines, and stays given up', () => {
    const reader = new ReplyReader();
    const take = (): boolean => true;
    expect(reader.feed(Buffer.from(`250 ${'x'.repeat(20_000)}`), take)).toBe('too-long');
    expect(reader.feed(Buffer.from('250 ok\r\n'), take)).toBe('too-long');
    expect(new ReplyReader().feed(Buffer.from('250-a\r\n'.repeat(200)), take)).toBe('too-long');
  });

  it('leaves alone what comes behind the reply that was the last to be taken', () => {
    const left = new ReplyReader().feed(Buffer.from('220 go\r\n250 evil\r\n'), () => false);
    expect(left).toBe('250 evil\r\n'.length);
  });

  it('shows a peer in printable ASCII, in one line of bounded length', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 2000 }), (noise) => {
        const line = Buffer.from(noise.filter((byte) => byte !== 10));
        new ReplyReader().feed(Buffer.concat([Buffer.from('550 '), line, Buffer.from('\r\n')]), (raw) => {
          expect(textOf(raw)).toMatch(/^550[\x20-\x7e]{0,500}$/);
          expect(linesOf(raw)).toHaveLength(1);
          return true;
        });
      }),
    );
  });

  it('never throws, whatever comes', () => {
    fc.assert(
      fc.property(fc.array(fc.uint8Array({ maxLength: 50 }), { maxLength: 20 }), (chunks) => {
        const reader = new ReplyReader();
        for (const chunk of chunks) reader.feed(chunk, () => true);
      }),
    );
  });
});
