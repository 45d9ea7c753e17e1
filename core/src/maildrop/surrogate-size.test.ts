import * as fc from 'fast-check';
import { expect, it } from 'vitest';
import { asciiHeader, endOfHeader } from '../mail/ascii-header.ts';
import { SurrogateSize } from './surrogate-size.ts';

const bits = fc.array(fc.constantFrom('Subject: ', 'To: ', 'ü', '<a@b.test>', ',', ' ', 'x', '\r\n', '\r\n', '\r\n\r\n'), {
  maxLength: 30,
});

it('is that of the surrogate, however the message is cut', () => {
  fc.assert(
    fc.property(bits, fc.integer({ min: 1, max: 9 }), (parts, every) => {
      const message = Buffer.from(parts.join(''));
      const end = endOfHeader(message);
      const header = asciiHeader(message.subarray(0, end));
      const size = new SurrogateSize();
      for (let at = 0; at < message.length; at += every) size.push(message.subarray(at, at + every));
      const made = header === undefined ? message.length : header.length + message.length - end;
      expect(size.of(message.length) ?? message.length).toBe(made);
    }),
    { numRuns: 1000 },
  );
});

it('holds nothing of a body, and no more of a header than a surrogate is made of', () => {
  const size = new SurrogateSize();
  size.push(Buffer.from('Subject: ü\r\n\r\n'));
  expect(size.begun).toBe(false);
  const endless = new SurrogateSize();
  endless.push(Buffer.from('Subject: ü\r\n'));
  for (let times = 0; times < 20; times += 1) endless.push(Buffer.from(`X: ${'x'.repeat(60_000)}\r\n`));
  expect(endless.begun).toBe(false);
  expect(endless.of(1_200_000)).toBeUndefined();
});
