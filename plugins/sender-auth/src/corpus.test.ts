/** Broken mail from the corpus beside the project (absent: skipped, loudly) goes through the plugin without an error. */
import { execFileSync } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { readdir, readFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { ask, HOSTNAME } from './ask.ts';

const ARCHIVE = join(import.meta.dirname, '../../../../shared/corpus/mime/mime-dev.tar.xz');
const there = existsSync(ARCHIVE);
if (!there) console.warn(`SKIPPED: no ${ARCHIVE}: sender-auth was not tried on broken mail`);

let folder: string;
beforeAll(() => {
  if (!there) return;
  folder = mkdtempSync(join(tmpdir(), 'sender-auth-'));
  execFileSync('tar', ['xJf', ARCHIVE, '-C', folder]);
});
afterAll(() => {
  if (there) rmSync(folder, { recursive: true });
});

describe.skipIf(!there)('sender-auth on broken mail', () => {
  test('answers each message with one well-formed header, in bounded time', async () => {
    let read = 0;
    for (const entry of await readdir(folder, { recursive: true, withFileTypes: true })) {
      if (!entry.isFile()) continue;
      const content = await readFile(join(entry.parentPath, entry.name));
      const start = performance.now();
      const { header, logged, results } = await ask({ content, reversePath: 'a@b.example', inFile: read % 2 === 0 }, new Map());
      expect(performance.now() - start, entry.name).toBeLessThan(1500);
      expect(logged, entry.name).toEqual([]);
      expect(header.startsWith(`${HOSTNAME}; spf=none`), entry.name).toBe(true);
      expect(JSON.stringify(results)).not.toMatch(/\\u0000/);
      read++;
    }
    expect(read).toBe(909);
  });
});
