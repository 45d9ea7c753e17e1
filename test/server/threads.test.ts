/**
 * Session threads and server processes that die under the whole running server: what they take along, what goes on
 * meanwhile, and how the dead are replaced. Kills at random moments under load are in test/crash.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, test, vi } from 'vitest';
import { startNumberedSink, startSender } from '../crash/numbered-mail.ts';
import { waitForPort } from '../lib/process.ts';
import { type Rig, startRig } from '../lib/rig.ts';
import { waitForMail } from '../lib/server.ts';
import { beginMessage, idIn, sendMessage, smtpSession } from '../lib/smtp-talk.ts';
import { sayAll, type Talk, talkTo } from '../lib/talk.ts';

/** In place: what it does to its thread it does to every session there. */
const EVIL = { [fileURLToPath(new URL('../lib/plugins/evil.ts', import.meta.url))]: { isolation: 'inline' } };
/** Whatever the plugin is told to do, there is a mailbox of that name. */
const CATCH_ALL = { 'example.test': { catchAll: 'alice' } };
const TO = 'alice@example.test';
const LONG = { timeout: 30_000 };
// Side by side each takes longer.
vi.setConfig({ testTimeout: 60_000, maxConcurrency: 6 });

/** Has the plugin end the thread that this session is on. */
async function endThread({ log, server }: Rig, way = 'exit', domain = 'example.test'): Promise<void> {
  const died = log.next('session-thread-died');
  const talk = await smtpSession(server.ports.smtp);
  talk.send(`MAIL FROM:<>\r\nRCPT TO:<${way}@${domain}>\r\n`);
  await Promise.all([talk.closed(), died]);
}

/** Puts a plugin's file beside the configuration and has the server take it up. */
async function addPlugin({ server }: Rig, file: string, code: string): Promise<void> {
  writeFileSync(join(server.folder, file), code);
  const config = JSON.parse(readFileSync(server.configFile, 'utf8')) as object;
  writeFileSync(server.configFile, JSON.stringify({ ...config, domains: CATCH_ALL, plugins: [`./${file}`] }));
  expect(await server.command('reload', '--config', server.configFile)).toMatchObject({ code: 0 });
}

/** Sends a message. @returns the thread or the slot of the session, as the log tells it */
async function whoTakes({ expect, log }: Rig, talk: Talk, field: 'thread' | 'slot'): Promise<number> {
  const id = idIn(await sendMessage(talk, TO));
  const line = () => log.all('smtp.accepted').find(({ message }) => message === id);
  await expect.poll(line, LONG).toBeDefined();
  return line()![field] as number;
}

/** Sessions that have sent a message each, until thread (or slot) 0 has two of them and 1 has one. */
async function sessionsOnBoth(rig: Rig, field: 'thread' | 'slot') {
  const found: [Talk[], Talk[]] = [[], []];
  while (found[0].length < 2 || found[1].length < 1) {
    const talk = await smtpSession(rig.server.ports.smtp);
    found[await whoTakes(rig, talk, field)]!.push(talk);
  }
  const [[first, ...beside], [other]] = found;
  return { first: first!, beside, other: other! };
}

const pidOf = ({ log }: Rig, slot: number) =>
  log.all('server-process-ready').findLast((line) => line['slot'] === slot)?.['serverPid'] as number;

const newThread = async (rig: Rig) => whoTakes(rig, await smtpSession(rig.server.ports.smtp), 'thread');

test.concurrent('a session thread that dies takes no acknowledged message with it, and is replaced', async (context) => {
  const sink = await startNumberedSink();
  context.onTestFinished(() => sink.close());
  const rig = await startRig(context, {
    config: {
      relay: { from: ['127.0.0.0/8'], tls: 'never', via: `smtp://127.0.0.1:${sink.port}` },
      queue: { retry: ['1s'] },
      plugins: [EVIL],
      throughput: { processes: 1, sessionThreads: 2 },
    },
  });
  const sender = startSender({ port: rig.server.ports.smtp, connections: 6, rate: 300, bodyBytes: 4000 });
  const someMore = () => context.expect.poll(() => sender.acknowledged.size, LONG).toBeGreaterThan(sender.acknowledged.size + 20);
  for (const way of ['exit', 'throws-outside', 'exit']) {
    await someMore();
    await endThread(rig, way, 'sink.test');
  }
  await someMore();
  await sender.stop();
  const missing = () => [...sender.acknowledged].filter((number) => !sink.came.has(number));
  await context.expect.poll(missing, LONG).toEqual([]);
  expect(rig.log.all('session-thread-died')).toHaveLength(3);
  expect(rig.log.all('server-process-died')).toEqual([]);
});

test.concurrent('what a dead thread had open is free again: its maildrop, and its count of connections', async (context) => {
  const rig = await startRig(context, {
    listener: { plaintextLogin: 'always' },
    config: { domains: CATCH_ALL, plugins: [EVIL], throughput: { processes: 1, sessionThreads: 1 } },
  });
  const { server } = rig;
  const fetching = await talkTo(server.ports.pop3);
  const login = [
    ['USER alice', '+OK'],
    ['PASS secret', '+OK'],
  ] as const;
  await sayAll(fetching, login);
  const second = await talkTo(server.ports.pop3);
  await expect(sayAll(second, login)).rejects.toThrow('[IN-USE]');
  await endThread(rig);
  await Promise.all([fetching.closed(), second.closed()]);
  await waitForPort(server.ports.pop3);
  await sayAll(await talkTo(server.ports.pop3), login);
  const connections = async () => {
    const { stdout } = await server.command('status', '--json', '--config', server.configFile);
    return (JSON.parse(stdout) as { connections: number }).connections;
  };
  await context.expect.poll(connections, LONG).toBe(1);
});

