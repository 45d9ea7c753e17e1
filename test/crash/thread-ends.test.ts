/** What a session thread that ends leaves behind: its spool files, and the place that waits for its successor. */
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { test } from 'vitest';
import { type Rig, startRig } from '../lib/rig.ts';
import { sendMessage, smtpSession } from '../lib/smtp-talk.ts';

/** In place: what it does to its thread it does to every session there. */
const EVIL = { [fileURLToPath(new URL('../lib/plugins/evil.ts', import.meta.url))]: { isolation: 'inline' } };
const LONG = { timeout: 10_000 };

async function endThread({ log, server }: Rig): Promise<void> {
  const died = log.next('session-thread-died');
  const talk = await smtpSession(server.ports.smtp);
  talk.send('MAIL FROM:<>\r\nRCPT TO:<exit@example.test>\r\n');
  await Promise.all([talk.closed(), died]);
}

test('the spool files of a thread that ended are removed', async (context) => {
  const { expect } = context;
  const rig = await startRig(context, {
    config: {
      domains: { 'example.test': { catchAll: 'alice' } },
      plugins: [EVIL],
      throughput: { processes: 1, sessionThreads: 1, spillBytes: '64 KiB' },
    },
  });
  const spool = join(rig.server.dataFolder, 'spool', '0');
  const talk = await smtpSession(rig.server.ports.smtp);
  for (const line of ['MAIL FROM:<>', 'RCPT TO:<alice@example.test>', 'DATA']) await talk.say(line);
  talk.send(`Subject: half\r\n\r\n${'text\r\n'.repeat(50_000)}`);
  await expect.poll(() => readdirSync(spool), LONG).toHaveLength(1);
  await endThread(rig);
  await expect.poll(() => readdirSync(spool), LONG).toEqual([]);
  await expect
    .poll(async () => sendMessage(await smtpSession(rig.server.ports.smtp), 'alice@example.test'), LONG)
    .toMatch(/^250/);
});

test('a stop does not start the successor of a thread that has just ended', async (context) => {
  const { expect } = context;
  const rig = await startRig(context, {
    config: {
      domains: { 'example.test': { catchAll: 'alice' } },
      plugins: [EVIL],
      throughput: { processes: 1, sessionThreads: 2 },
      shutdown: { graceMs: 1500 },
    },
  });
  await expect.poll(() => rig.log.all('server-process-ready'), LONG).toHaveLength(1);
  // Transactions that hold the stop up on the other thread, whichever that is.
  const open = await Promise.all(Array.from({ length: 12 }, () => smtpSession(rig.server.ports.smtp)));
  for (const talk of open) await talk.say('MAIL FROM:<>');
  await endThread(rig);
  process.kill(rig.server.pid, 'SIGTERM');
  expect(await rig.server.running.exited).toBe(0);
  expect(rig.log.all('server-stopped')).toHaveLength(1);
  expect(rig.log.all('server-process-killed')).toEqual([]);
});
