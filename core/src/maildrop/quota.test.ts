import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  unlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import type { Log } from '../observe/log.ts';
import { createLocalMailbox } from './deliver.ts';
import { BufferPool } from '../wire/buffer-pool.ts';
import { createMaildropOpener } from './opener.ts';
import { createQuota, type Quota } from './quota.ts';
import { noteUsage, readUsage } from './usage.ts';

const QUOTA = 1000;
let root: string;
let maildir: string;
const log: Log = { debug: none, info: none, warn: none, error: none, with: () => log };
const clock = { now: () => Date.now(), monotonic: () => performance.now(), after: () => () => undefined };

function none(): undefined {
  return undefined;
}

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'quota-'));
  maildir = join(root, 'alice/Maildir');
  for (const folder of ['new', 'cur', 'tmp']) mkdirSync(join(maildir, folder), { recursive: true });
});
afterEach(() => rmSync(root, { recursive: true, force: true }));

function quota(whenFull: 'defer' | 'reject' = 'defer', quotaBytes: number | null = QUOTA): Quota {
  return createQuota({ root, quotaBytesOf: () => quotaBytes, whenFull, clock, log });
}

function put(name: string, bytes: number): void {
  writeFileSync(join(maildir, name), Buffer.alloc(bytes, 'x'));
}

/** As if nothing had happened in the mailbox for a while. */
function settle(): void {
  const before = Date.now() / 1000 - 60;
  for (const folder of ['new', 'cur']) utimesSync(join(maildir, folder), before, before);
}

async function* body(text: string): AsyncGenerator<Uint8Array> {
  yield Buffer.from(text);
}

it('knows nothing before a delivery asked, and refuses at RCPT only what is sure', async () => {
  put('new/1', 900);
  expect(quota().full('alice', 500)).toBeUndefined();
  expect(await quota().refusal('alice', 500)).toMatchObject({ permanent: false, enhanced: '4.2.2' });
  settle();
  expect(quota().full('alice', 500)).toBe('defer');
  expect(quota('reject').full('alice', 500)).toBe('reject');
  expect(quota().full('alice', 100)).toBeUndefined();
  expect(quota().full('alice', 1001)).toBe('never');
  expect(quota('defer', null).full('alice', 10_000_000)).toBeUndefined();
});

it('refuses for good what can never fit, and where the operator wants that', async () => {
  put('new/1', 900);
  expect(await quota('reject').refusal('alice', 101)).toMatchObject({ permanent: true, enhanced: '5.2.2' });
  expect(await quota('defer').refusal('alice', 1001)).toMatchObject({ permanent: true, enhanced: '5.2.3' });
  expect(await quota('reject').refusal('alice', 100)).toBeUndefined();
  expect(await quota('reject', null).refusal('alice', 5000)).toBeUndefined();
});

it('counts sizes told by names, files without, folders, and no trash', async () => {
  put('new/1,S=100,W=100', 3);
  put('cur/2:2,S', 200);
  for (const folder of ['.Sent', '.Trash', '.Quarantine']) {
    mkdirSync(join(maildir, folder, 'cur'), { recursive: true });
    put(`${folder}/cur/3,S=30`, 30);
  }
  await quota().refusal('alice', 1);
  settle();
  expect(readUsage(maildir, QUOTA)).toEqual({ bytes: 360, messages: 4, doubtful: false, counted: true });
});

// Each delivery failed and was tried again until it bounced, for a folder that the server's user may not read.
it('counts the rest where something cannot be read, and tells of that once for each count', async () => {
  put('new/1', 900);
  mkdirSync(join(maildir, '.Sub'));
  // Root may read everything but this.
  symlinkSync('new', join(maildir, '.Sub/new'));
  symlinkSync('2', join(maildir, 'cur/2'));
  const told: unknown[] = [];
  const telling: Log = { ...log, warn: (event, details) => void told.push([event, details]) };
  const asked = createQuota({ root, quotaBytesOf: () => QUOTA, whenFull: 'defer', clock, log: telling });
  expect(await asked.refusal('alice', 100)).toBeUndefined();
  expect(told).toEqual([
    [
      'maildrop.usage-incomplete',
      { maildir, unread: 2, path: join(maildir, 'cur/2'), cause: expect.stringMatching(/^Error: ELOOP/) as unknown },
    ],
  ]);
  expect(await asked.refusal('alice', 101)).toMatchObject({ enhanced: '4.2.2' });
});

