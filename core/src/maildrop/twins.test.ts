import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Log } from '../observe/log.ts';
import type { Maildrop } from '../pop3/ports.ts';
import { BufferPool } from '../wire/buffer-pool.ts';
import { createMaildropOpener } from './opener.ts';

let root: string;
let logged: string[];
const log: Log = {
  debug: () => undefined,
  info: () => undefined,
  warn: (event) => void logged.push(event),
  error: (event) => void logged.push(event),
  with: () => log,
};
const clock = { now: () => Date.now(), monotonic: () => performance.now(), after: () => () => undefined };

beforeEach(() => {
  root = mkdtempSync(join(existsSync('/dev/shm') ? '/dev/shm' : tmpdir(), 'twins-'));
  logged = [];
  for (const folder of ['tmp', 'new', 'cur']) mkdirSync(join(root, 'alice/Maildir', folder), { recursive: true });
});
afterEach(() => rmSync(root, { recursive: true, force: true }));

async function openDrop(): Promise<Maildrop> {
  const opener = createMaildropOpener({
    root,
    lockDirectory: join(root, 'locks'),
    tag: 'test',
    buffers: new BufferPool(),
    clock,
    log,
  });
  const opened = await opener.open('alice');
  if (!opened.ok) throw new Error(JSON.stringify(opened));
  return opened.drop;
}

function put(name: string, text: string): void {
  writeFileSync(join(root, 'alice/Maildir', name), text);
}

function texts(): string[] {
  return ['new', 'cur'].flatMap((folder) =>
    readdirSync(join(root, 'alice/Maildir', folder)).map((name) =>
      readFileSync(join(root, 'alice/Maildir', folder, name), 'utf8'),
    ),
  );
}

/** UIDLs by the text of their messages. */
async function session(deleted?: (text: string) => boolean): Promise<Map<string, string>> {
  const drop = await openDrop();
  const uidls = new Map<string, string>();
  const marks: number[] = [];
  for (const [index, { uidl }] of drop.messages.entries()) {
    let text = '';
    for await (const chunk of drop.read(index)) text += Buffer.from(chunk).toString();
    await drop.sizeOf(index);
    uidls.set(text, uidl);
    if (deleted?.(text) === true) marks.push(index);
  }
  expect(await drop.commit(marks)).toEqual({ failed: 0 });
  return uidls;
}

describe('two files whose names have the same unique part', () => {
  it('with sizes that are both wrong lose neither: one was put in place of the other when the names were corrected', async () => {
    const wanted: string[] = [];
    for (let pair = 100; pair < 140; pair++) {
      for (const size of [7, 8]) {
        wanted.push(`Subject: ${pair} ${size}\r\n\r\nbody\r\n`);
        put(`cur/${pair}.x,S=${size},W=${size}:2,`, wanted.at(-1)!);
      }
    }
    const uidls = await session();
    expect([...uidls.keys()].sort()).toEqual([...wanted].sort());
    expect(texts().sort()).toEqual([...wanted].sort());
    expect(await session()).toEqual(uidls);
  });

  it.each([
    ['that differ in their sizes', 'cur/44.same', 'cur/44.same,S=7,W=7:2,S'],
    ['that differ in their flags, as a restore leaves them', 'cur/43.dup:2,', 'cur/43.dup:2,S'],
    ['in new and cur', 'new/42.dup', 'cur/42.dup'],
    ['whose sizes are wrong, beside one that has none', 'cur/44.same', 'cur/44.same,S=33,W=33'],
    ['and nothing else', 'cur/,S=7,W=7', 'cur/,S=8,W=8'],
  ])('%s, keep their UIDLs when one is deleted: none goes over to the other', async (_what, one, other) => {
    put(one, 'one: 1\r\n');
    put(other, 'two: 2\r\n');
    const uidls = await session((text) => text.startsWith('one'));
    expect(new Set(uidls.values()).size).toBe(2);
    expect(texts()).toEqual(['two: 2\r\n']);
    const left = await session((text) => text.startsWith('two'));
    expect([...left]).toEqual([['two: 2\r\n', uidls.get('two: 2\r\n')]]);
    expect(texts()).toEqual([]);
    expect(await session()).toEqual(new Map());
  });

  // A program that copies writes the new name before it takes the old one away: a login in between made two of it, for good.
  it.each([
    ['new/1.a,S=8,W=8', 'cur/1.a,S=8,W=8:2,S'],
    ['cur/2.a:2,', 'cur/2.a:2,S'],
  ])('and the same bytes, are one message, and nothing is renamed: %s and %s', async (one, other) => {
    put(one, 'one: 1\r\n');
    put(other, 'one: 1\r\n');
    const [uidl] = [...(await session()).values()];
    expect(existsSync(join(root, 'alice/Maildir', one)) && existsSync(join(root, 'alice/Maildir', other))).toBe(true);
    rmSync(join(root, 'alice/Maildir', one));
    expect([...(await session()).values()]).toEqual([uidl]);
    put(one, 'one: 1\r\n');
    await session(() => true);
    expect(texts()).toEqual([]);
  });

  it('are told apart when the second comes later: the first keeps the UIDL it was seen under', async () => {
    put('cur/44.same,S=8,W=8:2,S', 'one: 1\r\n');
    const before = await session();
    // The file system's clock has ticked.
    const born = (name: string) => statSync(join(root, 'alice/Maildir', name), { bigint: true }).birthtimeNs;
    const first = readdirSync(join(root, 'alice/Maildir/cur'))[0]!;
    do {
      rmSync(join(root, 'alice/Maildir/tmp/probe'), { force: true });
      put('tmp/probe', '');
    } while (born('tmp/probe') === born(`cur/${first}`));
    put('cur/44.same', 'two: 2\r\n');
    const after = await session();
    expect(after.get('one: 1\r\n')).toBe(before.get('one: 1\r\n'));
    expect(new Set(after.values()).size).toBe(2);
  });
});

describe('a name that is not UTF-8', () => {
  it.each(['', ',S=8,W=8'])('is told and left out: its file cannot be opened by it (sizes in the name: %j)', async (sizes) => {
    const folder = Buffer.from(join(root, 'alice/Maildir/cur/'));
    writeFileSync(Buffer.concat([folder, Buffer.from([0x61, 0xfc]), Buffer.from(sizes)]), 'one: 1\r\n');
    put(`cur/valid\ufffd${sizes}`, 'two: 2\r\n');
    put(`new/gr\u00fc\u00dfe${sizes}`, 'three: 3\r\n');
    const drop = await openDrop();
    expect(drop.messages).toHaveLength(2);
    expect(logged).toEqual(['maildrop.skipped']);
    drop.release();
  });
});
