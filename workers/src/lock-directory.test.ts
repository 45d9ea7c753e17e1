import { chmodSync, existsSync, mkdirSync, mkdtempSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { lockDirectoryOf, removeLockDirectory } from './lock-directory.ts';

let root: string;
let data: string;
let memory: string;

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'posthorn-locks-'));
  data = join(root, 'data');
  memory = join(root, 'memory');
  mkdirSync(data);
  mkdirSync(memory);
});
afterEach(() => rmSync(root, { recursive: true, force: true }));

test('locks lie in memory, in a folder for their owner only, the same each time and by every path', () => {
  const folder = lockDirectoryOf(data, memory);
  expect(folder.startsWith(memory)).toBe(true);
  expect(statSync(folder).mode & 0o777).toBe(0o700);
  symlinkSync(data, join(root, 'alias'));
  expect(lockDirectoryOf(join(root, 'alias'), memory)).toBe(folder);
});

test('another data folder has other locks', () => {
  mkdirSync(join(root, 'other'));
  expect(lockDirectoryOf(join(root, 'other'), memory)).not.toBe(lockDirectoryOf(data, memory));
});

test('a folder that others may write to, or that leads elsewhere, is not used', () => {
  const folder = lockDirectoryOf(data, memory);
  chmodSync(folder, 0o777);
  expect(lockDirectoryOf(data, memory)).toBe(join(data, 'locks'));
  rmSync(folder, { recursive: true });
  symlinkSync(root, folder);
  expect(lockDirectoryOf(data, memory)).toBe(join(data, 'locks'));
});

test('without a place in memory they lie under the data folder', () => {
  expect(lockDirectoryOf(data, join(root, 'none'))).toBe(join(data, 'locks'));
});

test('the last one on the data takes the folder away, unless something is locked in it', () => {
  const folder = lockDirectoryOf(data, memory);
  writeFileSync(join(folder, 'alice'), '');
  removeLockDirectory(data, memory);
  expect(existsSync(folder)).toBe(true);
  rmSync(join(folder, 'alice'));
  removeLockDirectory(data, memory);
  expect(existsSync(folder)).toBe(false);
  removeLockDirectory(data, join(root, 'none'));
});
