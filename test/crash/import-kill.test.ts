/**
 * `posthorn mailbox import`, killed again and again: what it brought is whole, and running it once more brings the rest,
 * each message once.
 */
import { mkdirSync, readdirSync, readFileSync, watch, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { run, start, tempFolder } from '../lib/process.ts';
import { POSTHORN } from '../lib/server.ts';

const MESSAGES = 2000;
const KILLS = 4;

let folder: ReturnType<typeof tempFolder>;
beforeEach(() => {
  folder = tempFolder('import-kill');
});
afterEach(() => folder.remove());

/** Resolves once so many messages are there. */
function arrived(maildir: string, count: number): Promise<void> {
  return new Promise((resolve) => {
    const look = () => {
      if (readdirSync(join(maildir, 'new')).length < count) return;
      watcher.close();
      resolve();
    };
    const watcher = watch(join(maildir, 'new'), look);
    look();
  });
}

it('loses and doubles nothing when it is killed and run again', async () => {
  const data = join(folder.path, 'data');
  const maildir = join(data, 'mail', 'alice', 'Maildir');
  for (const name of ['new', 'cur', 'tmp']) mkdirSync(join(maildir, name), { recursive: true });
  const config = join(folder.path, 'posthorn.yaml');
  writeFileSync(config, `data: ${data}\ndomains: { example.test: { deliver: maildir } }\n`);
  writeFileSync(join(folder.path, 'users.yaml'), '{}\n');
  const mbox = join(folder.path, 'in.mbox');
  const bodies = Array.from({ length: MESSAGES }, (_, index) => `${index} ${'x'.repeat(index % 5000)}`);
  writeFileSync(mbox, bodies.map((body) => `From a@b.test Fri Nov 13 10:20:30 2026\nA: 1\n\n${body}\n\n`).join(''));
  const command = [POSTHORN, 'mailbox', 'import', 'alice', mbox, '--config', config];

  for (let kills = 1; kills <= KILLS; kills++) {
    const running = await start(command);
    await Promise.race([arrived(maildir, (kills * MESSAGES) / (KILLS + 2)), running.exited]);
    running.child.kill('SIGKILL');
    expect([await running.exited, running.stderr()]).toEqual([128, '']);
  }
  const before = readdirSync(join(maildir, 'new')).length;
  expect(before).toBeLessThan(MESSAGES);
  const { stdout } = await run(command);
  expect(stdout).toMatch(new RegExp(`^${MESSAGES - before} messages .* imported, ${before} were there already`));
  const texts = readdirSync(join(maildir, 'new')).map((name) => readFileSync(join(maildir, 'new', name), 'latin1'));
  const wanted = bodies.map((body) => `A: 1\r\n\r\n${body}\r\n`);
  expect(texts.toSorted()).toEqual(wanted.toSorted());
});
