/** TLS of the whole running server: changed files, tickets over processes and machines, broken handshakes. */
import { randomBytes, X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import { readFileSync, writeFileSync } from 'node:fs';
import { type AddressInfo, connect as connectPlain, createServer, type Socket } from 'node:net';
import { join } from 'node:path';
import { connect, type ConnectionOptions } from 'node:tls';
import { expect, test } from 'vitest';
import { makeCa } from '../lib/certificates.ts';
import { hear, openSocket } from '../lib/raw-socket.ts';
import { type Rig, startRig } from '../lib/rig.ts';

interface Seen {
  readonly fingerprint: string;
  readonly reused: boolean;
  readonly session: Buffer;
}

/** Ours: the rig looks for open ports from another one, and leaves handshakes unfinished, too. */
const FROM = '127.0.0.9';
const handshakeFailed = (log: Rig['log']) => log.next('tls-handshake-failed', ({ client }) => client === FROM);

/** A handshake and the greeting behind it, by which time a ticket has come. */
async function shake(port: number, options: ConnectionOptions = {}): Promise<Seen> {
  const socket = connect({ port, host: '127.0.0.1', rejectUnauthorized: false, ...options });
  let session: Buffer = Buffer.alloc(0);
  socket.on('session', (given: Buffer) => (session = given));
  try {
    const greeting = once(socket, 'data');
    await once(socket, 'secureConnect');
    await greeting;
    return { fingerprint: socket.getPeerCertificate().fingerprint256, reused: socket.isSessionReused(), session };
  } finally {
    socket.destroy();
  }
}

const open = (port: number) => openSocket(port, FROM);

test.concurrent('changed files are taken up while the server runs; a broken pair is not', async (context) => {
  const { server, log } = await startRig(context, { config: { tls: { checkEvery: 50 }, throughput: { processes: 2 } } });
  const ca = await makeCa('CA');
  const { certificate, key } = await ca.issue({ name: 'localhost', dns: ['localhost'] });
  const before = await shake(server.ports.submissions);
  const refused = log.next('certificates-not-changed');
  writeFileSync(join(server.folder, 'cert.pem'), certificate);
  expect((await refused)['problem']).toContain('key.pem is not the key of');
  expect((await shake(server.ports.submissions)).fingerprint).toBe(before.fingerprint);
  const changed = log.next('certificates-changed');
  writeFileSync(join(server.folder, 'key.pem'), key);
  await changed;
  // The message is on its way to the threads; each takes it up before its next connection but one.
  await expect.poll(async () => (await shake(server.ports.pop3s)).fingerprint).not.toBe(before.fingerprint);
  expect(log.all('reloaded')).toEqual([]);
});

test.concurrent('a session is taken up by every thread of every process', async (context) => {
  const { server } = await startRig(context, { config: { throughput: { processes: 2, sessionThreads: 2 } } });
  for (const maxVersion of ['TLSv1.3', 'TLSv1.2'] as const) {
    const { session } = await shake(server.ports.submissions, { maxVersion });
    for (let times = 0; times < 12; times++) {
      expect((await shake(server.ports.submissions, { maxVersion, session })).reused).toBe(true);
    }
    // Another listener is another service.
    expect((await shake(server.ports.pop3s, { maxVersion, session })).reused).toBe(false);
  }
});

test.concurrent('no client has a second handshake in the same connection', async (context) => {
  const { server } = await startRig(context, { config: { throughput: { processes: 1, sessionThreads: 1 } } });
  const socket = connect({ port: server.ports.pop3s, host: '127.0.0.1', rejectUnauthorized: false, maxVersion: 'TLSv1.2' });
  await hear(socket, '+OK');
  const refused = new Promise<Error>((resolve) => {
    socket.once('error', resolve);
    socket.renegotiate({}, (error) => {
      if (error !== null) resolve(error);
    });
  });
  expect((await refused).message).toMatch(/no renegotiation/);
  socket.destroy();
});

test.concurrent('a process that takes the place of a dead one has the certificates and tickets of today', async (context) => {
  const rig = await startRig(context, { config: { tls: { checkEvery: 50 }, throughput: { processes: 1, sessionThreads: 1 } } });
  const { server, log } = rig;
  const ca = await makeCa('CA');
  const { certificate, key } = await ca.issue({ name: 'localhost', dns: ['localhost'] });
  const changed = log.next('certificates-changed');
  writeFileSync(join(server.folder, 'cert.pem'), certificate);
  writeFileSync(join(server.folder, 'key.pem'), key);
  await changed;
  await expect
    .poll(async () => (await shake(server.ports.pop3s)).fingerprint)
    .toBe(new X509Certificate(certificate).fingerprint256);
  const { session, fingerprint } = await shake(server.ports.pop3s);
  const [ready] = log.all('server-process-ready');
  const again = log.next('server-process-ready');
  process.kill(Number(ready?.['serverPid']), 'SIGKILL');
  await again;
  expect(await shake(server.ports.pop3s, { session })).toMatchObject({ reused: true });
  expect((await shake(server.ports.pop3s)).fingerprint).toBe(fingerprint);
});

test.concurrent('machines with one secret take up the sessions of each other', async (context) => {
  const secret = randomBytes(32);
  const machine = async (mine: Buffer | undefined) => {
    const { server } = await startRig(context, { config: { throughput: { processes: 1, sessionThreads: 1 } } });
    if (mine === undefined) return server.ports.submissions;
    writeFileSync(join(server.folder, 'tickets'), mine);
    await server.stop();
    const config = { throughput: { processes: 1, sessionThreads: 1 }, tls: { ticketSecret: './tickets' } };
    const again = await server.restart(config);
    context.onTestFinished(async () => void (await again.stop()));
    return again.ports.submissions;
  };
  const [here, there, stranger] = await Promise.all([machine(secret), machine(secret), machine(undefined)]);
  const { session } = await shake(here);
  expect((await shake(there, { session })).reused).toBe(true);
  expect((await shake(stranger, { session })).reused).toBe(false);
});

test.concurrent('handshakes that come to nothing are ended in time and logged, and hurt nobody else', async (context) => {
  const { server, log } = await startRig(context, {
    listener: { timeouts: { handshakeMs: 2000 } },
    config: { throughput: { processes: 1, sessionThreads: 1 } },
  });
  const hello = Buffer.concat([Buffer.from('160301020001ffffff0303', 'hex'), randomBytes(506)]);
  const cases: readonly (readonly [string, (socket: Socket) => void, RegExp])[] = [
    ['plain text', (socket) => socket.write('EHLO client.test\r\n'), /wrong version number|http request|packet length/],
    ['a web browser', (socket) => socket.write('GET / HTTP/1.1\r\n\r\n'), /http request/],
    ['octets of any kind', (socket) => socket.write(Buffer.alloc(2048, 0xff)), /wrong version|record|length|number/],
    ['a hello of 16 MB', (socket) => socket.write(hello), /excessive message size/],
    ['the beginning of a hello', (socket) => socket.write(hello.subarray(0, 7)), /^took too long$/],
    ['silence', () => undefined, /^took too long$/],
    ['an end', (socket) => socket.end(), /^closed by the client$|ECONNRESET|disconnected/],
  ];
  for (const [name, act, cause] of cases) {
    const logged = handshakeFailed(log);
    const socket = await open(server.ports.pop3s);
    act(socket);
    expect((await logged)['cause'], name).toMatch(cause);
    socket.destroy();
  }
  // Often gone before anybody looks, and then nobody's.
  (await open(server.ports.pop3s)).resetAndDestroy();
  await shake(server.ports.pop3s);
  expect(log.all('session-thread-died')).toEqual([]);
  const status = JSON.parse((await server.command('status', '--config', server.configFile, '--json')).stdout) as object;
  expect(Number(/"pop3\.tls-failed":(\d+)/.exec(JSON.stringify(status))?.[1])).toBeGreaterThanOrEqual(cases.length);
});

test.concurrent('a listener that requires a client certificate takes nobody without, by STARTTLS either', async (context) => {
  const ca = await makeCa('clients');
  const alice = await ca.issue({ name: 'alice', email: ['alice@example.test'], use: 'client' });
  const { server, log } = await startRig(context, { config: { throughput: { processes: 1, sessionThreads: 1 } } });
  writeFileSync(join(server.folder, 'clients.pem'), ca.certificate);
  const config = JSON.parse(readFileSync(server.configFile, 'utf8')) as { listeners: object[] };
  const listeners = config.listeners.map((one) => ({ ...one, clientCertificates: 'require', clientCa: './clients.pem' }));
  writeFileSync(server.configFile, JSON.stringify({ ...config, listeners }));
  expect(await server.command('reload', '--config', server.configFile)).toMatchObject({ code: 0 });

  const failed = handshakeFailed(log);
  await expect(shakeOrClose(server.ports.submissions)).resolves.toBe('');
  expect((await failed)['cause']).toBe('client certificate: none was shown');
  const withOne = { cert: alice.certificate, key: alice.key };
  const logged = log.next('tls-client-certificate');
  await expect(shakeOrClose(server.ports.submissions, withOne)).resolves.toMatch(/^220 /);
  expect((await logged)['subjectAltNames']).toEqual(['email:alice@example.test']);

  const again = handshakeFailed(log);
  const plain = await open(server.ports.smtp);
  await hear(plain, '\r\n');
  plain.write('STARTTLS\r\n');
  await hear(plain, '220 2.0.0');
  const secure = connect({ socket: plain, rejectUnauthorized: false });
  secure.on('error', () => undefined);
  expect((await again)['cause']).toBe('client certificate: none was shown');
  secure.destroy();
});

/** What is said after a handshake, empty when the server closes at once. */
async function shakeOrClose(port: number, options: ConnectionOptions = {}): Promise<string> {
  const socket = connect({ socket: await open(port), rejectUnauthorized: false, ...options });
  socket.on('error', () => undefined);
  const said = await hear(socket, '\r\n');
  socket.destroy();
  return said;
}

test.concurrent('a session is closed within TLS before its connection is', async (context) => {
  const { server } = await startRig(context, { config: { throughput: { processes: 1, sessionThreads: 1 } } });
  let received = Buffer.alloc(0);
  const relay = createServer((client) => {
    const upstream = connectPlain({ port: server.ports.pop3s, host: '127.0.0.1' });
    upstream.on('data', (chunk: Buffer) => (received = Buffer.concat([received, chunk])));
    client.pipe(upstream).pipe(client);
    for (const socket of [client, upstream]) socket.on('error', () => undefined);
  }).listen(0, '127.0.0.1');
  context.onTestFinished(() => void relay.close());
  await once(relay, 'listening');
  const { port } = relay.address() as AddressInfo;
  // In TLS 1.2 the kind of a record can be read from outside.
  const socket = connect({ port, host: '127.0.0.1', rejectUnauthorized: false, maxVersion: 'TLSv1.2' });
  await hear(socket, '+OK');
  socket.write('QUIT\r\n');
  await once(socket, 'close');
  const kinds: number[] = [];
  for (let at = 0; at + 5 <= received.length; at += 5 + received.readUInt16BE(at + 3)) kinds.push(received[at]!);
  const [APPLICATION_DATA, ALERT] = [23, 21];
  expect(kinds.slice(-2)).toEqual([APPLICATION_DATA, ALERT]);
});
