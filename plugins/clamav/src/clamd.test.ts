/**
 * Against Debian's own clamd, with a signature database of one entry, and broken mail from the corpus beside the project.
 * Skipped, loudly, where clamd is not installed.
 */
import { execFileSync, spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { readdir, readFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { tmpdir, userInfo } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { openPlugin } from './fake-clamd.ts';

const CLAMD = ['/usr/sbin/clamd', '/usr/bin/clamd', '/usr/local/sbin/clamd'].find((path) => existsSync(path));
const ARCHIVE = join(import.meta.dirname, '../../../../shared/corpus/mime/mime-dev.tar.xz');
if (CLAMD === undefined) console.warn('SKIPPED: clamd is not installed: clamav was only tried against a fake one');

/** In two halves, or scanners would take this file away. */
const EICAR = ['X5O!P%@AP[4\\PZX54(P^)7CC)7}$EICAR-', 'STANDARD-ANTIVIRUS-TEST-FILE!$H+H*'].join('');

let folder: string;
let clamd: ChildProcess;
const socketPath = (): string => join(folder, 'clamd.ctl');

beforeAll(async () => {
  if (CLAMD === undefined) return;
  folder = mkdtempSync(join(tmpdir(), 'clamd-'));
  writeFileSync(join(folder, 'test.ndb'), `Posthorn.Test.Eicar:0:*:${Buffer.from(EICAR).toString('hex')}\n`);
  const settings = [
    `DatabaseDirectory ${folder}`,
    `LocalSocket ${socketPath()}`,
    'Foreground yes',
    'ScanMail yes',
    'StreamMaxLength 1M',
    `User ${userInfo().username}`,
  ];
  writeFileSync(join(folder, 'clamd.conf'), settings.join('\n'));
  clamd = spawn(CLAMD, ['-c', join(folder, 'clamd.conf')], { stdio: 'ignore' });
  // clamd tells of its start in no way that can be waited for, but by answering.
  for (let tries = 0; !(await answers()); tries++) {
    if (tries === 300 || clamd.exitCode !== null) throw new Error('clamd did not start');
    await pause(100);
  }
});
afterAll(async () => {
  if (CLAMD === undefined) return;
  clamd.kill();
  await once(clamd, 'exit');
  rmSync(folder, { recursive: true });
});

function answers(): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(socketPath(), () => socket.write('zPING\0'));
    socket.on('data', () => {
      socket.destroy();
      resolve(true);
    });
    socket.on('error', () => resolve(false));
  });
}

describe.skipIf(CLAMD === undefined)('clamav with a real clamd', () => {
  const mail = (body: string): string => `From: a@example.org\r\nSubject: x\r\n${body}`;
  test('passes clean mail', async () => {
    const { ask } = await openPlugin({ address: `unix:${socketPath()}` });
    expect(await ask(mail('\r\nhello\r\n'))).toBeUndefined();
  });
  test('rejects a virus in plain and in base64', async () => {
    const { ask } = await openPlugin({ address: `unix:${socketPath()}` });
    const attached =
      'MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: application/octet-stream\r\n' +
      `Content-Transfer-Encoding: base64\r\n\r\n${Buffer.from(EICAR).toString('base64')}\r\n--b--\r\n`;
    for (const body of [`\r\n${EICAR}\r\n`, attached]) {
      expect(await ask(mail(body))).toMatchObject({ kind: 'reject', text: expect.stringContaining('Posthorn.Test.Eicar') });
    }
  });
  test('clamd’s size limit, met while sending, is known as one', async () => {
    const { ask } = await openPlugin({ address: `unix:${socketPath()}`, oversize: 'defer' });
    expect(await ask(mail(`\r\n${'x'.repeat(5_000_000)}`))).toMatchObject({ kind: 'defer' });
  });
  test.skipIf(!existsSync(ARCHIVE))('every broken message of the corpus gets an answer', async () => {
    execFileSync('tar', ['xJf', ARCHIVE, '-C', folder]);
    const { ask } = await openPlugin({ address: `unix:${socketPath()}`, maxConnections: 10 });
    const entries = (await readdir(join(folder), { recursive: true, withFileTypes: true })).filter(
      (entry) => entry.isFile() && entry.parentPath !== folder,
    );
    expect(entries).toHaveLength(909);
    const startMs = performance.now();
    const answered = await Promise.all(entries.map(async (entry) => ask(await readFile(join(entry.parentPath, entry.name)))));
    console.log(`clamd: ${(entries.length / ((performance.now() - startMs) / 1000)).toFixed(0)} scans/s`);
    expect(answered.filter((one) => one !== undefined)).toEqual([]);
  });
});
