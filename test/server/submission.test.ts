/** What submission does in the whole running server: who a user may be, what is added, and what nobody may read. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { ServerLog } from '../lib/server-log.ts';
import { maildirOf, type Posthorn, startPosthorn } from '../lib/server.ts';
import { smtpSession } from '../lib/smtp-talk.ts';
import { sayAll } from '../lib/talk.ts';

const log = new ServerLog();
let server: Posthorn;
beforeAll(async () => {
  server = await startPosthorn({
    users: { alice: 'secret', bob: 'secret' },
    listener: { plaintextLogin: 'always' },
    config: { domains: { 'example.test': { aliases: { office: ['alice', 'bob'] } } }, throughput: { processes: 1 } },
    onLog: log.read,
  });
});
afterAll(async () => {
  await server.stop();
  server.remove();
});

test('a user writes as himself, with Date and Message-ID and without Bcc, to an address of this machine, too', async () => {
  const talk = await smtpSession(server.ports.submission);
  const delivered = log.next('delivery.delivered');
  await sayAll(talk, [
    ['MAIL FROM:<alice@example.test>', '530 5.7.0'],
    [`AUTH PLAIN ${Buffer.from('\0alice\0secret').toString('base64')}`, '235'],
    ['MAIL FROM:<bob@example.test>', '550 5.7.1'],
    ['MAIL FROM:<alice+x@example.test>', '250'],
    ['RSET', '250'],
    ['MAIL FROM:<office@example.test>', '250'],
    ['RCPT TO:<bob@[127.0.0.1]>', '250'],
    ['DATA', '354'],
    ['From: Alice <alice@example.test>\r\nBcc: carol@elsewhere.test\r\nSubject: x\r\n\r\ntext\r\n.', '250'],
    ['VRFY bob@example.test', '252'],
    ['ETRN example.test', '502 5.5.1'],
  ]);
  await delivered;
  const folder = join(maildirOf(server, 'bob'), 'new');
  const [text = ''] = readdirSync(folder).map((name) => readFileSync(join(folder, name), 'latin1'));
  expect(text).toMatch(/^Return-Path: <office@example\.test>\r\nDelivered-To: bob@example\.test\r\nReceived: from /);
  expect(text).toMatch(/\r\nDate: \w{3}, \d{2} \w{3} \d{4} [\d:]{8} \+0000\r\nMessage-ID: <[\w.-]+@[\w.-]+>\r\nFrom: Alice/);
  expect(text).not.toContain('carol');
});
