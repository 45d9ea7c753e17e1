import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import type { Log, LogFields } from '../observe/log.ts';
import { createExpiry, type Expiry } from './expiry.ts';
import { BufferPool } from '../wire/buffer-pool.ts';
import { createMaildropOpener } from './opener.ts';

const DAY_MS = 86_400_000;
let root: string;
let maildir: string;
let logged: { readonly event: string; readonly fields: LogFields | undefined }[];
const record = (event: string, fields?: LogFields) => void logged.push({ event, fields });
const log: Log = { debug: record, info: record, warn: record, error: record, with: () => log };
const clock = { now: () => Date.now(), monotonic: () => performance.now(), after: () => () => undefined };

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'expiry-'));
  maildir = join(root, 'alice/Maildir');
  logged = [];
});
afterEach(() => rmSync(root, { recursive: true, force: true }));

function put(path: string, days: number): void {
  const file = join(maildir, path);
  mkdirSync(join(file, '..'), { recursive: true });
  writeFileSync(file, 'x'.repeat(10));
  const at = (Date.now() - days * DAY_MS) / 1000;
  utimesSync(file, at, at);
}

function expiry(): Expiry {
  mkdirSync(join(root, 'locks'), { recursive: true });
  return createExpiry({ root, lockDirectory: join(root, 'locks'), tag: 'expiry', clock, log });
}

it('deletes what is older, in the inbox and in quarantine, and nothing else', async () => {
  for (const [path, days] of [
    ['new/old', 31],
    ['new/young', 29],
    ['cur/old:2,S', 40],
    ['cur/young:2,S', 1],
    ['cur/.old', 40],
    ['.Quarantine/new/old', 31],
    ['.Sent/cur/old', 400],
    ['posthorn-sizes', 400],
  ] as const) {
    put(path, days);
  }
  mkdirSync(join(maildir, 'cur/folder'));
  expect(await expiry().expire('alice', 30)).toBe(3);
  expect(readdirSync(join(maildir, 'new'))).toEqual(['young']);
  expect(readdirSync(join(maildir, 'cur')).sort()).toEqual(['.old', 'folder', 'young:2,S']);
  expect(readdirSync(join(maildir, '.Quarantine/new'))).toEqual([]);
  expect(existsSync(join(maildir, '.Sent/cur/old'))).toBe(true);
  expect(existsSync(join(maildir, 'posthorn-sizes'))).toBe(true);
  expect(logged).toEqual([{ event: 'maildrop.expired', fields: { user: 'alice', messages: 3, days: 30 } }]);
});

it('leaves a maildrop alone that somebody has open, until the next time', async () => {
  put('new/old', 31);
  const opener = createMaildropOpener({
    root,
    lockDirectory: join(root, 'locks'),
    tag: 't',
    buffers: new BufferPool(),
    clock,
    log,
  });
  const opened = await opener.open('alice');
  if (!opened.ok) throw new Error('not opened');
  expect(await expiry().expire('alice', 30)).toBe(0);
  expect(readdirSync(join(maildir, 'new'))).toEqual(['old']);
  opened.drop.release();
  expect(await expiry().expire('alice', 30)).toBe(1);
  // And gives the lock back.
  expect(await opener.open('alice')).toMatchObject({ ok: true });
});

it('tells the usage that is noted', async () => {
  put('new/old', 31);
  writeFileSync(join(maildir, 'maildirsize'), '1000S\n10 1\n');
  await expiry().expire('alice', 30);
  const { readUsage } = await import('./usage.ts');
  expect(readUsage(maildir, 1000)).toMatchObject({ bytes: 0, messages: 0 });
});

it('has nothing to do for who has no mailbox, and logs what fails', async () => {
  expect(await expiry().expire('nobody', 30)).toBe(0);
  expect(await expiry().expire('../x', 30)).toBe(0);
  expect(logged).toEqual([]);
  mkdirSync(maildir, { recursive: true });
  writeFileSync(join(maildir, 'new'), 'no folder');
  expect(await expiry().expire('alice', 30)).toBe(0);
  expect(logged).toMatchObject([{ event: 'maildrop.expiry-failed', fields: { user: 'alice' } }]);
});
