import { execFileSync } from 'node:child_process';
import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { formatFromLine, parseFromLine } from './from-line.ts';
import { MailboxImport, type ImportCount } from './import.ts';
import { MboxBody } from './mbox-body.ts';
import { MboxSplitter } from './mbox-splitter.ts';
import type { Skipped } from './size-index.ts';
import { maildirInto, maildirToMbox, mboxInto } from './transfer.ts';
import { toCrlf } from './wire-form.ts';

const NOW_MS = 1_790_000_000_000;
const FROM = 'From a@example.test Fri Nov 13 10:20:30 2026\n';

let root: string;
beforeEach(() => (root = mkdtempSync(join(tmpdir(), 'transfer-'))));
afterEach(() => rmSync(root, { recursive: true, force: true }));

function fail(path: string, error: unknown): never {
  throw new Error(`${path}: ${String(error)}`);
}

function cut(mbox: Buffer, every: number): Buffer[] {
  return Array.from({ length: Math.ceil(mbox.length / every) }, (_, index) => mbox.subarray(index * every, (index + 1) * every));
}

/** The messages of an mbox that comes in chunks of so many bytes. */
function split(mbox: Buffer, every = mbox.length): string[] {
  const splitter = new MboxSplitter();
  const messages: string[] = [];
  for (const part of [...cut(mbox, every).flatMap((chunk) => splitter.push(chunk)), ...splitter.end()]) {
    if ('dateMs' in part) messages.push('');
    else messages.push(messages.pop()! + Buffer.from(part.bytes).toString('latin1'));
  }
  return messages;
}

async function importMbox(mbox: string | Buffer, { every = 7, dryRun = false } = {}): Promise<ImportCount> {
  const into = await MailboxImport.into({ maildir: join(root, 'to'), dryRun, nowMs: NOW_MS });
  await mboxInto(into, chunksOf(cut(Buffer.from(mbox), every)));
  return into.finish();
}

async function* chunksOf(chunks: Buffer[]): AsyncGenerator<Buffer> {
  yield* chunks;
}

async function importMaildir(from: string, to: string): Promise<ImportCount> {
  const into = await MailboxImport.into({ maildir: to, dryRun: false, nowMs: NOW_MS });
  await maildirInto(into, from, fail);
  return into.finish();
}

async function importSkipping(from: string, skipped: Skipped): Promise<void> {
  const into = await MailboxImport.into({ maildir: join(root, 'to'), dryRun: false, nowMs: NOW_MS });
  await maildirInto(into, from, skipped);
  await into.finish();
}

/** @returns file name and reason of each message that was left out. */
async function skippedOf(act: (skipped: Skipped) => Promise<unknown>): Promise<string[]> {
  const told: string[] = [];
  await act((path, error) => told.push(`${basename(path)}: ${(error as Error).message}`));
  return told;
}

function namesIn(maildir: string): string[] {
  return ['new', 'cur', 'tmp'].flatMap((folder) => readdirSync(join(maildir, folder)).map((name) => `${folder}/${name}`));
}

function textsIn(maildir: string): string[] {
  return namesIn(maildir)
    .sort()
    .map((name) => readFileSync(join(maildir, name), 'latin1'));
}

function put(maildir: string, name: string, bytes: string | Buffer, mtimeMs = NOW_MS): void {
  for (const folder of ['new', 'cur', 'tmp']) mkdirSync(join(maildir, folder), { recursive: true });
  writeFileSync(join(maildir, name), bytes, 'latin1');
  utimesSync(join(maildir, name), mtimeMs / 1000, mtimeMs / 1000);
}

