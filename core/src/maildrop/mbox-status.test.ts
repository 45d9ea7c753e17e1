import fc from 'fast-check';
import { expect, it } from 'vitest';
import { formatStatus, MboxStatus } from './mbox-status.ts';

interface Read {
  readonly text: string;
  readonly flags: string | undefined;
}

/** What is read of a message that comes in chunks of so many bytes. */
function read(message: string, every = message.length): Read {
  const status = new MboxStatus();
  const bytes = Buffer.from(message, 'latin1');
  let text = '';
  for (let at = 0; at < bytes.length; at += every) text += textOf(status.push(bytes.subarray(at, at + every)));
  text += textOf(status.end());
  return { text, flags: status.flags };
}

function textOf(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('latin1');
}

it.each([
  [undefined, ''],
  ['', 'Status: O\r\nX-Status: \r\n'],
  ['S', 'Status: RO\r\nX-Status: \r\n'],
  ['DFPRST', 'Status: RO\r\nX-Status: AFTD\r\n'],
])('writes flags %s in front as %j', (flags, lines) => {
  expect(formatStatus(flags, Buffer.from('A: 1\r\n'))).toBe(lines);
});

it('gives flags and every byte back, also of messages with Status fields of their own, in chunks of any size', () => {
  const piece = fc.oneof(
    fc.constantFrom(
      'Status: RO\r\n',
      'Status: ',
      'X-Status: AF\r\n',
      'X-Status: \r\n',
      'status: R\r\n',
      'A: 1\r\n',
      '\r\n',
      'x',
      ' ',
    ),
    fc.uint8Array({ maxLength: 50 }).map((bytes) => Buffer.from(bytes).toString('latin1')),
  );
  const message = fc.array(piece, { maxLength: 8 }).map((pieces) => pieces.join(''));
  const kept = fc.subarray(['D', 'F', 'R', 'S', 'T']).map((flags) => flags.join(''));
  fc.assert(
    fc.property(
      message,
      fc.option(kept),
      fc.integer({ min: 1, max: 60 }),
      fc.constantFrom('\n', '\r\n'),
      (text, flags, every, end) => {
        const lines = formatStatus(flags ?? undefined, Buffer.from(text, 'latin1')).replaceAll('\r\n', end);
        const back = read(lines + text, every);
        expect(back.text).toBe(text);
        // Its own fields may say something where there are none in front.
        if (lines !== '') expect(back.flags).toBe(flags ?? undefined);
      },
    ),
    { numRuns: 1000 },
  );
});

it.each([
  ['A: 1\nStatus: RO\nX-Status: F\n\nx\n', 'FS'],
  ['A: 1\r\nX-STATUS: AD\r\nB: 2\r\nstatus:  O \r\n\r\nx\r\n', 'RT'],
  ['A: 1\nStatus: O\n\nx\n', ''],
  ['Status: RO\n\nx\n', 'S'],
  ['A: 1\nStatus: N\n\nx\n', undefined],
  ['A: 1\n\nStatus: RO\n', undefined],
  ['\nStatus: RO\n', undefined],
  ['A: 1\nStatus: RO is what I am\n\n', undefined],
  [`A: ${'x'.repeat(100)}Status: RO\nStatus: RO${' '.repeat(100)}x\n\n`, undefined],
])('reads what another program wrote, and leaves it there: %j', (message, flags) => {
  for (let every = 1; every <= message.length; every++) expect(read(message, every)).toEqual({ text: message, flags });
});