it('notes what is delivered and what a session deletes, as other programs of Maildir++ do', async () => {
  const mailbox = createLocalMailbox({ root, clock, log, refusal: quota().refusal });
  await mailbox.deliver('alice', 'ID1', Buffer.from('A: 1\r\n'), body('\r\nx\r\n'), { sizeBytes: 5 });
  await mailbox.deliver('alice', 'ID2', Buffer.from('A: 1\r\n'), body('\r\ny\r\n'), { sizeBytes: 5 });
  settle();
  expect(readUsage(maildir, QUOTA)).toMatchObject({ bytes: 22, messages: 2 });
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
  await opened.drop.commit([0]);
  settle();
  expect(readUsage(maildir, QUOTA)).toMatchObject({ bytes: 11, messages: 1, doubtful: false });
  expect(readFileSync(join(maildir, 'maildirsize'), 'latin1')).toMatch(/^1000S\n0 0\n11 1\n11 1\n-11 -1\n$/);
});

it('has room in a mailbox that is not there yet', async () => {
  rmSync(maildir, { recursive: true });
  const mailbox = createLocalMailbox({ root, clock, log, refusal: quota().refusal });
  await mailbox.deliver('alice', 'ID1', Buffer.from('A: 1\r\n'), body('\r\nx\r\n'), { sizeBytes: 5 });
  await mailbox.deliver('alice', 'ID2', Buffer.from('A: 1\r\n'), body('\r\ny\r\n'), { sizeBytes: 5 });
  settle();
  expect(readUsage(maildir, QUOTA)).toMatchObject({ bytes: 22, messages: 2 });
});

it('refuses a delivery without writing it, and takes it when there is room again', async () => {
  put('new/1', 995);
  const mailbox = createLocalMailbox({ root, clock, log, refusal: quota().refusal });
  const deliver = () => mailbox.deliver('alice', 'ID1', Buffer.from('A: 1\r\n'), body('\r\nx\r\n'), { sizeBytes: 5 });
  await expect(deliver()).rejects.toMatchObject({ permanent: false, enhanced: '4.2.2', message: 'the mailbox is full' });
  expect(readdirSync(join(maildir, 'tmp'))).toEqual([]);
  // Mail for postmaster comes without a size: it is never too much.
  await mailbox.deliver('alice', 'ID2', Buffer.from('A: 1\r\n'), body('\r\nx\r\n'));
  unlinkSync(join(maildir, 'new/1'));
  const later = Date.now() / 1000 + 60;
  utimesSync(join(maildir, 'new'), later, later);
  await deliver();
  expect(readdirSync(join(maildir, 'new'))).toHaveLength(2);
});

it('counts again when another program emptied or filled the mailbox', async () => {
  put('new/1', 995);
  expect(await quota().refusal('alice', 100)).toBeDefined();
  settle();
  expect(quota().full('alice', 100)).toBe('defer');
  renameSync(join(maildir, 'new/1'), join(root, 'elsewhere'));
  const later = Date.now() / 1000 + 60;
  utimesSync(join(maildir, 'new'), later, later);
  expect(quota().full('alice', 100)).toBeUndefined();
  expect(await quota().refusal('alice', 100)).toBeUndefined();
});

it('counts again before it refuses by sums that may have missed something', async () => {
  writeFileSync(join(maildir, 'maildirsize'), '1000S\n100 1\n900 1\n');
  put('new/1,S=100', 100);
  settle();
  expect(await quota().refusal('alice', 100)).toBeUndefined();
  expect(readFileSync(join(maildir, 'maildirsize'), 'latin1')).toBe('1000S\n100 1\n');
});

it.each([
  ['of another quota', '2000S\n999 1\n'],
  ['with a limit of messages too', '1000S,10C\n999 1\n'],
  ['empty', ''],
  ['of another kind', '\0\0\0\0'],
])('does not believe a file %s', async (_what, text) => {
  writeFileSync(join(maildir, 'maildirsize'), text);
  expect(readUsage(maildir, QUOTA)).toBeUndefined();
  expect(await quota().refusal('alice', 100)).toBeUndefined();
});

it.each([
  ['below nothing', '1000S\n-5 -1\n'],
  ['too long', `1000S\n${'1 1\n'.repeat(1300)}`],
])('doubts a file that is %s', (_what, text) => {
  writeFileSync(join(maildir, 'maildirsize'), text);
  settle();
  expect(readUsage(maildir, QUOTA)).toMatchObject({ doubtful: true });
});

it('notes nothing where nobody asked how much there is', () => {
  noteUsage(maildir, 5, 1);
  expect(readdirSync(maildir).sort()).toEqual(['cur', 'new', 'tmp']);
});
