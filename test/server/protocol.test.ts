/** What a client gets from the whole running server by BDAT, SMTPUTF8 and PRDR, and how soon. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { ServerLog } from '../lib/server-log.ts';
import { maildirOf, type Posthorn, startPosthorn } from '../lib/server.ts';
import { smtpSession } from '../lib/smtp-talk.ts';
import { sayAll, talkTo } from '../lib/talk.ts';

const log = new ServerLog();
let server: Posthorn;
beforeAll(async () => {
  server = await startPosthorn({
    users: { alice: 'secret', bob: 'secret' },
    config: {
      domains: { 'example.test': { aliases: { jörg: 'alice' } }, 'bücher.test': { aliases: { info: 'bob' } } },
      throughput: { processes: 1, spillBytes: 65536 },
    },
    onLog: log.read,
  });
});
afterAll(async () => {
  await server.stop();
  server.remove();
});

/** The newest messages of a user's mailbox, as they lie there. */
function mailOf(user: string): string[] {
  const folder = join(maildirOf(server, user), 'new');
  return readdirSync(folder)
    .sort()
    .map((name) => readFileSync(join(folder, name), 'latin1'));
}

test('a message in many chunks, larger than what is kept in memory, is delivered octet by octet', async () => {
  const talk = await smtpSession(server.ports.smtp);
  const delivered = log.next('delivery.delivered');
  const line = `${'0123456789'.repeat(7)}\r\n`;
  await sayAll(talk, [
    ['MAIL FROM:<sender@elsewhere.test>', '250'],
    ['RCPT TO:<alice@example.test>', '250'],
  ]);
  const header = 'Subject: in chunks\r\n\r\n';
  talk.send(`BDAT ${header.length}\r\n${header}`);
  expect(await talk.hear()).toBe(`250 2.0.0 Ok: ${header.length} octets`);
  const chunk = line.repeat(200);
  for (let count = 0; count < 20; count += 1) talk.send(`BDAT ${chunk.length}\r\n${chunk}`);
  for (let count = 0; count < 20; count += 1) expect(await talk.hear()).toBe(`250 2.0.0 Ok: ${chunk.length} octets`);
  expect(await talk.say('BDAT 5 LAST\r\n.end.')).toMatch(/^250 2\.0\.0 Ok: queued/);
  await delivered;
  expect(mailOf('alice').some((text) => text.endsWith(`\r\n${header}${chunk.repeat(20)}.end.\r\n`))).toBe(true);
});

test('addresses in UTF-8 reach mailboxes and aliases, the domain in either form', async () => {
  const talk = await smtpSession(server.ports.smtp);
  const delivered = log.next('delivery.delivered');
  await sayAll(talk, [
    ['MAIL FROM:<jürgen@bücher.test> SMTPUTF8', '250'],
    ['RCPT TO:<JÖRG@example.test>', '250'],
    ['RCPT TO:<info@BÜCHER.test>', '250'],
    ['RCPT TO:<info@xn--bcher-kva.test>', '250'],
    ['RCPT TO:<größe@bücher.test>', '550 5.1.1'],
    ['RSET', '250'],
    ['MAIL FROM:<jürgen@bücher.test> SMTPUTF8', '250'],
    ['RCPT TO:<JÖRG@example.test>', '250'],
    ['DATA', '354'],
    ['Subject: größer\r\n\r\n.', '250'],
  ]);
  await delivered;
  const text = Buffer.from(mailOf('alice').find((one) => one.includes('UTF8SMTP')) ?? '', 'latin1').toString('utf8');
  expect(text).toMatch(/^Return-Path: <jürgen@xn--bcher-kva\.test>\r\nDelivered-To: alice@example\.test\r\nReceived: /);
  expect(text).toContain('\r\nSubject: größer\r\n');
});

test('each recipient is answered where PRDR asked for it', async () => {
  const talk = await smtpSession(server.ports.smtp);
  await sayAll(talk, [
    ['MAIL FROM:<sender@elsewhere.test> PRDR', '250'],
    ['RCPT TO:<alice@example.test>', '250'],
    ['RCPT TO:<bob@example.test>', '250'],
    ['DATA', '354'],
    ['Subject: x\r\n\r\n.', '353'],
  ]);
  const replies = [await talk.hear(), await talk.hear(), await talk.hear()];
  expect(replies.map((reply) => reply.slice(0, 9))).toEqual(['250 2.1.5', '250 2.1.5', '250 2.0.0']);
});

test('a hundred sessions, one after the other, wait neither for a banner nor for QUIT', async () => {
  // At 100 ms each, as other software takes, it would be ten seconds.
  const startedAtMs = performance.now();
  for (let count = 0; count < 100; count += 1) {
    const talk = await talkTo(server.ports.smtp);
    expect(await talk.say('QUIT')).toMatch(/^221/);
    await talk.closed();
  }
  expect(performance.now() - startedAtMs).toBeLessThan(5000);
});
