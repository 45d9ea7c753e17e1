/** REQUIRETLS (RFC 8689) over three programs: a client that speaks it, a Posthorn that relays, and one that keeps the mail. */
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createTransport } from 'nodemailer';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { tempFolder } from '../lib/process.ts';
import { ServerLog } from '../lib/server-log.ts';
import { maildirOf, type Posthorn, startPosthorn, waitForMail } from '../lib/server.ts';
import { testCertificate } from '../lib/test-certificate.ts';

const folder = tempFolder('require-tls');
const log = new ServerLog();
let keeper: Posthorn;
let relay: Posthorn;

beforeAll(async () => {
  const trusted = join(folder.path, 'ca.pem');
  writeFileSync(trusted, testCertificate.cert);
  keeper = await startPosthorn({
    users: { bob: 'secret' },
    config: { domains: { 'kept.test': { aliases: { bob: 'bob@example.test' } } }, throughput: { processes: 1 } },
  });
  const via = { to: 'kept.test', via: `smtp://localhost:${keeper.ports.smtp}` };
  const unproven = { to: 'unproven.test', via: `smtp://other.localhost:${keeper.ports.smtp}` };
  relay = await startPosthorn({
    users: { alice: 'secret' },
    config: { relay: { routes: [via, unproven] }, throughput: { processes: 1 } },
    onLog: log.read,
    wrap: (command) => ['env', `NODE_EXTRA_CA_CERTS=${trusted}`, ...command],
  });
});
afterAll(async () => {
  await Promise.all([relay, keeper].map((server) => server.stop()));
  for (const server of [relay, keeper]) server.remove();
  folder.remove();
});

async function send(to: string): Promise<void> {
  const transport = createTransport({
    host: 'localhost',
    port: relay.ports.submission,
    requireTLS: true,
    tls: { ca: testCertificate.cert },
    auth: { user: 'alice', pass: 'secret' },
  });
  await transport.sendMail({ from: 'alice@example.test', to, subject: 'secret', text: 'x', requireTLSExtensionEnabled: true });
  transport.close();
}

function mailOf(server: Posthorn, user: string): string {
  const box = join(maildirOf(server, user), 'new');
  return readFileSync(join(box, readdirSync(box)[0]!), 'latin1');
}

test('goes on over TLS to a host of the configuration that has proven its name, asked for there, too', async () => {
  const delivered = log.next('delivery.delivered');
  await send('bob@kept.test');
  await waitForMail(keeper, 'bob', 1);
  expect(mailOf(keeper, 'bob')).toMatch(/^Received: from \S+ .*\r?\n\t\(using TLS.*\r?\n\tby .* with ESMTPS /m);
  expect(await delivered).toMatchObject({ nextHop: expect.stringMatching(/^localhost\[/) });
});

test('comes back to its sender here when the host proves another name', async () => {
  await send('bob@unproven.test');
  await waitForMail(relay, 'alice', 1);
  const bounce = mailOf(relay, 'alice');
  expect(bounce).toMatch(/^Status: 5\.7\.10\r?$/m);
  expect(bounce).toMatch(/^Subject: secret\r?$/m);
});
