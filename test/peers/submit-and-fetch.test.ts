import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Package, missing } from '../lib/peers/install.ts';
import { DOMAIN, type Posthorn, startPosthorn, waitForMail } from '../lib/server.ts';
import { compareBelowTrace } from '../lib/trace-headers.ts';
import { type Account, type Fetcher, type Sender, type Security, fetchers, senders } from './clients.ts';

const PASSWORD = 'correct-horse-1';

/** What breaks when somebody on the way counts, splits or doubles wrongly: dots, long lines, 8-bit, blank ends. */
const REST = Buffer.from(
  [
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
/** The sender is the login: no other is taken (RFC 6409 §6.1). */
const messageFrom = (address: string): Buffer => Buffer.concat([Buffer.from(`From: Alice <${address}>\r\n`), REST]);

const securities = ['starttls', 'implicit'] as const;
const reference = {
  sender: senders.find(({ name }) => name === 'nodemailer')!,
  fetcher: fetchers.find(({ name }) => name === 'poplib')!,
};
/** A user for each test, so that no maildrop holds what another test left. */
const userOf = (client: string, does: 'sends' | 'fetches', security: Security) => `${client}-${does}-${security}`;
const users = securities.flatMap((security) => [
  ...senders.map(({ name }) => userOf(name, 'sends', security)),
  ...fetchers.map(({ name }) => userOf(name, 'fetches', security)),
]);

let server: Posthorn;

beforeAll(async () => {
  server = await startPosthorn({ users: Object.fromEntries(users.map((user) => [user, PASSWORD])) });
});
afterAll(async () => {
  await server.stop();
  server.remove();
});

function account(user: string, kind: 'submission' | 'pop3', security: Security): Account {
  const folder = join(server.folder, 'clients', `${user}-${kind}`);
  mkdirSync(folder, { recursive: true });
  const port = security === 'starttls' ? server.ports[kind] : server.ports[`${kind}s`];
  return { security, host: 'localhost', port, user, password: PASSWORD, certificateFile: server.certificateFile, folder };
}

async function roundTrip(sender: Sender, fetcher: Fetcher, user: string, security: Security): Promise<void> {
  const address = `${user}@${DOMAIN}`;
  const message = messageFrom(address);
  await sender.send(account(user, 'submission', security), address, address, message);
  await waitForMail(server, user, 1);
  const compared = compareBelowTrace(await fetcher.fetch(account(user, 'pop3', security)), message);
  expect(compared).toEqual({ added: expect.arrayContaining(['Return-Path', 'Received']) as string[] });
}

function itWith(needs: readonly Package[], what: string, test: () => Promise<void>): void {
  const absent = missing(needs);
  if (absent.length > 0) console.warn(`NOT TESTED: ${what}: not installed: ${absent.join(', ')}`);
  it.skipIf(absent.length > 0)(what, test);
}

describe.each(securities)('with AUTH and TLS (%s)', (security) => {
  for (const sender of senders) {
    const user = userOf(sender.name, 'sends', security);
    itWith([...sender.needs, ...reference.fetcher.needs], `${sender.name} submits a message that arrives byte for byte`, () =>
      roundTrip(sender, reference.fetcher, user, security),
    );
  }
  for (const fetcher of fetchers) {
    const user = userOf(fetcher.name, 'fetches', security);
    itWith(fetcher.needs, `${fetcher.name} fetches a message byte for byte`, () =>
      roundTrip(reference.sender, fetcher, user, security),
    );
  }
});
