/** What the whole running server says when something is short: disk, connections, memory for messages. */
import { existsSync, mkdtempSync, rmSync, statfsSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, expect, test } from 'vitest';
import { ServerLog } from '../lib/server-log.ts';
import { type Posthorn, startPosthorn } from '../lib/server.ts';
import { beginMessage, sendMessage, smtpSession } from '../lib/smtp-talk.ts';
import { sayAll, talkTo } from '../lib/talk.ts';

const MIB = 1024 * 1024;
const TO = 'alice@example.test';

let server: Posthorn;
let data: string | undefined;
afterEach(async () => {
  await server.stop();
  server.remove();
  if (data !== undefined) rmSync(data, { recursive: true });
  data = undefined;
});

/** How many connections the server counts: those that a test just left are still counted for a moment. */
async function connections(): Promise<number> {
  const { stdout } = await server.command('status', '--json', '--config', server.configFile);
  return (JSON.parse(stdout) as { connections: number }).connections;
}

test('a short disk refuses new mail, in new sessions and in those that run, while mailboxes can be emptied', async () => {
  // Where nobody else writes, if there is such a place: what is free must change by what this test does.
  data = mkdtempSync(join(existsSync('/dev/shm') ? '/dev/shm' : tmpdir(), 'posthorn-short-'));
  const { bavail, bsize } = statfsSync(data);
  const log = new ServerLog();
  server = await startPosthorn({
    users: { alice: 'secret' },
    listener: { plaintextLogin: 'always' },
    config: { data, queue: { minFreeBytes: bavail * bsize - 48 * MIB }, throughput: { processes: 1 } },
    onLog: log.read,
  });
  const running = await smtpSession(server.ports.smtp);
  const delivered = log.next('delivery.delivered');
  expect(await sendMessage(running, TO)).toMatch(/^250/);
  await delivered;
  const under = await smtpSession(server.ports.smtp);
  expect(await beginMessage(under, TO)).toMatch(/^354/);

  const short = log.next('disk-short');
  writeFileSync(join(data, 'ballast'), Buffer.alloc(96 * MIB));
  await short;
  expect((await talkTo(server.ports.smtp)).greeting).toBe('421 4.3.1 localhost short of disk space, try again later');
  expect(await beginMessage(running, TO)).toBe('452 4.3.1 Insufficient system storage');
  await sayAll(running, [
    ['RSET', '250'],
    ['NOOP', '250'],
  ]);
  // It was promised room by the 354.
  expect(await under.say('Subject: under way\r\n\r\ntext\r\n.')).toMatch(/^250/);
  const pop3 = await talkTo(server.ports.pop3);
  await sayAll(pop3, [
    ['USER alice', '+OK'],
    ['PASS secret', '+OK'],
    ['DELE 1', '+OK'],
    ['QUIT', '+OK'],
  ]);

  const enough = log.next('disk-enough-again');
  rmSync(join(data, 'ballast'));
  await enough;
  expect(await sendMessage(running, TO)).toMatch(/^250/);
  expect((await talkTo(server.ports.smtp)).greeting).toMatch(/^220/);
});

test('connections are limited for each client and in all, over all threads, each with its own reason', async () => {
  server = await startPosthorn({
    config: { throughput: { processes: 1, sessionThreads: 2, maxConnections: 5, maxConnectionsPerClient: 3 } },
  });
  const { smtp, pop3 } = server.ports;
  // The ports of implicit TLS were only looked at, without a handshake: that ends a connection like any other.
  await expect.poll(connections).toBe(0);
  const first = await Promise.all([smtp, smtp, pop3].map((port) => talkTo(port, '127.0.0.1')));
  expect(first.map(({ greeting }) => greeting.slice(0, 3))).toEqual(['220', '220', '+OK']);
  expect((await talkTo(smtp, '127.0.0.1')).greeting).toBe('421 4.7.0 localhost too many connections from your address');
  expect((await talkTo(pop3, '127.0.0.1')).greeting).toBe('-ERR [SYS/TEMP] too many connections from your address');

  const others = await Promise.all([smtp, smtp].map((port) => talkTo(port, '127.0.0.2')));
  expect(others.map(({ greeting }) => greeting.slice(0, 3))).toEqual(['220', '220']);
  expect((await talkTo(smtp, '127.0.0.3')).greeting).toBe('421 4.3.2 localhost too many connections, try again later');
  expect((await talkTo(pop3, '127.0.0.3')).greeting).toBe('-ERR [SYS/TEMP] too many connections, try again later');

  // Those that were refused left no count behind: one goes, one may come.
  await sayAll(others[0]!, [['QUIT', '221']]);
  await expect.poll(connections).toBe(4);
  expect((await talkTo(smtp, '127.0.0.3')).greeting).toMatch(/^220/);
  expect((await talkTo(smtp, '127.0.0.3')).greeting).toMatch(/^421 4\.3\.2/);
});

test('memory for messages that is used up defers the next message and spares those that have theirs', async () => {
  // Two pieces of 1 MiB, each cut into blocks of one size: a message of another size finds no room.
  server = await startPosthorn({
    users: { alice: 'secret' },
    config: { throughput: { processes: 1, sessionThreads: 1, messageMemoryBytes: 2 * MIB, spillBytes: MIB } },
  });
  const session = () => smtpSession(server.ports.smtp);
  const [large, middle, longer, small] = [await session(), await session(), await session(), await session()];
  expect(await beginMessage(large, TO, ' SIZE=64000')).toMatch(/^354/);
  expect(await beginMessage(middle, TO, ' SIZE=16000')).toMatch(/^354/);
  expect(await beginMessage(longer, TO, ' SIZE=16000')).toMatch(/^354/);
  expect(await beginMessage(small, TO)).toBe('452 4.3.1 Insufficient system storage');

  // It declared less than it sends: read to its end, and deferred.
  const body = `${'x'.repeat(98)}\r\n`.repeat(2000);
  longer.send(`Subject: longer than was said\r\n\r\n${body}`);
  expect(await longer.say('.')).toBe('452 4.3.1 Insufficient system storage');
  for (const one of [large, middle]) expect(await one.say('Subject: as said\r\n\r\ntext\r\n.')).toMatch(/^250/);
  await sayAll(small, [['RSET', '250']]);
  expect(await sendMessage(small, TO)).toMatch(/^250/);
  expect(await sendMessage(longer, TO, body)).toMatch(/^250/);
});