describe('the From_ line', () => {
  it.each([
    ['From a@example.test Fri Nov 13 10:20:30 2026', '2026-11-13T10:20:30Z'],
    ['From - Fri Nov  6 10:20 2026', '2026-11-06T10:20:00Z'],
    ['From 15@xxx Fri Nov 13 10:20:30 +0000 2026', '2026-11-13T10:20:30Z'],
    ['From a b Fri Nov 13 10:20:30 2026 -0130', '2026-11-13T11:50:30Z'],
    ['From "a b"@example.test Fri Nov 13 10:20:30 CET 2026', '2026-11-13T10:20:30Z'],
  ])('is read as programs write it: %s', (line, date) => {
    expect(parseFromLine(line)).toBe(Date.parse(date));
  });

  it.each(['From now on', 'From a Fri Nov 13 10:20:30', 'From a Fri Nov 43 10:20:30 2026', 'From a Fri Nov 13 99:20:30 2026'])(
    'is none: %s',
    (line) => expect(parseFromLine(line)).toBeUndefined(),
  );

  it('is written so that nothing in the sender breaks it', () => {
    expect(formatFromLine('"a\nFrom b"@example.test', 0)).toBe('From "a-From-b"@example.test Thu Jan  1 00:00:00 1970');
    expect(formatFromLine('', 0)).toMatch(/^From MAILER-DAEMON /);
  });
});

describe('an mbox', () => {
  it.each([
    ['CRLF', `${FROM}A: 1\n\nx\n\n${FROM}B: 2\n\ny\n`.replaceAll('\n', '\r\n'), ['A: 1\r\n\r\nx\r\n', 'B: 2\r\n\r\ny\r\n']],
    ['empty lines at its begin and end', `\n\n${FROM}A: 1\n\nx\n\n\n\n`, ['A: 1\n\nx\n\n\n']],
    ['a From_ line without an empty line before it', `${FROM}A: 1\n\nx\n${FROM}B: 2\n`, ['A: 1\n\nx\n', 'B: 2\n']],
    ['text that begins with From', `${FROM}A: 1\n\nFrom now on\n\nFrom\nFro`, ['A: 1\n\nFrom now on\n\nFrom\nFro']],
    [
      'quoted lines, as mboxrd and mboxo write them',
      `${FROM}\n>From a\n>>From b\n> From c\n>Fro\n`,
      ['\nFrom a\n>From b\n> From c\n>Fro\n'],
    ],
    [
      'a Content-Length that leads on',
      `${FROM}Content-Length: 9999\n\nx\n\n${FROM}B: 2\n`,
      ['Content-Length: 9999\n\nx\n', 'B: 2\n'],
    ],
    ['no end', `${FROM}A: 1\n\nx\n\n${FROM.trimEnd()}`, ['A: 1\n\nx\n', '']],
    ['a line that is longer than a From_ line may be', `${FROM}From ${'x'.repeat(3000)}\n`, [`From ${'x'.repeat(3000)}\n`]],
  ])('with %s is cut the same, wherever its chunks end', (_what, text, messages) => {
    const mbox = Buffer.from(text);
    for (let every = 1; every <= Math.min(mbox.length, 60); every++) expect(split(mbox, every)).toEqual(messages);
    expect(split(mbox)).toEqual(messages);
  });

  it('is none without a From_ line, and nothing of it is imported', async () => {
    await expect(importMbox('Subject: a message\n\nx\n')).rejects.toThrow('no mbox');
    expect(namesIn(join(root, 'to'))).toEqual([]);
  });

  it('of a line without end is not kept in memory: what is told is given on', () => {
    const splitter = new MboxSplitter();
    splitter.push(Buffer.from(FROM));
    for (const chunk of ['>'.repeat(1e6), 'From ', 'x'.repeat(1e6)]) {
      const given = splitter.push(Buffer.from(chunk)).reduce((sum, part) => sum + ('bytes' in part ? part.bytes.length : 0), 0);
      expect(given).toBeGreaterThanOrEqual(chunk.length - 1);
    }
  });
});

