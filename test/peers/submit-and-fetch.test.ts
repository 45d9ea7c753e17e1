import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { missing } from '../lib/peers/install.ts';
import { type Posthorn, DOMAIN, startPosthorn } from '../lib/server.ts';
import { compareBelowTrace } from '../lib/trace-headers.ts';
import { type Account, type Fetcher, type Sender, type Security, fetchers, senders } from './clients.ts';

const USER = 'alice';
const PASSWORD = 'correct-horse-1';
const ADDRESS = `${USER}@${DOMAIN}`;

/** What breaks when somebody on the way counts, splits or doubles wrongly: dots, long lines, 8-bit, blank ends. */
const MESSAGE = Buffer.from(
  [
    'From: Alice <alice@example.test>',
    'To: Alice <alice@example.test>',
    'Date: Tue, 24 Nov 2026 10:00:00 +0000',
    'Message-ID: <peers-1@example.test>',
    'Subject: a folded',
    '\tsubject',
    'MIME-Version: 1.0',
    'Content-Type: text/plain; charset=utf-8',
    'Content-Transfer-Encoding: 8bit',
    '',
    '.',
    '..two dots',
    '.dot at the start, blank line next',
    '',
    'Grüße aus Zürich — ☃',
    'x'.repeat(998),
    '  leading and trailing blanks  ',
    '',
    'the end',
    '',
  ].join('\r\n'),
);

let server: Posthorn;
let accounts = 0;

beforeAll(async () => {
  server = await startPosthorn({ users: { [USER]: PASSWORD } });
});
afterAll(async () => {
  await server.stop();
  server.remove();
});

function account(kind: 'submission' | 'pop3', security: Security): Account {
  const folder = join(server.folder, `client-${accounts++}`);
  mkdirSync(folder);
  const port = security === 'starttls' ? server.ports[kind] : server.ports[`${kind}s`];
  return { security, host: 'localhost', port, user: USER, password: PASSWORD, certificateFile: server.certificateFile, folder };
}

const reference = {
  sender: senders.find(({ name }) => name === 'nodemailer')!,
  fetcher: fetchers.find(({ name }) => name === 'poplib')!,
};

/** Delivery comes after the 250: the maildrop is asked again until the message is in it. */
async function fetchSoon(fetcher: Fetcher, security: Security): Promise<Buffer> {
  await expect
    .poll(() => server.command('queue', 'list').then(({ stdout }) => stdout), { timeout: 10_000 })
    .not.toContain(ADDRESS);
  return fetcher.fetch(account('pop3', security));
}

async function roundTrip(sender: Sender, fetcher: Fetcher, security: Security): Promise<void> {
  await sender.send(account('submission', security), ADDRESS, ADDRESS, MESSAGE);
  const compared = compareBelowTrace(await fetchSoon(fetcher, security), MESSAGE);
  expect(compared).toEqual({ added: expect.arrayContaining(['Return-Path', 'Received']) as string[] });
}

describe.each(['starttls', 'implicit'] as const)('with AUTH and TLS (%s)', (security) => {
  describe.each(senders)('$name', (sender) => {
    const absent = missing([...sender.needs, ...reference.fetcher.needs]);
    if (absent.length > 0) console.warn(`NOT TESTED: ${sender.name} needs ${absent.join(', ')}`);
    it.skipIf(absent.length > 0)('submits a message that arrives byte for byte', () =>
      roundTrip(sender, reference.fetcher, security),
    );
  });
  describe.each(fetchers)('$name', (fetcher) => {
    const absent = missing(fetcher.needs);
    if (absent.length > 0) console.warn(`NOT TESTED: ${fetcher.name} needs ${absent.join(', ')}`);
    it.skipIf(absent.length > 0)('fetches a message byte for byte', () => roundTrip(reference.sender, fetcher, security));
  });
});
