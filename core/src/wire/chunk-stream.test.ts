import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ChunkStream } from './chunk-stream.ts';

/** Takes `text` in pieces that end at `cuts`. */
function streamed(text: string, cuts: readonly number[], binary = false) {
  const pieces: Buffer[] = [];
  const stream = new ChunkStream((chunk, from, to) => pieces.push(Buffer.from(chunk.subarray(from, to))), binary);
  const bytes = Buffer.from(text, 'latin1');
  let from = 0;
  for (const cut of [...cuts.map((one) => one % (bytes.length + 1)).toSorted((a, b) => a - b), bytes.length]) {
    stream.take(bytes, from, cut);
    from = cut;
  }
  stream.finish();
  const { bareLineEnd, sizeBytes, longestLineBytes, headerBytes } = stream;
  return { text: Buffer.concat(pieces).toString('latin1'), bareLineEnd, sizeBytes, longestLineBytes, headerBytes };
}

const anyText = fc.string({
  unit: fc.constantFrom('\r\n', '\r\n\r\n', '\r', '\n', '.', 'a', '\0', '\xff', 'x'.repeat(120)),
  maxLength: 30,
});
const anyCuts = fc.array(fc.nat(5000), { maxLength: 8 });

describe('ChunkStream', () => {
  it('gives text back as it came, with an end to its last line, and sees its bare CR and LF, however it is cut', () => {
    fc.assert(
      fc.property(anyText, anyCuts, (text, cuts) => {
        const bare = /\r(?!\n)|(?<!\r)\n/.test(text);
        const whole = bare || text === '' || text.endsWith('\r\n') ? text : `${text}\r\n`;
        const result = streamed(text, cuts);
        expect(result.bareLineEnd).toBe(bare);
        if (bare) return;
        expect(result.text).toBe(whole);
        expect(result.sizeBytes).toBe(whole.length);
        const lines = whole.split(/(?<=\r\n)/);
        expect(result.longestLineBytes).toBe(Math.max(0, ...lines.map((line) => line.length)));
        const empty = lines.indexOf('\r\n');
        expect(result.headerBytes).toBe(empty < 0 ? undefined : lines.slice(0, empty + 1).join('').length);
      }),
    );
  });

  it('changes nothing behind the header of a binary message', () => {
    fc.assert(
      fc.property(anyText, anyCuts, (text, cuts) => {
        const message = `a: b\r\n\r\n${text}`;
        expect(streamed(message, cuts, true)).toEqual({
          text: message,
          bareLineEnd: false,
          sizeBytes: message.length,
          longestLineBytes: 6,
          headerBytes: 8,
        });
      }),
    );
  });

  it('holds the header of a binary message to the rules of text', () => {
    expect(streamed('a: b\nc: d\r\n\r\nx', [], true).bareLineEnd).toBe(true);
    expect(streamed('a: b', [], true).text).toBe('a: b\r\n');
    expect(streamed('a: b\r', [], true).bareLineEnd).toBe(true);
  });
});
