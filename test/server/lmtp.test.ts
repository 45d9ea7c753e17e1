/** LMTP and XCLIENT of the whole running server: into maildrops, and from a proxy that is listed. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, expect, test } from 'vitest';
import { ServerLog } from '../lib/server-log.ts';
import { maildirOf, type Posthorn, startPosthorn, waitForMail } from '../lib/server.ts';
import { sayAll, talkTo } from '../lib/talk.ts';
import { sendMessage } from '../lib/smtp-talk.ts';

const ONE_THREAD = { processes: 1, sessionThreads: 1 };

let server: Posthorn;
let other: Posthorn | undefined;
afterEach(async () => {
  for (const one of [server, other]) {
    await one?.stop();
    one?.remove();
  }
  other = undefined;
});

test('a message by LMTP is in each mailbox, and each recipient has its reply', async () => {
  server = await startPosthorn({
    users: { alice: 'secret', bob: 'secret' },
    listener: { protocol: 'lmtp' },
    config: { throughput: ONE_THREAD, relay: { from: ['127.0.0.0/8'] } },
  });
  const talk = await talkTo(server.ports.smtp);
  expect(talk.greeting).toBe('220 localhost LMTP Posthorn');
  await sayAll(talk, [
    ['EHLO client.test', '500'],
    ['LHLO client.test', '250'],
    ['MAIL FROM:<a@elsewhere.test>', '250'],
    ['RCPT TO:<alice@example.test>', '250'],
    ['RCPT TO:<nobody@example.test>', '550'],
    ['RCPT TO:<x@elsewhere.test>', '554'],
    ['RCPT TO:<bob@example.test>', '250'],
    ['DATA', '354'],
  ]);
  expect(await talk.say('Subject: for two\r\n\r\n.')).toMatch(/^250 2\.0\.0/);
  expect(await talk.hear()).toMatch(/^250 2\.0\.0/);
  await sayAll(talk, [['QUIT', '221']]);
  for (const user of ['alice', 'bob']) expect(await waitForMail(server, user, 1)).toBe(1);
  const { stdout } = await server.command('tls', 'check', server.configFile);
  expect(stdout).toMatch(/mx: lmtp on \S+, STARTTLS/);
  expect(stdout).toContain('TLSv1.3');
});

test('a proxy that is listed says whose session it is; another may not', async () => {
  const log = new ServerLog();
  server = await startPosthorn({
    users: { alice: 'secret' },
    listener: { xclientFrom: ['127.0.0.5'] },
    config: { throughput: ONE_THREAD, relay: { from: ['127.0.0.5'] } },
    onLog: log.read,
  });
  const proxy = await talkTo(server.ports.smtp, '127.0.0.5');
  expect(await proxy.say('EHLO proxy.test')).toContain('XCLIENT NAME ADDR PORT');
  const closed = log.next('smtp.closed', ({ client }) => client === '192.0.2.7');
  await sayAll(proxy, [
    ['XCLIENT NAME=client.test ADDR=192.0.2.7', '220'],
    ['EHLO said.test', '250'],
    ['MAIL FROM:<a@elsewhere.test>', '250'],
    // What the proxy might, its client may not.
    ['RCPT TO:<x@elsewhere.test>', '554'],
    ['RSET', '250'],
  ]);
  expect(await sendMessage(proxy, 'alice@example.test')).toMatch(/^250/);
  await sayAll(proxy, [['QUIT', '221']]);
  await closed;
  expect(await waitForMail(server, 'alice', 1)).toBe(1);
  const folder = join(maildirOf(server, 'alice'), 'new');
  const [name = ''] = readdirSync(folder);
  expect(readFileSync(join(folder, name), 'utf8')).toContain('Received: from said.test (client.test [192.0.2.7])');

  const other = await talkTo(server.ports.smtp, '127.0.0.6');
  expect(await other.say('EHLO client.test')).not.toContain('XCLIENT');
  expect(await other.say('XCLIENT ADDR=127.0.0.5')).toBe('550 5.7.0 Not authorized');
  other.leave();
});

test('one server delivers to the mailboxes of another by LMTP, over TLS', async () => {
  server = await startPosthorn({
    users: { alice: 'secret', bob: 'secret' },
    listener: { protocol: 'lmtp' },
    config: { throughput: ONE_THREAD },
  });
  const log = new ServerLog();
  other = await startPosthorn({
    users: {},
    config: { throughput: ONE_THREAD, domains: { 'example.test': { deliver: `lmtp://127.0.0.1:${server.ports.smtp}` } } },
    onLog: log.read,
  });
  const failed = log.next('delivery.failed', ({ recipient }) => recipient === 'nobody@example.test');
  const talk = await talkTo(other.ports.smtp);
  await sayAll(talk, [
    ['EHLO client.test', '250'],
    ['MAIL FROM:<>', '250'],
    ['RCPT TO:<alice@example.test>', '250'],
    ['RCPT TO:<nobody@example.test>', '250'],
    ['RCPT TO:<bob@example.test>', '250'],
    ['DATA', '354'],
    ['Subject: for two\r\n\r\n.', '250'],
    ['QUIT', '221'],
  ]);
  for (const user of ['alice', 'bob']) expect(await waitForMail(server, user, 1)).toBe(1);
  expect((await failed).reply).toMatch(/^550 5\.1\.1/);
  const folder = join(maildirOf(server, 'bob'), 'new');
  expect(readFileSync(join(folder, readdirSync(folder)[0]!), 'utf8')).toContain(' with LMTPS id ');
});