it('keeps every byte from mailbox to mbox and back, for lines of any kind in chunks of any size', () => {
  const piece = fc.oneof(
    fc.constantFrom('From ', '>From ', '>>From a\r\n', 'Fro', '>', '\r\n', '\n', '\r', '\r\r\n', '\r\n\r\n', FROM, '.\r\n', '\0'),
    fc.uint8Array({ maxLength: 20 }).map((bytes) => Buffer.from(bytes).toString('latin1')),
  );
  const message = fc.array(piece, { maxLength: 12 }).map((pieces) => Buffer.from(pieces.join(''), 'latin1'));
  fc.assert(
    fc.property(fc.array(message, { minLength: 1, maxLength: 4 }), fc.integer({ min: 1, max: 40 }), (messages, every) => {
      const wire = messages.map((bytes) => Buffer.from(toCrlf(bytes)));
      const mbox = wire.map((bytes) => {
        const body = new MboxBody();
        return Buffer.concat([Buffer.from(FROM), ...cut(bytes, every).map((chunk) => body.push(chunk)), body.end()]);
      });
      const back = split(Buffer.concat(mbox), every).map((text) => toCrlf(Buffer.from(text, 'latin1')));
      expect(back.map((bytes) => Buffer.from(bytes).toString('latin1'))).toEqual(wire.map((bytes) => bytes.toString('latin1')));
    }),
    { numRuns: 500 },
  );
});

