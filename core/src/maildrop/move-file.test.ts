import { linkSync, mkdtempSync, readdirSync, readFileSync, renameSync, rmSync, unlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { moveFile } from './move-file.ts';

let folder: string;
const at = (name: string): string => join(folder, name);
const systemError = (code: string): Error => Object.assign(new Error(code), { code });
const failing = (code: string) => () => {
  throw systemError(code);
};

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'move-'));
  writeFileSync(at('a'), 'one');
});
afterEach(() => rmSync(folder, { recursive: true }));

it('gives a file another name, and takes none that another file has', () => {
  moveFile(at('a'), at('b'));
  expect(readdirSync(folder)).toEqual(['b']);
  writeFileSync(at('c'), 'two');
  expect(() => moveFile(at('b'), at('c'))).toThrow('EEXIST');
  expect(readFileSync(at('c'), 'utf8')).toBe('two');
});

// The new name was taken away in turn, and the message was gone.
it('leaves the new name where the old one went and that was told as a failure, as over NFS', () => {
  const unlink = (path: string): void => {
    unlinkSync(path);
    throw systemError('ENOENT');
  };
  moveFile(at('a'), at('b'), { link: linkSync, unlink });
  expect(readdirSync(folder)).toEqual(['b']);
});

it('takes its name back where another program moved the file meanwhile', () => {
  const link = (from: string, to: string): void => {
    linkSync(from, to);
    renameSync(from, at('theirs'));
  };
  expect(() => moveFile(at('a'), at('b'), { link, unlink: unlinkSync })).toThrow('ENOENT');
  expect(readdirSync(folder)).toEqual(['theirs']);
});

it.each(['EPERM', 'EOPNOTSUPP'])(
  'renames where there are no hard links (%s), and takes no name that another file has',
  (code) => {
    const calls = { link: failing(code), unlink: unlinkSync };
    moveFile(at('a'), at('b'), calls);
    expect(readdirSync(folder)).toEqual(['b']);
    writeFileSync(at('c'), 'two');
    expect(() => moveFile(at('b'), at('c'), calls)).toThrow(code);
    expect(readdirSync(folder)).toEqual(['b', 'c']);
  },
);
