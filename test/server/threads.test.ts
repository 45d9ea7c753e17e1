/**
 * Session threads and server processes that die under the whole running server: what they take along, what goes on
 * meanwhile, and how the dead are replaced. Kills at random moments under load are in test/crash.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, expect, test } from 'vitest';
import { startNumberedSink, startSender } from '../crash/numbered-mail.ts';
import { waitForPort } from '../lib/process.ts';
import { ServerLog } from '../lib/server-log.ts';
import { type Posthorn, type PosthornOptions, startPosthorn, waitForMail } from '../lib/server.ts';
import { beginMessage, idIn, sendMessage, smtpSession } from '../lib/smtp-talk.ts';
import { sayAll, type Talk, talkTo } from '../lib/talk.ts';

/** In place: what it does to its thread it does to every session there. */
const EVIL = { [fileURLToPath(new URL('../lib/plugins/evil.ts', import.meta.url))]: { isolation: 'inline' } };
/** Whatever the plugin is told to do, there is a mailbox of that name. */
const CATCH_ALL = { 'example.test': { catchAll: 'alice' } };
const TO = 'alice@example.test';
const LONG = { timeout: 20_000 };

let log: ServerLog;
let server: Posthorn;
afterEach(async () => {
  await server.stop();
  server.remove();
});

async function startLogged(options: PosthornOptions): Promise<void> {
  log = new ServerLog();
  server = await startPosthorn({ users: { alice: 'secret' }, onLog: log.read, ...options });
}

/** Has the plugin end the thread that this session is on. */
async function endThread(way = 'exit', domain = 'example.test'): Promise<void> {
  const died = log.next('session-thread-died');
  const talk = await smtpSession(server.ports.smtp);
  talk.send(`MAIL FROM:<>\r\nRCPT TO:<${way}@${domain}>\r\n`);
  await Promise.all([talk.closed(), died]);
}

/** The field of the log line that tells who took the message of this reply. */
async function whoTook(reply: string, field: 'thread' | 'slot'): Promise<unknown> {
  const id = idIn(reply);
  const line = () => log.all('smtp.accepted').find(({ message }) => message === id);
  await expect.poll(line).toBeDefined();
  return line()![field];
}

/** Sessions that have sent a message each, until each of two threads, or of two slots, has one. */
async function sessionsOnBoth(field: 'thread' | 'slot'): Promise<[Talk, Talk]> {
  const found = new Map<unknown, Talk>();
  while (found.size < 2) {
    const talk = await smtpSession(server.ports.smtp);
    found.set(await whoTook(await sendMessage(talk, TO), field), talk);
  }
  const [first, second] = [...found].toSorted(([a], [b]) => Number(a) - Number(b));
  return [first![1], second![1]];
}

const pidOf = (slot: number) =>
  log.all('server-process-ready').findLast((line) => line['slot'] === slot)?.['serverPid'] as number;

test('a session thread that dies takes no acknowledged message with it, and is replaced', async () => {
  const sink = await startNumberedSink();
  await startLogged({
    config: {
      relay: { from: ['127.0.0.0/8'], tls: 'never', via: `smtp://127.0.0.1:${sink.port}` },
      queue: { retry: ['1s'] },
      plugins: [EVIL],
      throughput: { processes: 1, sessionThreads: 2 },
    },
  });
  const sender = startSender({ port: server.ports.smtp, connections: 6, rate: 300, bodyBytes: 4000 });
  for (const way of ['exit', 'throws-outside', 'exit']) {
    const before = sender.acknowledged.size;
    await expect.poll(() => sender.acknowledged.size, LONG).toBeGreaterThan(before + 20);
    await endThread(way, 'sink.test');
  }
  const before = sender.acknowledged.size;
  await expect.poll(() => sender.acknowledged.size, LONG).toBeGreaterThan(before + 20);
  await sender.stop();
  const missing = () => [...sender.acknowledged].filter((number) => !sink.came.has(number));
  await expect.poll(missing, LONG).toEqual([]);
  await sink.close();
  expect(log.all('session-thread-died')).toHaveLength(3);
  expect(log.all('server-process-died')).toEqual([]);
});

test('what a dead thread had open is free again: its maildrop, and its count of connections', async () => {
  await startLogged({
    listener: { plaintextLogin: 'always' },
    config: { domains: CATCH_ALL, plugins: [EVIL], throughput: { processes: 1, sessionThreads: 1 } },
  });
  const fetching = await talkTo(server.ports.pop3);
  const login = [
    ['USER alice', '+OK'],
    ['PASS secret', '+OK'],
  ] as const;
  await sayAll(fetching, login);
  const second = await talkTo(server.ports.pop3);
  await expect(sayAll(second, login)).rejects.toThrow('[IN-USE]');
  await endThread();
  await Promise.all([fetching.closed(), second.closed()]);
  await waitForPort(server.ports.pop3);
  const again = await talkTo(server.ports.pop3);
  await sayAll(again, login);
  const connections = async () => {
    const { stdout } = await server.command('status', '--json', '--config', server.configFile);
    return (JSON.parse(stdout) as { connections: number }).connections;
  };
  await expect.poll(connections).toBe(1);
});

