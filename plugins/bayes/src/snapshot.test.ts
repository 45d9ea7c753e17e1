import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { encodeSnapshot, loadSnapshot, publishSnapshot, Snapshot, SnapshotError } from './snapshot.ts';

describe('snapshot', () => {
  test('gives back the counts of every token, and zeros for others', () => {
    const hashes = fc.uniqueArray(fc.integer({ min: 0, max: 2 ** 48 - 1 }), { maxLength: 300 });
    fc.assert(
      fc.property(hashes, fc.integer({ min: 0, max: 2 ** 48 - 1 }), (unsorted, other) => {
        const rows = unsorted.toSorted((a, b) => a - b).map((hash, i) => ({ hash, spam: i, ham: 2 * i + 1 }));
        const snapshot = new Snapshot(encodeSnapshot(rows, 7, 9));
        const into = { spam: -1, ham: -1 };
        for (const { hash, spam, ham } of rows) {
          snapshot.find(hash, into);
          expect(into).toEqual({ spam, ham });
        }
        if (!unsorted.includes(other)) {
          snapshot.find(other, into);
          expect(into).toEqual({ spam: 0, ham: 0 });
        }
        expect([snapshot.spamMessages, snapshot.hamMessages, snapshot.tokens]).toEqual([7, 9, rows.length]);
      }),
      { numRuns: 50 },
    );
  });
  test('a file cut short or with one byte changed is refused', () => {
    const whole = encodeSnapshot([{ hash: 5, spam: 1, ham: 2 }], 1, 1);
    expect(() => new Snapshot(whole.subarray(0, whole.length - 4))).toThrow(SnapshotError);
    expect(() => new Snapshot(new Uint8Array(0))).toThrow(SnapshotError);
    const damaged = whole.slice();
    damaged[whole.length - 1]! ^= 1;
    expect(() => new Snapshot(damaged)).toThrow(/checksum/);
    expect(() => new Snapshot(new Uint8Array(Buffer.from('From a@b\n'.repeat(100))))).toThrow(SnapshotError);
  });
});

describe('publishSnapshot', () => {
  let folder: string;
  beforeEach(async () => void (folder = await mkdtemp(join(tmpdir(), 'bayes-'))));
  afterEach(() => rm(folder, { recursive: true }));

  test('replaces the model in one step and leaves nothing beside it', async () => {
    const path = join(folder, 'model.bin');
    await writeFile(path, 'old');
    await publishSnapshot(path, encodeSnapshot([], 3, 4));
    expect((await loadSnapshot(path)).spamMessages).toBe(3);
    expect(await readdir(folder)).toEqual(['model.bin']);
  });
});
