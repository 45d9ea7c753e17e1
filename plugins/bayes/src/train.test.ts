import { mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { hashToken } from './hash.ts';
import { loadSnapshot } from './snapshot.ts';
import { TokenStore, type Label } from './store.ts';
import { MODEL_FILE, train } from './train.ts';

let folder: string;
let directory: string;
let mail: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'bayes-'));
  directory = join(folder, 'data');
  mail = join(folder, 'mail');
  await mkdir(mail);
});
afterEach(() => rm(folder, { recursive: true }));

function learn(label: Label, ...paths: string[]) {
  return train({ directory, label, paths });
}
async function countsOf(token: string) {
  const into = { spam: 0, ham: 0 };
  (await loadSnapshot(join(directory, MODEL_FILE))).find(hashToken(token), into);
  return into;
}
async function write(name: string, content: string): Promise<string> {
  const path = join(mail, name);
  await mkdir(join(path, '..'), { recursive: true });
  await writeFile(path, content);
  return path;
}

describe('train', () => {
  test('learns a message and publishes the model', async () => {
    const result = await learn('spam', await write('1.eml', 'Subject: offer\n\ncheap pills\n'));
    expect(result).toMatchObject({ read: 1, learned: 1, spamMessages: 1, hamMessages: 0, tokens: 3 });
    expect(await countsOf('pills')).toEqual({ spam: 1, ham: 0 });
  });
  test('learning the same message again changes nothing, in the same training and in a later one', async () => {
    const path = await write('1.eml', 'Subject: offer\n\ncheap pills\n');
    await learn('spam', path, path);
    expect(await learn('spam', path)).toMatchObject({ read: 1, learned: 0, known: 1, spamMessages: 1 });
    expect(await countsOf('pills')).toEqual({ spam: 1, ham: 0 });
  });
  test('learning with the other label takes the first lesson back', async () => {
    const path = await write('1.eml', 'Subject: offer\n\ncheap pills\n');
    await learn('spam', path);
    expect(await learn('ham', path)).toMatchObject({ corrected: 1, spamMessages: 0, hamMessages: 1 });
    expect(await countsOf('pills')).toEqual({ spam: 0, ham: 1 });
  });
  test('reads folders within folders, and a Maildir without what is no message', async () => {
    await write('a/1.eml', '\n\none\n');
    await write('a/b/2.eml', '\n\ntwo\n');
    await write('Maildir/cur/3:2,S', '\n\nthree\n');
    await write('Maildir/new/4', '\n\nfour\n');
    await write('Maildir/.Spam/cur/5:2,', '\n\nfive\n');
    await write('Maildir/.Spam/new/6', '\n\nsix\n');
    await write('Maildir/tmp/half', '\n\nhalf\n');
    await write('Maildir/index.db', '\n\nindex\n');
    await symlink(mail, join(mail, 'a', 'loop'));
    expect(await learn('ham', mail)).toMatchObject({ read: 6, learned: 6 });
    expect(await countsOf('half')).toEqual({ spam: 0, ham: 0 });
    expect(await countsOf('six')).toEqual({ spam: 0, ham: 1 });
  });
  test('cuts an mbox at its From lines and nowhere else, wherever its chunks end', async () => {
    const filler = 'filler line that makes messages longer\n'.repeat(300);
    const one = (n: number): string =>
      `From a@b Thu Jan  1\nSubject: m${n}\n\nnumber${n}\n${filler}From inside a paragraph\n>From quoted\n\n`;
    const many = Array.from({ length: 40 }, (_, n) => one(n)).join('');
    expect(await learn('ham', await write('all.mbox', many))).toMatchObject({ read: 40, learned: 40 });
    expect(await countsOf('filler')).toEqual({ spam: 0, ham: 40 });
    expect(await countsOf('s:m39')).toEqual({ spam: 0, ham: 1 });
  });
  test('an mbox with CRLF line ends is cut as well', async () => {
    const text = 'From a@b Thu\r\nSubject: one\r\n\r\nfirst\r\n\r\nFrom a@b Thu\r\nSubject: two\r\n\r\nsecond\r\n';
    expect(await learn('ham', await write('crlf.mbox', text))).toMatchObject({ read: 2 });
  });
  test('a path that does not exist is an error, and what was learned before it stays', async () => {
    const path = await write('1.eml', '\n\npills\n');
    await expect(learn('spam', path)).resolves.toMatchObject({ learned: 1 });
    await expect(learn('spam', join(mail, 'nothing'))).rejects.toMatchObject({ code: 'ENOENT' });
    expect(await countsOf('pills')).toEqual({ spam: 1, ham: 0 });
  });
  test('a second training waits for the first, and says so when it waited long enough', async () => {
    const first = await TokenStore.open(join(directory, 'training'), 0);
    const path = await write('1.eml', '\n\npills\n');
    await expect(train({ directory, label: 'spam', paths: [path], lockTimeoutMs: 0 })).rejects.toMatchObject({
      name: 'TrainingError',
      code: 'locked',
    });
    const waiting = train({ directory, label: 'spam', paths: [path] });
    await first.close();
    await expect(waiting).resolves.toMatchObject({ learned: 1 });
  });
  test('leaves the rarest tokens out of a model that would be too large', async () => {
    await write('1.eml', '\n\ncommon rareone\n');
    await write('2.eml', '\n\ncommon raretwo\n');
    expect(await train({ directory, label: 'ham', paths: [mail], maxModelTokens: 2 })).toMatchObject({ tokens: 1 });
    expect(await countsOf('common')).toEqual({ spam: 0, ham: 2 });
  });
  test('tells its progress', async () => {
    const told: number[] = [];
    await write('1.eml', '\n\none\n');
    await train({ directory, label: 'ham', paths: [mail], onProgress: ({ read }) => void told.push(read) });
    expect(told).toEqual([1]);
  });
});
