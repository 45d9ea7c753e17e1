import { existsSync, mkdirSync, readFileSync, rmSync, symlinkSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { BufferPool } from '@posthorn/core/wire/buffer-pool';
import { createMaildropOpener } from '@posthorn/core/maildrop/opener';
import { start } from '../lib/process.ts';
import { maildirOf, POSTHORN, type Posthorn, startPosthorn } from '../lib/server.ts';

const FROM = 'From a@example.test Fri Nov 13 10:20:30 2026\n';
const MBOX = `${FROM}From: =?utf-8?q?J=C3=BCrgen?= <j@example.test>\nSubject: =?utf-8?b?GxtdMDsbW0s=?= \x1b[2J hey\nDate: Fri, 13 Nov 2026 11:20:30 +0100\n\nFrom here\n\n${FROM}B: 2\n\ny\n\n`;

let server: Posthorn;
beforeAll(async () => {
  server = await startPosthorn({ users: { alice: 'correct-horse-1', bob: 'correct-horse-1' } });
});
afterAll(async () => {
  await server.stop();
  server.remove();
});

async function mailbox(...args: string[]): Promise<{ code: number; stdout: string; stderr: string }> {
  return server.command('mailbox', ...args, '--config', server.configFile);
}

it('carries mail in, shows it, and carries it out again, beside a running server', async () => {
  const mbox = join(server.folder, 'in.mbox');
  writeFileSync(mbox, MBOX);
  expect((await mailbox('import', 'Alice', mbox, '--dry-run')).stdout).toMatch(
    /^2 messages \(\d+ bytes\) would be imported, 0 were/,
  );
  expect((await mailbox('import', 'Alice', mbox)).stdout).toMatch(/^2 messages \(\d+ bytes\) imported, 0 were there already\n$/);
  expect((await mailbox('import', 'alice', mbox)).stdout).toBe('0 messages (0 bytes) imported, 2 were there already\n');

  const shown = (await mailbox('show', 'alice')).stdout.split('\n');
  expect(shown[0]).toMatch(
    /^1 {2}1794565230\.N0000001\S+ {2}\d+ bytes {2}2026-11-13T10:20:30\.000Z {2}Jürgen <j@example\.test> {2}\S.* hey$/,
  );
  // Neither raw nor out of an encoded word.
  expect(shown.join('')).not.toMatch(/\p{Cc}/u);
  const last = await mailbox('show', 'alice', '--last', '1', '--json');
  expect(JSON.parse(last.stdout)).toMatchObject({ number: 2, sizeBytes: 11 });
  expect(last.stderr).toContain('1 older messages are not shown');

  const out = join(server.folder, 'out.mbox');
  expect((await mailbox('export', 'alice', out)).code).toBe(0);
  expect(readFileSync(out, 'utf8')).toBe(
    MBOX.replaceAll('a@example.test', 'MAILER-DAEMON').replace('\nFrom here', '\n>From here'),
  );
  expect((await mailbox('export', 'alice', out)).stderr).toContain('is there already');
  expect((await mailbox('export', 'alice', '-')).stdout).toBe(readFileSync(out, 'utf8'));

  const folder = join(server.folder, 'out');
  expect((await mailbox('export', 'alice', folder, '--maildir')).stderr).toContain('2 messages exported, 0 were');
  expect((await mailbox('export', 'alice', folder, '--maildir')).stderr).toContain('0 messages exported, 2 were');
});

it('lists the mailboxes of users and of those that are gone', async () => {
  const gone = maildirOf(server, 'carol');
  mkdirSync(join(gone, 'cur'), { recursive: true });
  mkdirSync(join(gone, 'new'));
  writeFileSync(join(gone, 'cur/1:2,S'), 'A: 1\n');
  writeFileSync(join(gone, 'cur/.hidden'), '');
  const lines = (await mailbox('list')).stdout.split('\n');
  expect(lines).toContain('bob  0 messages  0 bytes');
  expect(lines).toContain('carol  1 messages  5 bytes  (no user of users.yaml)');
  const [first] = (await mailbox('list', '--json')).stdout.split('\n');
  expect(JSON.parse(first!)).toMatchObject({ user: 'alice', known: true });
  expect((await mailbox('import', 'dave', server.configFile)).stderr).toContain('there is no user dave');
  expect((await mailbox('import', 'bob', server.configFile)).stderr).toContain('no mbox');
  expect((await mailbox('import', 'bob', server.folder)).stderr).toContain('no Maildir');
  expect((await mailbox('show', '../alice')).code).toBe(1);
});

it('brings mail into a maildrop that somebody has open', async () => {
  const clock = { now: () => Date.now(), monotonic: () => performance.now(), after: () => () => undefined };
  const log = { debug: () => undefined, info: () => undefined, warn: () => undefined, error: () => undefined, with: () => log };
  const lockDirectory = join(server.folder, 'test-locks');
  const opener = createMaildropOpener({
    root: join(server.dataFolder, 'mail'),
    lockDirectory,
    tag: 'test',
    buffers: new BufferPool(),
    clock,
    log,
  });
  const opened = await opener.open('bob');
  if (!opened.ok) throw new Error(opened.why);
  const source = join(server.folder, 'source');
  mkdirSync(join(source, 'new'), { recursive: true });
  mkdirSync(join(source, 'cur'));
  writeFileSync(join(source, 'cur/1700000000.M1.host:2,S'), 'A: 1\n\nx\n');
  utimesSync(join(source, 'cur/1700000000.M1.host:2,S'), 1_700_000_000, 1_700_000_000);
  expect((await mailbox('import', 'bob', source)).stdout).toBe('1 message (11 bytes) imported, 0 were there already\n');
  expect(opened.drop.messages).toEqual([]);
  opened.drop.release();
  const next = await opener.open('bob');
  if (!next.ok) throw new Error(next.why);
  expect(next.drop.messages.map(({ uidl, sizeBytes }) => [uidl, sizeBytes])).toEqual([['1700000000.M1.host', 11]]);
  next.drop.release();
});

it('brings all of an import that is more than the quota, and says what that means', async () => {
  const source = join(server.folder, 'large.mbox');
  writeFileSync(source, `${FROM}Subject: large\n\n${'x'.repeat(70)}\n\n`.repeat(40));
  const config = join(server.folder, 'quota.yaml');
  const settings = JSON.parse(readFileSync(server.configFile, 'utf8')) as object;
  writeFileSync(config, JSON.stringify({ ...settings, mailboxes: { quotaBytes: '2KiB', whenFull: 'reject' } }));
  const { code, stdout, stderr } = await server.command('mailbox', 'import', 'bob', source, '--config', config);
  expect(code).toBe(0);
  expect(stdout).toMatch(/^40 messages/);
  expect(stderr).toMatch(/bob now holds \d{4} bytes of a quota of 2048: mail that comes is rejected until there is room/);
});

// The first of either stopped the command with `no regular file`, and nobody knew which it was.
it('shows the messages behind one that cannot be read, and says which that is', async () => {
  const maildir = maildirOf(server, 'eve');
  for (const folder of ['new', 'cur']) mkdirSync(join(maildir, folder), { recursive: true });
  mkdirSync(join(maildir, 'cur/1.folder,S=5,W=5:2,'));
  symlinkSync(server.configFile, join(maildir, 'cur/2.link:2,'));
  writeFileSync(join(maildir, 'cur/3.host,S=6,W=6:2,'), 'A: 1\r\n');
  const { code, stdout, stderr } = await mailbox('show', 'eve');
  expect(stdout).toMatch(/^2 {2}3\.host {2}6 bytes/);
  expect(stderr).toMatch(
    /^.*2\.link:2, is left out: no regular file\n1 {2}\S*1\.folder,S=5,W=5:2, is left out: no regular file\n/,
  );
  expect([code, stderr]).toEqual([1, expect.stringMatching(/posthorn: 2 messages could not be read\n$/)]);
  rmSync(maildir, { recursive: true });
});

it('lists the mailboxes behind one that cannot be read, and says which that is', async () => {
  const broken = join(server.dataFolder, 'mail/bad');
  mkdirSync(join(broken, 'Maildir'), { recursive: true });
  writeFileSync(join(broken, 'Maildir/new'), '');
  const { code, stdout, stderr } = await mailbox('list');
  expect(stdout).toMatch(/^alice .*\nbob /);
  expect(stdout).not.toContain('bad');
  expect(stderr).toMatch(/^bad is left out: ENOTDIR: .*\nposthorn: 1 mailbox could not be read\n$/);
  expect(code).toBe(1);
  rmSync(broken, { recursive: true });
});

// Both were silent, and the second ended well: a copy of mail that broke off looked like a whole one.
it('says when an export to standard output did not get out: its disk is full, its reader gone', async () => {
  const maildir = maildirOf(server, 'frank');
  for (const folder of ['new', 'cur']) mkdirSync(join(maildir, folder), { recursive: true });
  writeFileSync(join(maildir, 'new/1'), `A: 1\n\n${'x'.repeat(2_000_000)}\n`);
  const command = [POSTHORN, 'mailbox', 'export', 'frank', '-', '--config', server.configFile];

  const full = await start(command, { outFile: '/dev/full' });
  expect([await full.exited, full.stderr()]).toEqual([1, expect.stringMatching(/standard output did not get all of it: ENOSPC/)]);

  const left = await start(command);
  left.child.stdout!.once('data', () => left.child.stdout!.destroy());
  expect(await left.exited).toBe(1);
  expect(left.stderr()).toBe('posthorn: standard output did not get all of it: its reader is gone\n');
  rmSync(maildir, { recursive: true });
});

it('takes nothing on standard input for an error, and an empty file for an mbox without messages', async () => {
  const nothing = await mailbox('import', 'bob', '-');
  expect([nothing.code, nothing.stderr]).toEqual([
    1,
    expect.stringContaining('nothing came on standard input: expected an mbox'),
  ]);
  const empty = join(server.folder, 'empty.mbox');
  writeFileSync(empty, '');
  expect(await mailbox('import', 'bob', empty)).toMatchObject({ code: 0, stdout: expect.stringMatching(/^0 messages/) });
});

// It made a folder of that name.
it('refuses a Maildir on standard output', async () => {
  const { code, stderr } = await mailbox('export', 'bob', '-', '--maildir');
  expect([code, stderr]).toEqual([1, expect.stringContaining('a Maildir is a folder: give its name')]);
  expect(existsSync(join(server.folder, '-'))).toBe(false);
});
