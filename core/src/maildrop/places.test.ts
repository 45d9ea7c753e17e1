import { mkdirSync, mkdtempSync, readdirSync, renameSync, rmSync, unlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { Places } from './places.ts';

vi.mock(import('node:fs'), async (original) => {
  const fs = await original();
  return { ...fs, unlinkSync: vi.fn(fs.unlinkSync) };
});

let maildir: string;
beforeEach(() => {
  maildir = mkdtempSync(join(tmpdir(), 'places-'));
  for (const folder of ['tmp', 'new', 'cur']) mkdirSync(join(maildir, folder));
});
afterEach(() => rmSync(maildir, { recursive: true, force: true }));

const message = { folder: 'new', name: 'a', uidl: 'a', fileBytes: 3, sizeBytes: 3 } as const;
const none = (what: unknown): void => expect.unreachable(String(what));

it('a message that goes on being renamed is not told to be deleted when it is not', async () => {
  let path = join(maildir, 'cur/a:2,');
  writeFileSync(path, 'a\r\n');
  const unlink = vi.mocked(unlinkSync).getMockImplementation()!;
  // Wherever a look saw it, it is not there any more.
  vi.mocked(unlinkSync).mockImplementation((name) => {
    renameSync(path, `${path}S`);
    path += 'S';
    unlink(name);
  });
  const failed: unknown[] = [];
  const places = new Places(maildir, () => Date.now());
  expect(await places.removeMoved([message], (one, error) => void failed.push(one, String(error)))).toEqual([]);
  vi.mocked(unlinkSync).mockImplementation(unlink);
  expect(failed).toEqual([message, 'Error: another program goes on renaming it']);
  expect(readdirSync(join(maildir, 'cur'))).toHaveLength(1);
});

it('a message that some looks miss is deleted all the same', async () => {
  const path = join(maildir, 'cur/a:2,S');
  const aside = join(maildir, 'tmp/a');
  writeFileSync(path, 'a\r\n');
  let looks = 0;
  const places = new Places(maildir, () => {
    if (++looks === 1) renameSync(path, aside);
    if (looks === 4) renameSync(aside, path);
    writeFileSync(join(maildir, 'new', `mail${looks}`), '');
    return Date.now();
  });
  expect(await places.removeMoved([message], none)).toEqual([message]);
  expect(readdirSync(join(maildir, 'cur'))).toEqual([]);
});

it.each([
  ['has just changed', false],
  ['changes all the time, as mail comes in', true],
])('a message that is gone counts as deleted, also in a folder that %s', async (_what, changing) => {
  let mails = 0;
  const places = new Places(maildir, () => {
    if (changing) writeFileSync(join(maildir, 'new', `mail${++mails}`), '');
    return Date.now();
  });
  expect(await places.removeMoved([message], none)).toEqual([]);
});
