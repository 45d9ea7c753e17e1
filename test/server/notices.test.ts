/** Notices of the whole running server: a success that was asked for, and mail that comes back when its time is over. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, expect, test } from 'vitest';
import { maildirOf, type Posthorn, startPosthorn, waitForMail } from '../lib/server.ts';
import { sayAll, talkTo } from '../lib/talk.ts';

let server: Posthorn;
afterEach(async () => {
  await server.stop();
  server.remove();
});

/** The one message in a mailbox. */
async function mailOf(user: string): Promise<string> {
  expect(await waitForMail(server, user, 1)).toBe(1);
  const folder = join(maildirOf(server, user), 'new');
  return readFileSync(join(folder, readdirSync(folder)[0] ?? ''), 'utf8');
}

async function send(mail: string, rcpt: string): Promise<void> {
  const talk = await talkTo(server.ports.smtp);
  expect(await talk.say('EHLO client.test')).toMatch(/250-DSN\n250-DELIVERBY\n/);
  await sayAll(talk, [
    [`MAIL FROM:<alice@example.test> ${mail}`, '250'],
    [`RCPT TO:${rcpt}`, '250'],
    ['DATA', '354'],
    ['Subject: asked for\r\n\r\n.', '250'],
    ['QUIT', '221'],
  ]);
}

test('a success is told to who asked for it, once the message is in the mailbox', async () => {
  server = await startPosthorn({ users: { alice: 'secret', bob: 'secret' }, config: { throughput: { processes: 1 } } });
  await send('ENVID=QQ+3D1 RET=HDRS', '<bob@example.test> NOTIFY=SUCCESS ORCPT=rfc822;Bob@example.test');
  const notice = await mailOf('alice');
  expect(notice).toContain('Return-Path: <>');
  for (const field of ['Original-Envelope-Id: QQ=1', 'Original-Recipient: rfc822; Bob@example.test', 'Action: delivered']) {
    expect(notice).toContain(`\r\n${field}\r\n`);
  }
  expect(await waitForMail(server, 'bob', 1)).toBe(1);
});

test('mail comes back at its time, though the next attempt would be later (RFC 2852)', async () => {
  server = await startPosthorn({
    users: { alice: 'secret' },
    config: {
      throughput: { processes: 1 },
      // Nobody listens there: the next attempt would be in five minutes.
      relay: { from: ['127.0.0.0/8'], routes: [{ to: '*', via: 'smtp://127.0.0.1:1' }] },
    },
  });
  await send('BY=2;R', '<b@elsewhere.test>');
  const notice = await mailOf('alice');
  expect(notice).toMatch(/\r\nFinal-Recipient: rfc822; b@elsewhere\.test\r\nAction: failed\r\nStatus: 5\.4\.7\r\n/);
});
