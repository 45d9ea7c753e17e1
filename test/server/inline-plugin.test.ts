/**
 * A plugin in place whose loop never ends: nothing can end it but the end of its session thread, which the watchdog
 * brings about after 10 s without a heartbeat. In a file of its own, so that the wait runs beside the other tests.
 */
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { ServerLog } from '../lib/server-log.ts';
import { type Posthorn, startPosthorn, waitForMail } from '../lib/server.ts';
import { idIn, sendMessage, smtpSession } from '../lib/smtp-talk.ts';
import type { Talk } from '../lib/talk.ts';

const EVIL = fileURLToPath(new URL('../lib/plugins/evil.ts', import.meta.url));
const TO = 'alice@example.test';
const WATCHDOG_MS = 10_000;

const log = new ServerLog();
let server: Posthorn;
let sent = 0;
beforeAll(async () => {
  server = await startPosthorn({
    users: { alice: 'secret' },
    config: {
      domains: { 'example.test': { catchAll: 'alice' } },
      plugins: [{ [EVIL]: { isolation: 'inline' } }],
      throughput: { processes: 1, sessionThreads: 2 },
    },
    onLog: log.read,
  });
});
afterAll(async () => {
  await server.stop();
  server.remove();
});

/** Sends a message. @returns the thread of the session, as the log tells it */
async function threadOf(talk: Talk): Promise<number> {
  const id = idIn(await sendMessage(talk, TO));
  sent += 1;
  const line = () => log.all('smtp.accepted').find(({ message }) => message === id);
  await expect.poll(line).toBeDefined();
  return line()!['thread'] as number;
}

test('an endless loop costs the sessions of its own thread alone, and that thread is replaced', async () => {
  const byThread: [Talk[], Talk[]] = [[], []];
  while (byThread[0].length < 2 || byThread[1].length < 1) {
    const talk = await smtpSession(server.ports.smtp);
    byThread[await threadOf(talk)]!.push(talk);
  }
  const [[guilty, ...beside], others] = byThread;
  const startedAt = performance.now();
  const stuck = log.next('session-thread-stuck');
  guilty!.send('MAIL FROM:<>\r\nRCPT TO:<endless@example.test>\r\n');
  for (const other of others) expect(await threadOf(other)).toBe(1);
  expect(log.all('session-thread-stuck')).toEqual([]);

  expect(await stuck).toMatchObject({ thread: 0 });
  await Promise.all([guilty!, ...beside].map((talk) => talk.closed()));
  const endedMs = performance.now() - startedAt;
  console.log(`inline plugin, endless: its thread was ended after ${endedMs.toFixed(0)} ms`);
  expect(endedMs).toBeGreaterThan(WATCHDOG_MS - 1000);
  for (const other of others) expect(await threadOf(other)).toBe(1);
  const newcomer = async () => threadOf(await smtpSession(server.ports.smtp));
  await expect.poll(newcomer, { timeout: 10_000 }).toBe(2);
  expect([...log.all('server-process-died'), ...log.all('smtp.failed')]).toEqual([]);
  expect(await waitForMail(server, 'alice', sent)).toBe(sent);
});
