import { mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { stableKeyOf } from './stable-key.ts';

let folder: string;
beforeEach(() => void (folder = mkdtempSync(join(tmpdir(), 'posthorn-key-'))));
afterEach(() => rmSync(folder, { recursive: true }));

it('is made once, for its owner only, and is the same for whoever asks next', () => {
  const data = join(folder, 'data');
  const first = stableKeyOf(data);
  expect(first).toHaveLength(32);
  expect(stableKeyOf(data)).toEqual(first);
  expect(readdirSync(data)).toEqual(['login.key']);
  expect(statSync(join(data, 'login.key')).mode & 0o777).toBe(0o600);
  expect(stableKeyOf(join(folder, 'other'))).not.toEqual(first);
});

it('a file that is no key is told, and left alone', () => {
  writeFileSync(join(folder, 'login.key'), 'short');
  expect(() => stableKeyOf(folder)).toThrow(/login\.key is not 32 bytes long/);
});
