/** Listeners and certificate over a reload of the whole running server: taken out, put in, and a port that cannot be had. */
import { readFileSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { connect } from 'node:tls';
import { ensureCertificate } from '@posthorn/workers/supervisor/certificate';
import { expect, test, type TestContext } from 'vitest';
import { freePorts } from '../lib/process.ts';
import { type Rig, startRig } from '../lib/rig.ts';
import { waitForMail } from '../lib/server.ts';
import { beginMessage, sendMessage, smtpSession } from '../lib/smtp-talk.ts';
import { type Talk, talkTo } from '../lib/talk.ts';

const TO = 'alice@example.test';
const LATE = 'Subject: late\r\n\r\ntext\r\n.';

const start = (context: TestContext) =>
  startRig(context, { config: { throughput: { processes: 1, sessionThreads: 2 }, shutdown: { graceMs: 500 } } });

/** Moves the listener `mx` to another port, or back, and has the server read that. */
async function moveMx({ server }: Rig, port: number) {
  const config = JSON.parse(readFileSync(server.configFile, 'utf8')) as { listeners: { name: string; address: string }[] };
  const listeners = config.listeners.map((one) => (one.name === 'mx' ? { ...one, address: `127.0.0.1:${port}` } : one));
  writeFileSync(server.configFile, JSON.stringify({ ...config, listeners }));
  return server.command('reload', '--config', server.configFile);
}

async function openPort(): Promise<number> {
  const [port] = await freePorts(1);
  return port!;
}

async function midMessage({ server }: Rig): Promise<Talk> {
  const talk = await smtpSession(server.ports.smtp);
  expect(await beginMessage(talk, TO)).toMatch(/^354/);
  return talk;
}

test.concurrent('a new listener opens, and the one that is gone lets a message under way come to its end', async (context) => {
  const rig = await start(context);
  const { server } = rig;
  const running = await midMessage(rig);
  const idle = await smtpSession(server.ports.smtp);
  const port = await openPort();
  expect(await moveMx(rig, port)).toMatchObject({ code: 0 });
  expect(await idle.closed()).toMatch(/^421 4\.3\.2/);
  await expect(talkTo(server.ports.smtp)).rejects.toThrow();
  expect(await sendMessage(await smtpSession(port), TO)).toMatch(/^250/);
  expect(await running.say(LATE)).toMatch(/^250/);
  expect(await running.closed()).toMatch(/^421 4\.3\.2/);
  expect(await waitForMail(server, 'alice', 2)).toBe(2);
});

test.concurrent('a session of a listener that is gone holds the stop up no longer than any other', async (context) => {
  const rig = await start(context);
  const { server } = rig;
  const running = await midMessage(rig);
  expect(await moveMx(rig, await openPort())).toMatchObject({ code: 0 });
  const startedAt = performance.now();
  process.kill(server.pid, 'SIGTERM');
  await running.closed();
  expect(await server.running.exited).toBe(0);
  expect(performance.now() - startedAt).toBeLessThan(4000);
});

test.concurrent('a port that another program has is named, and the old listeners stay', async (context) => {
  const rig = await start(context);
  const { server } = rig;
  const other = createServer();
  await new Promise<void>((resolve) => other.listen(0, '127.0.0.1', resolve));
  const address = other.address();
  if (address === null || typeof address === 'string') throw new Error('no port');
  const told = await moveMx(rig, address.port);
  expect(told.code).toBe(1);
  expect(told.stderr).toContain(`listener mx: 127.0.0.1:${address.port} is in use by another program`);
  expect(await sendMessage(await smtpSession(server.ports.smtp), TO)).toMatch(/^250/);

  await new Promise((resolve) => other.close(resolve));
  expect(await moveMx(rig, address.port)).toMatchObject({ code: 0 });
  expect(await sendMessage(await smtpSession(address.port), TO)).toMatch(/^250/);
});

async function certificateSeen({ server }: Rig): Promise<string> {
  const socket = connect({ port: server.ports.submissions, host: '127.0.0.1', rejectUnauthorized: false });
  await new Promise<void>((resolve, reject) => socket.once('secureConnect', resolve).once('error', reject));
  const { fingerprint256 } = socket.getPeerCertificate();
  socket.destroy();
  return fingerprint256;
}

test.concurrent('new sessions get the new certificate; one that does not go with its key leaves the old one in force', async (context) => {
  const rig = await start(context);
  const { server } = rig;
  const reload = () => server.command('reload', '--config', server.configFile);
  const first = await certificateSeen(rig);
  const { certificate, key } = await ensureCertificate(join(server.folder, 'new'), 'localhost', Date.now());
  writeFileSync(join(server.folder, 'cert.pem'), certificate);
  expect((await reload()).stderr).toContain('key.pem is not the key of');
  expect(await certificateSeen(rig)).toBe(first);
  writeFileSync(join(server.folder, 'key.pem'), key);
  expect(await reload()).toMatchObject({ code: 0 });
  expect(await certificateSeen(rig)).not.toBe(first);
});