describe('an import', () => {
  const MBOX = `${FROM}Subject: \u00fc\n\nx\n\n${FROM}B: 2\n\ny\n\n${FROM}B: 2\n\ny\n\n`;

  it('writes messages as delivery does, with their dates and in their order', async () => {
    expect(await importMbox(MBOX)).toEqual({ messages: 3, bytes: 40, present: 0 });
    const [first, ...others] = namesIn(join(root, 'to'));
    expect(first).toMatch(/^new\/1794565230\.N0000001R\w+H[\w-]{22}\.imported,S=18,W=18,A=\d+$/);
    expect(others.every((name) => /^new\/1794565230\..*,S=11,W=11$/.test(name))).toBe(true);
    expect(statSync(join(root, 'to', first!)).mtimeMs).toBe(Date.parse('2026-11-13T10:20:30Z'));
    expect(textsIn(join(root, 'to'))[1]).toBe('B: 2\r\n\r\ny\r\n');
  });

  it('does nothing twice, also where some are gone or were cut off, and takes the same message as often as it is there', async () => {
    await importMbox(MBOX);
    expect(await importMbox(MBOX)).toEqual({ messages: 0, bytes: 0, present: 3 });
    const names = namesIn(join(root, 'to'));
    rmSync(join(root, 'to', names[2]!));
    expect(await importMbox(MBOX, { every: 100 })).toEqual({ messages: 1, bytes: 11, present: 2 });
    expect(await importMbox(`${MBOX}${FROM}C: 3\n`)).toMatchObject({ messages: 1, present: 3 });
    expect(namesIn(join(root, 'to')).filter((name) => name.startsWith('tmp/'))).toEqual([]);
  });

  it('that is only tried counts the same and makes nothing', async () => {
    expect(await importMbox(MBOX, { dryRun: true })).toEqual({ messages: 3, bytes: 40, present: 0 });
    expect(readdirSync(root)).toEqual([]);
  });

  it('from a Maildir keeps names, and so UIDLs, dates, and the flags that mean the same everywhere', async () => {
    const from = join(root, 'from');
    put(from, 'cur/1700000000.M1.host,S=9:2,SaRF', 'A: 1\n\nx\n', 1_600_000_000_000);
    put(from, 'new/1700000001.M2.host', 'B: 2\r\n\r\n\xff', 1_600_000_001_000);
    put(from, 'cur/.hidden', 'x');
    execFileSync('mkfifo', [join(from, 'tmp/pipe')]);
    expect(await importMaildir(from, join(root, 'to'))).toEqual({ messages: 2, bytes: 22, present: 0 });
    expect(namesIn(join(root, 'to'))).toEqual(['new/1700000001.M2.host,S=11,W=11', 'cur/1700000000.M1.host,S=11,W=11:2,FRS']);
    expect(statSync(join(root, 'to/cur/1700000000.M1.host,S=11,W=11:2,FRS')).mtimeMs).toBe(1_600_000_000_000);
    expect(await importMaildir(from, join(root, 'to'))).toMatchObject({ messages: 0, present: 2 });
  });

  it('takes another message of the same name too, once', async () => {
    put(join(root, 'from'), 'new/1', 'one\r\n');
    put(join(root, 'to'), 'cur/1:2,S', 'another\r\n');
    expect(await importMaildir(join(root, 'from'), join(root, 'to'))).toMatchObject({ messages: 1 });
    expect(await importMaildir(join(root, 'from'), join(root, 'to'))).toMatchObject({ messages: 0, present: 1 });
    expect(textsIn(join(root, 'to')).sort()).toEqual(['another\r\n', 'one\r\n']);
  });

  // Unique parts of more than 150 characters got another name, and so another UIDL.
  it.each([
    ['with sizes where there is room', 'u'.repeat(232), 'u'.repeat(232) + ',S=6,W=6:2,'],
    ['without sizes where there is none', 'u'.repeat(246), 'u'.repeat(246) + ':2,'],
    ['without flags where it has none and there is no room', 'u'.repeat(255), 'u'.repeat(255)],
    ['in bytes', '\u00fc'.repeat(123) + ':2,FRS', '\u00fc'.repeat(123) + ':2,FRS'],
    ['with all flags', 'u'.repeat(230) + ':2,ABCDEFGHIJKLMNOPQRSTUV', 'u'.repeat(230) + ':2,ABCDEFGHIJKLMNOPQRSTUV'],
  ])('keeps the longest names, %s', async (_how, name, kept) => {
    const [from, to] = [join(root, 'from'), join(root, 'to')];
    put(from, `cur/${name}`, 'A: 1\r\n');
    expect(await importMaildir(from, to)).toMatchObject({ messages: 1 });
    expect(readdirSync(join(to, 'cur'))).toEqual([kept]);
    expect(await importMaildir(from, to)).toMatchObject({ messages: 0, present: 1 });
  });

  // The place noted at the start was empty then, and the message came a second time under a made name, with another UIDL.
  it('brings nothing twice that a mail reader moves, marks or strips of its sizes meanwhile', async () => {
    const [from, to] = [join(root, 'from'), join(root, 'to')];
    for (const number of [1, 2, 3]) put(from, `new/${number}`, `A: ${number}\r\n`);
    await importMaildir(from, to);
    const into = await MailboxImport.into({ maildir: to, dryRun: false, nowMs: NOW_MS });
    renameSync(join(to, 'new/1,S=6,W=6'), join(to, 'cur/1,S=6,W=6:2,S'));
    renameSync(join(to, 'new/2,S=6,W=6'), join(to, 'new/2'));
    await maildirInto(into, from, fail);
    expect(await into.finish()).toEqual({ messages: 0, bytes: 0, present: 3 });
    expect(namesIn(to).sort()).toEqual(['cur/1,S=6,W=6:2,S', 'new/2', 'new/3,S=6,W=6']);
  });

  it('does not bring back what a client deletes meanwhile', async () => {
    const [from, to] = [join(root, 'from'), join(root, 'to')];
    put(from, 'new/1', 'A: 1\r\n');
    await importMaildir(from, to);
    const into = await MailboxImport.into({ maildir: to, dryRun: false, nowMs: NOW_MS });
    rmSync(join(to, 'new/1,S=6,W=6'));
    await maildirInto(into, from, fail);
    expect(await into.finish()).toMatchObject({ messages: 0, present: 1 });
    expect(namesIn(to)).toEqual([]);
  });

  // The first of them was not yet linked, and counted as not there.
  it('takes one of two messages that have the same name and the same bytes', async () => {
    put(join(root, 'from'), 'new/1', 'A: 1\r\n');
    put(join(root, 'from'), 'new/1,S=6,W=6', 'A: 1\r\n');
    expect(await importMaildir(join(root, 'from'), join(root, 'to'))).toMatchObject({ messages: 1, present: 1 });
  });

  it('that cannot compare what has the same name there says which, and leaves nothing half written', async () => {
    put(join(root, 'from'), 'new/1', 'A: 1\r\n');
    put(join(root, 'to'), 'new/2', 'A: 2\r\n');
    mkdirSync(join(root, 'to/cur/1'));
    await expect(importMaildir(join(root, 'from'), join(root, 'to'))).rejects.toThrow(
      /to\/cur\/1 cannot be compared.*no regular file/,
    );
    expect(readdirSync(join(root, 'to/tmp'))).toEqual([]);
  });

  // Root read it, and the user got it by POP3: /etc/shadow above all.
  it('follows no symbolic link among the messages, and tells of it', async () => {
    const from = join(root, 'from');
    writeFileSync(join(root, 'secret'), 'A: secret\n');
    put(from, 'new/1', 'A: 1\r\n');
    symlinkSync(join(root, 'secret'), join(from, 'cur/2.evil:2,'));
    symlinkSync(join(root, 'secret'), join(from, 'cur/3.evil,S=10,W=11:2,'));
    symlinkSync(from, join(root, 'link'));
    const told = await skippedOf((skipped) => importSkipping(join(root, 'link'), skipped));
    expect(told).toEqual(['2.evil:2,: no regular file', '3.evil,S=10,W=11:2,: no regular file']);
    expect(textsIn(join(root, 'to'))).toEqual(['A: 1\r\n']);
  });

  // They were left out without a word, since no file was found under the name as text.
  it('tells of messages whose names are not UTF-8, as an export does', async () => {
    const from = join(root, 'from');
    put(from, 'new/1', 'A: 1\r\n');
    for (const name of ['20.latin1\xfc', '21.latin1\xfc,S=6,W=6:2,S'])
      writeFileSync(Buffer.from(join(from, 'cur', name), 'latin1'), 'A: 2\r\n');
    const told = ['20.latin1\ufffd: its name is not UTF-8', '21.latin1\ufffd,S=6,W=6:2,S: its name is not UTF-8'];
    expect(await skippedOf((skipped) => importSkipping(from, skipped))).toEqual(told);
    expect(await skippedOf((skipped) => maildirToMbox(from, async () => undefined, skipped))).toEqual(told);
    expect(textsIn(join(root, 'to'))).toEqual(['A: 1\r\n']);
  });

  it('of what cannot be written takes the half-written message away', async () => {
    put(join(root, 'to'), 'new/1', 'x');
    rmSync(join(root, 'to/new'), { recursive: true });
    writeFileSync(join(root, 'to/new'), '');
    await expect(importMbox(MBOX)).rejects.toThrow(/ENOTDIR|EEXIST/);
  });
});

