import { expect, it } from 'vitest';
import { asLastChunk, OctetCounter } from './last-chunk.ts';

it('puts the size in front and the next commands behind', () => {
  expect(asLastChunk(Buffer.from('a\n.\r\n'), 'QUIT\r\n').toString()).toBe('BDAT 5 LAST\r\na\n.\r\nQUIT\r\n');
  expect(asLastChunk(new Uint8Array(0), '').toString()).toBe('BDAT 0 LAST\r\n');
});

it('sends neither more nor less than was announced', () => {
  const exact = new OctetCounter(4);
  expect(exact.push(Buffer.from('ab')).length + exact.push(Buffer.from('cd')).length + exact.end().length).toBe(4);
  const long = new OctetCounter(3);
  long.push(Buffer.from('ab'));
  expect(() => long.push(Buffer.from('cd'))).toThrow('longer');
  const short = new OctetCounter(3);
  short.push(Buffer.from('ab'));
  expect(() => short.end()).toThrow('shorter');
});