test.concurrent('a thread whose successor cannot start leaves the others alone, and is tried until it can', async (context) => {
  const rig = await startRig(context, { config: { throughput: { processes: 1, sessionThreads: 2 } } });
  const plugin = `import { definePlugin } from '@posthorn/sdk';
export default definePlugin({
  name: 'ender', version: '1.0.0',
  hooks: { rcpt: ({ recipient }) => (recipient.startsWith('exit@') ? process.exit(0) : undefined) },
});`;
  await addPlugin(rig, 'ender.ts', plugin);
  const { first, other } = await sessionsOnBoth(rig, 'thread');

  writeFileSync(join(rig.server.folder, 'ender.ts'), `throw new Error('not today');`);
  const notStarted = rig.log.next('session-thread-not-started');
  first.send('MAIL FROM:<>\r\nRCPT TO:<exit@example.test>\r\n');
  await first.closed();
  expect(await notStarted).toMatchObject({ problem: expect.stringContaining('not today') as string });
  expect(await sendMessage(other, TO)).toMatch(/^250/);

  writeFileSync(join(rig.server.folder, 'ender.ts'), plugin);
  await context.expect.poll(() => newThread(rig), LONG).toBeGreaterThan(1);
  expect(rig.log.all('server-process-died')).toEqual([]);
});

test.concurrent('an endless loop in place costs the sessions of its own thread alone, until the watchdog ends it', async (context) => {
  const rig = await startRig(context, {
    config: { domains: CATCH_ALL, plugins: [EVIL], throughput: { processes: 1, sessionThreads: 2 } },
  });
  const { first, beside, other } = await sessionsOnBoth(rig, 'thread');
  const startedAt = performance.now();
  const stuck = rig.log.next('session-thread-stuck');
  first.send('MAIL FROM:<>\r\nRCPT TO:<endless@example.test>\r\n');
  expect(await whoTakes(rig, other, 'thread')).toBe(1);
  expect(rig.log.all('session-thread-stuck')).toEqual([]);

  expect(await stuck).toMatchObject({ thread: 0 });
  await Promise.all([first, ...beside].map((talk) => talk.closed()));
  console.log(`threads: an endless loop in place was ended after ${(performance.now() - startedAt).toFixed(0)} ms`);
  expect(await whoTakes(rig, other, 'thread')).toBe(1);
  await context.expect.poll(() => newThread(rig), LONG).toBe(2);
  expect([...rig.log.all('server-process-died'), ...rig.log.all('smtp.failed')]).toEqual([]);
  const taken = rig.log.all('smtp.accepted').length;
  expect(await waitForMail(rig.server, 'alice', taken)).toBe(taken);
});

test.concurrent('a server process that is killed is back soon, and the other one meanwhile takes mail and sessions', async (context) => {
  const rig = await startRig(context, { config: { throughput: { processes: 2, sessionThreads: 1 } } });
  const { first, beside, other } = await sessionsOnBoth(rig, 'slot');
  expect(await beginMessage(other, TO)).toMatch(/^354/);
  const back = rig.log.next('server-process-ready', ({ slot }) => slot === 0);
  process.kill(pidOf(rig, 0), 'SIGKILL');
  await Promise.all([first, ...beside].map((talk) => talk.closed()));
  expect(await other.say('Subject: meanwhile\r\n\r\ntext\r\n.')).toMatch(/^250/);
  expect(await sendMessage(await smtpSession(rig.server.ports.smtp), TO)).toMatch(/^250/);
  expect(rig.log.all('server-process-ready')).toHaveLength(2);
  await back;
});

test.concurrent('a process that dies at every start is tried ever later while the other one serves, and is back once it can', async (context) => {
  const rig = await startRig(context, { config: { throughput: { processes: 2, sessionThreads: 1 } } });
  const plugin = `import { definePlugin } from '@posthorn/sdk';
export default definePlugin({ name: 'fragile', version: '1.0.0', hooks: { connect: () => undefined } });`;
  await addPlugin(rig, 'fragile.ts', plugin);

  writeFileSync(join(rig.server.folder, 'fragile.ts'), 'process.exit(3);');
  const waitsASecond = rig.log.next('server-process-died', ({ restartInMs }) => restartInMs === 1000);
  process.kill(pidOf(rig, 0), 'SIGKILL');
  await waitsASecond;
  expect(rig.log.all('server-process-died').map(({ slot, restartInMs }) => [slot, restartInMs])).toEqual([
    [0, 0],
    [0, 250],
    [0, 500],
    [0, 1000],
  ]);
  expect(await sendMessage(await smtpSession(rig.server.ports.smtp), TO)).toMatch(/^250/);

  const back = rig.log.next('server-process-ready', ({ slot }) => slot === 0);
  writeFileSync(join(rig.server.folder, 'fragile.ts'), plugin);
  await back;
});
