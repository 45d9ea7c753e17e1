/**
 * The classifier on real mail, and the parser on broken mail, from the corpus beside the project (absent: skipped, loudly).
 * Accuracy here is a floor that a change must not fall through; the figures are printed.
 */
import { execFileSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { readdir, readFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { classify } from './classify.ts';
import { hashToken } from './hash.ts';
import { MapModel } from './model.ts';
import { readMessage } from './readable.ts';
import { tokensOf } from './tokens.ts';

const CORPUS = join(import.meta.dirname, '../../../../shared/corpus');
const MESSAGES = 1500;
const there = existsSync(join(CORPUS, 'manifest.tsv'));
if (!there) console.warn(`SKIPPED: no corpus in ${CORPUS}: accuracy and robustness of bayes on real mail are not tested`);

let folder: string;
beforeAll(() => {
  if (!there) return;
  folder = mkdtempSync(join(tmpdir(), 'bayes-corpus-'));
  for (const name of ['dev-lists', 'dev-phishing_pot', 'dev-sa-public', 'mime/mime-dev']) {
    execFileSync('tar', ['xJf', join(CORPUS, `${name}.tar.xz`), '-C', folder]);
  }
});
afterAll(() => {
  if (there) rmSync(folder, { recursive: true });
});

describe.skipIf(!there)('bayes on the corpus', () => {
  test('learning while classifying loses little ham and catches most spam', async () => {
    const doubtful = new Set(lines('doubtful.tsv').map(([id]) => id));
    const model = new MapModel();
    const counts = { ham: 0, spam: 0, hamLost: 0, hamAtHalf: 0, missed: 0, missedAtHalf: 0 };
    for (const [order, id, label] of lines('manifest.tsv').slice(1, MESSAGES + 1)) {
      const tokens = tokensOf(await readMessage(new Uint8Array(await readFile(join(folder, id!)))), 3000);
      const { probability } = classify(model, tokens);
      model.learn(Array.from(tokens, hashToken), label as 'spam' | 'ham');
      // The first messages are the cold start, in which the plugin says nothing.
      if (Number(order) <= 300 || doubtful.has(id)) continue;
      if (label === 'ham') {
        counts.ham++;
        if (probability >= 0.95) counts.hamLost++;
        if (probability >= 0.5) counts.hamAtHalf++;
      } else {
        counts.spam++;
        if (probability < 0.95) counts.missed++;
        if (probability < 0.5) counts.missedAtHalf++;
      }
    }
    const percent = (part: number, of: number): string => `${((100 * part) / of).toFixed(2)} %`;
    console.log(
      `bayes, online, ${counts.ham} ham, ${counts.spam} spam: at 0.95 FP ${percent(counts.hamLost, counts.ham)}, ` +
        `miss ${percent(counts.missed, counts.spam)}; at 0.5 FP ${percent(counts.hamAtHalf, counts.ham)}, ` +
        `miss ${percent(counts.missedAtHalf, counts.spam)}`,
    );
    expect(counts.hamLost / counts.ham).toBeLessThan(0.01);
    expect(counts.missed / counts.spam).toBeLessThan(0.3);
    expect(counts.hamAtHalf / counts.ham).toBeLessThan(0.03);
    expect(counts.missedAtHalf / counts.spam).toBeLessThan(0.07);
  });

  test('every broken message is read without an error, in bounded time', async () => {
    let read = 0;
    for (const entry of await readdir(folder, { recursive: true, withFileTypes: true })) {
      if (!entry.isFile() || /(^|\/)(ham|spam)$/.test(entry.parentPath)) continue;
      const start = performance.now();
      const tokens = tokensOf(await readMessage(new Uint8Array(await readFile(join(entry.parentPath, entry.name)))), 3000);
      expect(tokens.size).toBeLessThanOrEqual(3000);
      expect(performance.now() - start, entry.name).toBeLessThan(1000);
      read++;
    }
    expect(read).toBe(909);
  });
});

function lines(name: string): string[][] {
  return readFileSync(join(CORPUS, name), 'utf8')
    .split('\n')
    .filter(Boolean)
    .map((line) => line.split('\t'));
}
