import { mkdirSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import PostalMime from 'postal-mime';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Package, missing } from '../lib/peers/install.ts';
import { DOMAIN, type Posthorn, startPosthorn, waitForMail } from '../lib/server.ts';
import { compareBelowTrace } from '../lib/trace-headers.ts';
import type { Account, Fetcher, Mechanism, Security, Sender } from './clients/client.ts';
import { fetchers } from './clients/fetchers.ts';
import { senders } from './clients/senders.ts';
import { messageOf } from './message.ts';

const PASSWORD = 'correct-horse-1';
const TOKEN = 'token-for-';

/** The sender is the login: no other is taken (RFC 6409 §6.1). */
const messageFrom = (address: string): Buffer => messageOf('peers', { from: address, subject: 'a folded\r\n\tsubject' });

const securities = ['starttls', 'implicit'] as const;
const reference = {
  sender: senders.find(({ name }) => name === 'nodemailer')!,
  fetcher: fetchers.find(({ name }) => name === 'poplib')!,
};
/** A user for each test, so that no maildrop holds what another test left. */
const userOf = (client: string, does: 'sends' | 'fetches', security: Security, mechanism: Mechanism) =>
  `${client.replaceAll('::', '-')}-${does}-${security}-${mechanism}`.toLowerCase();
const users = securities.flatMap((security) => [
  ...senders.flatMap(({ name, mechanisms }) => mechanisms.map((mechanism) => userOf(name, 'sends', security, mechanism))),
  ...fetchers.flatMap(({ name, mechanisms }) => mechanisms.map((mechanism) => userOf(name, 'fetches', security, mechanism))),
]);

let server: Posthorn;
/** Stands for who gives out tokens (RFC 7662): that of a user is `token-for-` and his name. */
let issuer: Server;

beforeAll(async () => {
  issuer = createServer((request, response) => {
    void text(request).then((asked) => {
      const token = new URLSearchParams(asked).get('token') ?? '';
      response.end(JSON.stringify({ active: token.startsWith(TOKEN), username: token.slice(TOKEN.length) }));
    });
  });
  await new Promise<void>((resolve) => issuer.listen(0, '127.0.0.1', resolve));
  const { port } = issuer.address() as AddressInfo;
  server = await startPosthorn({
    users: Object.fromEntries(users.map((user) => [user, PASSWORD])),
    everyMechanism: true,
    config: { auth: { oauth: { introspection: `http://127.0.0.1:${port}/` } } },
  });
});
afterAll(async () => {
  await server.stop();
  server.remove();
  issuer.close();
});

function account(user: string, kind: 'submission' | 'pop3', security: Security, mechanism: Mechanism): Account {
  const folder = join(server.folder, 'clients', `${user}-${kind}`);
  mkdirSync(folder, { recursive: true });
  const port = security === 'starttls' ? server.ports[kind] : server.ports[`${kind}s`];
  const { certificateFile } = server;
  const password = mechanism === 'OAUTHBEARER' || mechanism === 'XOAUTH2' ? `${TOKEN}${user}` : PASSWORD;
  return { security, mechanism, host: 'localhost', port, user, password, certificateFile, folder };
}

async function roundTrip(
  sender: { readonly program: Sender; readonly mechanism: Mechanism },
  fetcher: { readonly program: Fetcher; readonly mechanism: Mechanism },
  user: string,
  security: Security,
): Promise<void> {
  const address = `${user}@${DOMAIN}`;
  const message = messageFrom(address);
  await sender.program.send(account(user, 'submission', security, sender.mechanism), address, address, message);
  await waitForMail(server, user, 1);
  const fetched = await fetcher.program.fetch(account(user, 'pop3', security, fetcher.mechanism));
  if (sender.program.composes === true) {
    const { subject, text: body, from } = await PostalMime.parse(fetched);
    const bodyStart = message.indexOf('\r\n\r\n') + 4;
    expect({ subject, text: body, from: from?.address }).toEqual({
      subject: 'a folded',
      text: message.toString('utf8', bodyStart).replaceAll('\r\n', '\n'),
      from: address,
    });
    return;
  }
  const compared = compareBelowTrace(fetched, message);
  expect(compared).toEqual({ added: expect.arrayContaining(['Return-Path', 'Received']) as string[] });
}

function itWith(needs: readonly Package[], what: string, test: () => Promise<void>): void {
  const absent = missing(needs);
  if (absent.length > 0) console.warn(`NOT TESTED: ${what}: not installed: ${absent.join(', ')}`);
  it.skipIf(absent.length > 0)(what, { concurrent: true }, test);
}

describe.each(securities)('with TLS (%s)', (security) => {
  for (const sender of senders) {
    const needs = [...sender.needs, ...reference.fetcher.needs];
    for (const mechanism of sender.mechanisms) {
      const user = userOf(sender.name, 'sends', security, mechanism);
      itWith(needs, `${sender.name} submits a message by ${mechanism} that arrives whole`, () =>
        roundTrip({ program: sender, mechanism }, { program: reference.fetcher, mechanism: 'USER' }, user, security),
      );
    }
  }
  for (const fetcher of fetchers.filter(({ securities: only }) => only?.includes(security) ?? true)) {
    for (const mechanism of fetcher.mechanisms.filter((one) => one !== 'APOP' || security === 'implicit')) {
      const user = userOf(fetcher.name, 'fetches', security, mechanism);
      itWith(fetcher.needs, `${fetcher.name} fetches a message by ${mechanism} byte for byte`, () =>
        roundTrip({ program: reference.sender, mechanism: 'PLAIN' }, { program: fetcher, mechanism }, user, security),
      );
    }
  }
});
