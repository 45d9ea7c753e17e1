import { linkSync, mkdirSync, mkdtempSync, readdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Worker } from 'node:worker_threads';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { maildirToMbox } from './transfer.ts';
import { Whereabouts } from './whereabouts.ts';

const MESSAGES = 3000;

let maildir: string;
beforeEach(() => {
  maildir = mkdtempSync(join(tmpdir(), 'whereabouts-'));
  for (const folder of ['new', 'cur']) mkdirSync(join(maildir, folder));
});
afterEach(() => rmSync(maildir, { recursive: true, force: true }));

async function textAt(places: Whereabouts, name: string): Promise<string | undefined> {
  const opened = await places.open({ folder: 'new', name });
  if (opened === undefined) return undefined;
  const text = await opened.file.readFile('latin1');
  await opened.file.close();
  return `${opened.folder}/${opened.name}: ${text}`;
}

it('finds a message wherever it went: by its name up to the flags, else up to the sizes', async () => {
  writeFileSync(join(maildir, 'new/1,S=1,W=1'), 'a');
  writeFileSync(join(maildir, 'new/1'), 'b');
  const places = new Whereabouts(maildir);
  expect(await places.all()).toHaveLength(2);
  renameSync(join(maildir, 'new/1'), join(maildir, 'cur/1:2,S'));
  renameSync(join(maildir, 'new/1,S=1,W=1'), join(maildir, 'cur/1,S=1,W=1:2,RS'));
  expect(await textAt(places, '1')).toBe('cur/1:2,S: b');
  expect(await textAt(places, '1,S=1,W=1')).toBe('cur/1,S=1,W=1:2,RS: a');
  rmSync(join(maildir, 'cur/1:2,S'));
  renameSync(join(maildir, 'cur/1,S=1,W=1:2,RS'), join(maildir, 'cur/1:2,RS'));
  expect(await textAt(places, '1,S=1,W=1')).toBe('cur/1:2,RS: a');
  rmSync(join(maildir, 'cur/1:2,RS'));
  expect(await textAt(places, '1')).toBeUndefined();
  expect(await places.all()).toEqual([]);
});

// One of the two was left out of exports until a POP3 session had set them apart.
it('shows two messages of one name but for folder and flags as two, and one file of two names as one', async () => {
  writeFileSync(join(maildir, 'new/42.dup'), 'a');
  writeFileSync(join(maildir, 'cur/42.dup:2,S'), 'b');
  writeFileSync(join(maildir, 'cur/43.dup:2,'), 'c');
  linkSync(join(maildir, 'cur/43.dup:2,'), join(maildir, 'cur/43.dup:2,S'));
  const places = new Whereabouts(maildir);
  const texts = [];
  for (const { folder, name } of await places.all()) {
    const opened = await places.open({ folder, name });
    texts.push(await opened!.file.readFile('latin1'));
    await opened!.file.close();
  }
  expect(texts).toEqual(['a', 'b', 'c']);
});

// 33 of 5000 were missing, and nobody was told: a folder in motion shows some files under neither of their names.
it('exports every message while another program renames them all, again and again', async () => {
  for (let at = 0; at < MESSAGES; at++) writeFileSync(join(maildir, `cur/${at}.host,S=6,W=6:2,`), 'A: 1\r\n');
  const renamer = new Worker(RENAMER, { eval: true, workerData: { cur: join(maildir, 'cur') } });
  await new Promise((resolve) => renamer.once('message', resolve));
  try {
    const skipped = (path: string, error: unknown) => {
      throw new Error(`${path}: ${String(error)}`);
    };
    for (let run = 0; run < 2; run++) expect(await maildirToMbox(maildir, async () => undefined, skipped)).toBe(MESSAGES);
  } finally {
    await renamer.terminate();
  }
  expect(readdirSync(join(maildir, 'cur'))).toHaveLength(MESSAGES);
});

const RENAMER = `
const { readdirSync, renameSync } = require('node:fs');
const { parentPort, workerData } = require('node:worker_threads');
const bases = readdirSync(workerData.cur).map((name) => name.slice(0, name.indexOf(':')));
let flags = '';
for (let round = 0; ; round++) {
  const next = 'FS'.slice(0, round % 3) + 'T'.repeat(round % 2);
  for (const base of bases) if (next !== flags) renameSync(workerData.cur + '/' + base + ':2,' + flags, workerData.cur + '/' + base + ':2,' + next);
  flags = next;
  if (round === 0) parentPort.postMessage('going');
}
`;
