import * as fc from 'fast-check';
import { expect, it } from 'vitest';
import { DotStuffing, stuffChunks, stuffWhole } from './dot-stuffing.ts';

/** Bytes full of what matters here. */
const message = fc
  .array(fc.constantFrom('\r', '\n', '\r\n', '.', '..', 'a', '\n.', '\xff'), { maxLength: 60 })
  .map((parts) => parts.join(''));
const sizes = fc.array(fc.integer({ min: 1, max: 9 }), { minLength: 1, maxLength: 20 });

const ignore = (): void => undefined;

/** The plain way: by strings, a line at a time. */
function naive(text: string): string {
  const stuffed = text
    .split('\n')
    .map((line) => (line.startsWith('.') ? `.${line}` : line))
    .join('\n');
  return `${stuffed}${text === '' || text.endsWith('\r\n') ? '' : '\r\n'}.\r\n`;
}

function* cut(text: string, lengths: readonly number[]): Generator<Buffer> {
  const bytes = Buffer.from(text, 'latin1');
  for (let at = 0, turn = 0; at < bytes.length; turn++) {
    const length = lengths[turn % lengths.length]!;
    yield bytes.subarray(at, at + length);
    at += length;
  }
}

it('stuffs as the naive way does, however the message is cut', () => {
  fc.assert(
    fc.property(message, sizes, (text, lengths) => {
      const stuffing = new DotStuffing();
      const pieces = [...cut(text, lengths)].map((chunk) => stuffing.push(chunk));
      expect(Buffer.concat([...pieces, stuffing.end()]).toString('latin1')).toBe(naive(text));
    }),
    { numRuns: 2000 },
  );
});

it('stuffs a whole message the same', () => {
  fc.assert(
    fc.property(message, (text) => {
      expect(Buffer.concat(stuffWhole(new Uint8Array(Buffer.from(text, 'latin1')), ignore)).toString('latin1')).toBe(naive(text));
    }),
  );
});

it('tells of a LF without CR before a dot or at the end, however the message is cut', () => {
  fc.assert(
    fc.property(message, sizes, (text, lengths) => {
      const stuffing = new DotStuffing();
      for (const chunk of cut(text, lengths)) stuffing.push(chunk);
      expect(stuffing.bareLf).toBe(/(?<!\r)\n(?:\.|$)/.test(text));
    }),
    { numRuns: 2000 },
  );
});

it('passes a chunk without such lines on, not copied', () => {
  const chunk = Buffer.from('a.b\r\nc.\r\n');
  expect(new DotStuffing().push(chunk)).toBe(chunk);
});

it('can be undone by a client to the very message', () => {
  fc.assert(
    fc.property(message, (text) => {
      const sent = Buffer.concat(stuffWhole(Buffer.from(text, 'latin1'), ignore)).toString('latin1');
      const lines = sent.slice(0, -3).split('\n');
      const received = lines.map((line) => (line.startsWith('.') ? line.slice(1) : line)).join('\n');
      expect(received).toBe(text === '' || text.endsWith('\r\n') ? text : `${text}\r\n`);
    }),
  );
});

it('gives its source back when the reader stops early', async () => {
  let returned = false;
  async function* source(): AsyncGenerator<Uint8Array> {
    try {
      for (;;) yield Buffer.from('text\r\n');
    } finally {
      returned = true;
    }
  }
  const chunks = source();
  const first = await chunks.next();
  for await (const piece of stuffChunks(first.value as Uint8Array, chunks, (chunk) => chunk, ignore)) {
    if (piece.length > 0) break;
  }
  expect(returned).toBe(true);
});