// Flags were lost on this way.
it('exports to an mbox what an import takes back: sender, date and flags in front, every message the same', async () => {
  const from = join(root, 'from');
  const message = 'Return-Path: <bob@example.test>\r\nA: 1\r\n\r\nFrom here\r\n>From there\r\n';
  put(from, 'new/1', message, 1_600_000_000_000);
  put(from, 'cur/2,S=9,W=10:2,FS', 'B: 2\n\n\0\r\xff', 1_600_000_001_000);
  const chunks: Buffer[] = [];
  const write = async (bytes: Uint8Array): Promise<void> => void chunks.push(Buffer.from(bytes));
  expect(await maildirToMbox(from, write, fail)).toBe(2);
  const mbox = Buffer.concat(chunks);
  expect(mbox.toString('latin1')).toMatch(/^From bob@example\.test Sun Sep 13 12:26:40 2020\nReturn-Path:/);
  expect(mbox.toString('latin1')).toContain(
    '\n>From here\n>>From there\n\nFrom MAILER-DAEMON Sun Sep 13 12:26:41 2020\nStatus: RO\nX-Status: F\nB: 2\n',
  );
  expect(await importMbox(mbox)).toMatchObject({ messages: 2 });
  expect(textsIn(join(root, 'to'))).toEqual(['B: 2\r\n\r\n\0\r\xff\r\n', message]);
  expect(namesIn(join(root, 'to'))).toEqual([
    expect.stringMatching(/^new\/1600000000\.[^:]*$/),
    expect.stringMatching(/^cur\/1600000001\.[^:]*:2,FS$/),
  ]);
  expect(await importMbox(mbox)).toMatchObject({ messages: 0, present: 2 });
});
