/** Retention and quota in the whole running server. */
import { mkdirSync, readdirSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, expect, test } from 'vitest';
import { ServerLog } from '../lib/server-log.ts';
import { maildirOf, type Posthorn, startPosthorn, waitForMail } from '../lib/server.ts';
import { sayAll, talkTo } from '../lib/talk.ts';
import { sendMessage } from '../lib/smtp-talk.ts';

const ONE_THREAD = { processes: 1, sessionThreads: 1 };

let server: Posthorn;
afterEach(async () => {
  await server.stop();
  server.remove();
});

test('mail that is older than it is kept goes away, and EXPIRE says so', async () => {
  const log = new ServerLog();
  server = await startPosthorn({ users: { alice: 'secret' }, config: { throughput: ONE_THREAD } });
  const folder = join(maildirOf(server, 'alice'), 'new');
  mkdirSync(folder, { recursive: true });
  for (const [name, days] of [
    ['old', 8],
    ['young', 6],
  ] as const) {
    writeFileSync(join(folder, name), 'Subject: x\r\n\r\n');
    const at = Date.now() / 1000 - days * 86_400;
    utimesSync(join(folder, name), at, at);
  }
  await server.stop();
  const former = server;
  const expired = log.next('maildrop.expired', ({ user, messages }) => user === 'alice' && messages === 1);
  server = await startPosthorn({
    users: { alice: 'secret' },
    config: { throughput: ONE_THREAD, mailboxes: { retentionDays: 7 }, data: former.dataFolder },
    onLog: log.read,
  });
  await expired;
  expect(readdirSync(folder)).toEqual(['young']);
  const talk = await talkTo(server.ports.pop3);
  expect(await talk.say('CAPA')).toContain('+OK');
  const lines: string[] = [];
  for (let line = await talk.hear(); line !== '.'; line = await talk.hear()) lines.push(line);
  expect(lines).toContain('EXPIRE 7');
  await sayAll(talk, [['QUIT', '+OK']]);
  former.remove();
});

test('a full mailbox is told at RCPT, at the end of what told no size, and at the delivery of what others had room for', async () => {
  const log = new ServerLog();
  server = await startPosthorn({
    users: { alice: 'secret', bob: 'secret' },
    config: { throughput: ONE_THREAD, mailboxes: { quotaBytes: '2KiB', whenFull: 'reject' } },
    onLog: log.read,
  });
  const talk = await talkTo(server.ports.smtp);
  await sayAll(talk, [['EHLO client.test', '250']]);
  for (const count of [1, 2]) {
    expect(await sendMessage(talk, 'alice@example.test', 'x'.repeat(300))).toMatch(/^250/);
    expect(await waitForMail(server, 'alice', count)).toBe(count);
  }
  await sayAll(talk, [
    ['MAIL FROM:<a@elsewhere.test> SIZE=3000', '250'],
    ['RCPT TO:<alice@example.test>', '552 5.2.3'],
    ['RCPT TO:<postmaster@example.test>', '250'],
    ['RSET', '250'],
    ['MAIL FROM:<a@elsewhere.test> SIZE=1500', '250'],
    ['RCPT TO:<alice@example.test>', '552 5.2.2'],
    ['RSET', '250'],
  ]);
  // Without SIZE nobody knows until it is there.
  expect(await sendMessage(talk, 'alice@example.test', 'y'.repeat(950))).toMatch(/^552 5\.2\.2/);
  const failed = log.next('delivery.failed', ({ reply }) => String(reply).startsWith('550 5.2.2'));
  await sayAll(talk, [
    ['MAIL FROM:<a@elsewhere.test>', '250'],
    ['RCPT TO:<alice@example.test>', '250'],
    ['RCPT TO:<bob@example.test>', '250'],
    ['DATA', '354'],
    [`Subject: x\r\n\r\n${'y'.repeat(950)}\r\n.`, '250'],
  ]);
  await failed;
  expect(await waitForMail(server, 'alice', 2)).toBe(2);
  await sayAll(talk, [['QUIT', '221']]);
});
