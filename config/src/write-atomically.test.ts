import { chmodSync, chownSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { writeAtomically } from './write-atomically.ts';

let folder: string;
let file: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'posthorn-write-'));
  file = join(folder, 'users.yaml');
});
afterEach(() => rmSync(folder, { recursive: true }));

it.each([0o600, 0o640, 0o400, 0o644])('what is there keeps its mode: %o', (mode) => {
  writeFileSync(file, 'before');
  chmodSync(file, mode);
  writeAtomically(file, 'after');
  expect(readFileSync(file, 'utf8')).toBe('after');
  expect(statSync(file).mode & 0o7777).toBe(mode);
});

// A server that reads it by its group had lost it: 0:1234 0640 became 0:0 0600.
it.runIf(process.getuid?.() === 0)('what root changes keeps its owner, its group and its mode', () => {
  for (const [uid, gid] of [
    [0, 1234],
    [1234, 0],
    [1234, 5678],
  ] as const) {
    writeFileSync(file, 'before');
    chownSync(file, uid, gid);
    chmodSync(file, 0o640);
    writeAtomically(file, 'after');
    const after = statSync(file);
    expect([after.uid, after.gid, after.mode & 0o7777]).toEqual([uid, gid, 0o640]);
  }
});