test('a thread whose successor cannot start leaves the others alone, and is tried until it can', async () => {
  await startLogged({ config: { throughput: { processes: 1, sessionThreads: 2 } } });
  const file = join(server.folder, 'ender.ts');
  const plugin = `import { definePlugin } from '@posthorn/sdk';
export default definePlugin({
  name: 'ender', version: '1.0.0',
  hooks: { rcpt: ({ recipient }) => (recipient.startsWith('exit@') ? process.exit(0) : undefined) },
});`;
  writeFileSync(file, plugin);
  const config = JSON.parse(readFileSync(server.configFile, 'utf8')) as object;
  writeFileSync(server.configFile, JSON.stringify({ ...config, domains: CATCH_ALL, plugins: ['./ender.ts'] }));
  expect(await server.command('reload', '--config', server.configFile)).toMatchObject({ code: 0 });
  const [guilty, other] = await sessionsOnBoth('thread');

  writeFileSync(file, `throw new Error('not today');`);
  const notStarted = log.next('session-thread-not-started');
  guilty.send('MAIL FROM:<>\r\nRCPT TO:<exit@example.test>\r\n');
  await guilty.closed();
  expect(await notStarted).toMatchObject({ problem: expect.stringContaining('not today') as string });
  expect(await sendMessage(other, TO)).toMatch(/^250/);

  writeFileSync(file, plugin);
  const newThread = async () => whoTook(await sendMessage(await smtpSession(server.ports.smtp), TO), 'thread');
  await expect.poll(newThread, LONG).toBeGreaterThan(1);
  expect(log.all('server-process-died')).toEqual([]);
});

test('a server process that is killed is back soon, while the other one goes on with its sessions and takes new ones', async () => {
  await startLogged({ config: { throughput: { processes: 2, sessionThreads: 1 } } });
  const [lost, kept] = await sessionsOnBoth('slot');
  expect(await beginMessage(kept, TO)).toMatch(/^354/);
  const back = log.next('server-process-ready', ({ slot }) => slot === 0);
  const killedAt = performance.now();
  process.kill(pidOf(0), 'SIGKILL');
  await lost.closed();
  expect(await kept.say('Subject: meanwhile\r\n\r\ntext\r\n.')).toMatch(/^250/);
  const fresh = await smtpSession(server.ports.smtp);
  expect(await sendMessage(fresh, TO)).toMatch(/^250/);
  expect(log.all('server-process-ready')).toHaveLength(2);
  await back;
  console.log(`threads: a killed server process was back after ${(performance.now() - killedAt).toFixed(0)} ms`);
  const taken = log.all('smtp.accepted').length;
  expect(await waitForMail(server, 'alice', taken)).toBe(taken);
});

test('a process that dies at every start is tried ever later, while the other one serves, and is back once it can', async () => {
  await startLogged({ config: { throughput: { processes: 2, sessionThreads: 1 } } });
  const file = join(server.folder, 'fragile.ts');
  const plugin = `import { definePlugin } from '@posthorn/sdk';
export default definePlugin({ name: 'fragile', version: '1.0.0', hooks: { connect: () => undefined } });`;
  writeFileSync(file, plugin);
  const config = JSON.parse(readFileSync(server.configFile, 'utf8')) as object;
  writeFileSync(server.configFile, JSON.stringify({ ...config, plugins: ['./fragile.ts'] }));
  expect(await server.command('reload', '--config', server.configFile)).toMatchObject({ code: 0 });

  writeFileSync(file, 'process.exit(3);');
  const waitsASecond = log.next('server-process-died', ({ restartInMs }) => restartInMs === 1000);
  process.kill(pidOf(0), 'SIGKILL');
  await waitsASecond;
  const deaths = log.all('server-process-died');
  expect(deaths.map(({ slot, restartInMs }) => [slot, restartInMs])).toEqual([
    [0, 0],
    [0, 250],
    [0, 500],
    [0, 1000],
  ]);
  expect(await sendMessage(await smtpSession(server.ports.smtp), TO)).toMatch(/^250/);

  const back = log.next('server-process-ready', ({ slot }) => slot === 0);
  writeFileSync(file, plugin);
  await back;
});
