/** SIGTERM on the whole running server: no new sessions, running ones get their time, nothing acknowledged is lost. */
import { afterEach, expect, test } from 'vitest';
import { ServerLog } from '../lib/server-log.ts';
import { type Posthorn, type PosthornOptions, startPosthorn, waitForMail } from '../lib/server.ts';
import { sayAll, talkTo } from '../lib/talk.ts';

let server: Posthorn | undefined;
afterEach(async () => {
  await server?.stop();
  server?.remove();
  server = undefined;
});

async function startLogged(config: PosthornOptions['config'] = {}) {
  const log = new ServerLog();
  server = await startPosthorn({ users: { alice: 'secret' }, onLog: log.read, config });
  return { server, log };
}

async function beginMessage(port: number) {
  const talk = await talkTo(port);
  await sayAll(talk, [
    ['EHLO client.test', '250'],
    ['MAIL FROM:<sender@elsewhere.test>', '250'],
    ['RCPT TO:<alice@example.test>', '250'],
    ['DATA', '354'],
  ]);
  return talk;
}

/** `closed` when nobody takes the connection. */
async function greetingOf(port: number): Promise<string> {
  try {
    return (await talkTo(port)).greeting;
  } catch {
    return 'closed';
  }
}

test('a message under way is taken, an idle session is told 421, nobody new comes in, and the process ends with 0', async () => {
  const started = await startLogged({ shutdown: { graceMs: 15_000 } });
  const { smtp, pop3 } = started.server.ports;
  const sending = await beginMessage(smtp);
  const idle = await talkTo(smtp);
  await sayAll(idle, [['EHLO client.test', '250']]);
  const fetching = await talkTo(pop3);

  const stopping = started.log.next('stopping');
  process.kill(started.server.pid, 'SIGTERM');
  await stopping;
  expect(await idle.closed()).toMatch(/^421 4\.3\.2/);
  await fetching.closed();
  expect(await greetingOf(smtp)).toMatch(/^(421|closed)/);
  sending.send('Subject: late\r\n\r\nbody\r\n');
  expect(await sending.say('.')).toMatch(/^250/);
  expect(await sending.closed()).toMatch(/^(250|421)/);
  expect(await started.server.running.exited).toBe(0);

  server = await started.server.restart();
  expect(await waitForMail(server, 'alice', 1)).toBe(1);
});

test('a session that never ends is cut off when the grace is over, with 421 wherever it stands', async () => {
  const started = await startLogged({ shutdown: { graceMs: 500 } });
  const hanging = await beginMessage(started.server.ports.smtp);
  hanging.send('Subject: never ends\r\n');
  const between = await talkTo(started.server.ports.smtp);
  await sayAll(between, [
    ['EHLO client.test', '250'],
    ['MAIL FROM:<sender@elsewhere.test>', '250'],
  ]);
  process.kill(started.server.pid, 'SIGTERM');
  for (const talk of [hanging, between]) expect(await talk.closed()).toMatch(/421 4\.3\.2 Service shutting down$/);
  expect(await started.server.running.exited).toBe(0);
});

test('a second SIGTERM ends everything at once, and what was acknowledged is delivered after the next start', async () => {
  const held = { shutdown: { graceMs: 60_000 }, throughput: { deliveryConcurrency: 0 } };
  const started = await startLogged(held);
  const talk = await beginMessage(started.server.ports.smtp);
  talk.send('Subject: kept\r\n\r\nbody\r\n');
  expect(await talk.say('.')).toMatch(/^250/);
  const hanging = await beginMessage(started.server.ports.smtp);

  const stopping = started.log.next('stopping');
  process.kill(started.server.pid, 'SIGTERM');
  await stopping;
  // Again and again, as somebody does who has no patience: those that come at once are taken for the first one.
  const impatience = setInterval(() => started.server.running.child.kill('SIGTERM'), 100);
  void started.server.running.exited.then(() => clearInterval(impatience));
  await hanging.closed();
  expect(await started.server.running.exited).not.toBe(0);

  server = await started.server.restart({});
  expect(await waitForMail(server, 'alice', 1)).toBe(1);
});
