/**
 * clamd says that a message is too large while it still comes in, and closes. Our next write then failed, and threw the
 * answer away that lay in the socket unread: more than half of such messages came out as "clamd cannot be asked". The
 * stand-in runs in a process of its own, for in one process the two never miss each other.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { openPlugin } from './fake-clamd.ts';

const STAND_IN = `
const path = process.argv[1];
require('node:net').createServer((socket) => {
  let got = 0;
  socket.on('error', () => socket.destroy());
  socket.on('data', (data) => {
    const before = got;
    got += data.length;
    if (before <= 1e6 && got > 1e6) socket.write('INSTREAM size limit exceeded. ERROR\\0', () => socket.destroy());
  });
}).listen(path, () => console.log('listening'));`;

let folder: string;
let standIn: ReturnType<typeof spawn>;
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'posthorn-clamd-'));
  standIn = spawn(process.execPath, ['-e', STAND_IN, join(folder, 'clamd.sock')], { stdio: ['ignore', 'pipe', 'inherit'] });
  await once(standIn.stdout!, 'data');
});
afterAll(async () => {
  const ended = once(standIn, 'exit');
  standIn.kill();
  await ended;
  rmSync(folder, { recursive: true });
});

test('an answer that comes before the end of the message is not lost with the connection', async () => {
  const { ask } = await openPlugin({ address: `unix:${join(folder, 'clamd.sock')}`, oversize: 'defer' });
  const message = `Subject: large\r\n\r\n${'x'.repeat(5_000_000)}`;
  const kinds = new Set<string>();
  for (let round = 0; round < 40; round++) kinds.add((await ask(message))?.kind ?? 'nothing');
  expect([...kinds]).toEqual(['defer']);
});
