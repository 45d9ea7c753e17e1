import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { BufferPool } from '../wire/buffer-pool.ts';
import { Replies } from './replies.ts';

/** An output whose peer takes what it was given when `take` says so, as it is then. */
class SlowOutput {
  text = '';
  #given: { bytes: Uint8Array; taken: (() => void) | undefined }[] = [];

  get waiting(): number {
    return this.#given.length;
  }

  write(bytes: Uint8Array, taken?: () => void): boolean {
    this.#given.push({ bytes, taken });
    return false;
  }

  take(): void {
    for (const { bytes, taken } of this.#given.splice(0)) {
      this.text += Buffer.from(bytes).toString('latin1');
      taken?.();
    }
  }
}

const turn = () => new Promise<void>((resolve) => setImmediate(resolve));

describe('replies', () => {
  it('go out as they were added, whatever they are and however large', () => {
    const piece = fc.tuple(
      fc.boolean(),
      fc.constantFrom(0, 1, 80, 1500, 40_000, 70_000, 300_000),
      fc.integer({ min: 97, max: 122 }),
    );
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 12 }), (pieces) => {
        const output = new SlowOutput();
        const replies = new Replies(output, new BufferPool());
        let expected = '';
        for (const [isLine, length, code] of pieces) {
          const text = String.fromCharCode(code).repeat(length);
          const bytes = Buffer.from(text, 'latin1');
          replies.add(isLine ? text : bytes);
          // The caller's again: the next message is read into it.
          bytes.fill('?');
          expected += text;
        }
        replies.flush();
        output.take();
        expect(output.text === expected).toBe(true);
      }),
      { numRuns: 200 },
    );
  });

  it('end with the session, also in the middle of a piece, and keep no buffer', () => {
    const buffers = new BufferPool();
    const all = Array.from({ length: 64 }, () => buffers.take());
    for (const buffer of all) buffers.give(buffer);
    const replies = new Replies(
      {
        write(_bytes, taken) {
          taken?.();
          // As a connection does whose peer takes nothing.
          replies.end();
          return false;
        },
      },
      buffers,
    );
    replies.add(Buffer.alloc(600_000));
    replies.add('+OK\r\n');
    replies.flush();
    const again = Array.from({ length: 64 }, () => buffers.take());
    expect(new Set(again)).toEqual(new Set(all));
  });

  it('are never written over by those of another session that shares their buffers', () => {
    const buffers = new BufferPool();
    const [one, other] = [new SlowOutput(), new SlowOutput()];
    const [ofOne, ofOther] = [new Replies(one, buffers), new Replies(other, buffers)];
    ofOne.add(Buffer.from('mail of one'));
    ofOne.flush();
    ofOther.add(Buffer.from('mail of the other'));
    ofOther.flush();
    one.take();
    other.take();
    expect([one.text, other.text]).toEqual(['mail of one', 'mail of the other']);
  });

  it('that are poured are asked for one by one, each when the one before it is out of the house', async () => {
    const output = new SlowOutput();
    const replies = new Replies(output, new BufferPool());
    const room = Buffer.alloc(4);
    let given = 0;
    async function* source() {
      for (const text of ['this', 'that']) {
        room.write(text);
        given++;
        yield room;
      }
    }
    replies.add('+OK\r\n');
    const poured = replies.pour(source(), () => false);
    await turn();
    await turn();
    expect(given).toBe(1);
    expect(output.waiting).toBe(2);
    output.take();
    await turn();
    expect(given).toBe(2);
    output.take();
    await poured;
    expect(output.text).toBe('+OK\r\nthisthat');
  });

  it('that are poured stop when the session is over, but not before what was given is taken', async () => {
    const output = new SlowOutput();
    const replies = new Replies(output, new BufferPool());
    let isGivenBack = false;
    let isOver = false;
    async function* source() {
      try {
        for (;;) yield Buffer.from('piece');
      } finally {
        isGivenBack = true;
      }
    }
    const poured = replies.pour(source(), () => isOver);
    await turn();
    isOver = true;
    await turn();
    expect(isGivenBack).toBe(false);
    output.take();
    await poured;
    expect(isGivenBack).toBe(true);
    expect(output.text).toBe('piece');
  });
});
