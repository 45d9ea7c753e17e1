/** `posthorn queue` beside the running server, with a next hop that keeps it waiting. */
import { expect, test } from 'vitest';
import { startRig } from '../lib/rig.ts';
import { idIn, sendMessage, smtpSession } from '../lib/smtp-talk.ts';
import { startSink } from '../lib/smtp-sink.ts';
import { sayAll } from '../lib/talk.ts';

test.concurrent('what is removed is gone, or said to be under way: it was said to be gone, and went out all the same', async (context) => {
  const sink = await startSink({ script: { dot: 'silent' } });
  context.onTestFinished(() => sink.close());
  const config = {
    relay: { from: ['127.0.0.0/8'], via: `smtp://127.0.0.1:${sink.port}`, tls: 'never' },
    throughput: { processes: 1, deliveryConcurrency: 1, deliveryConcurrencyPerDestination: 1 },
    shutdown: { graceMs: 300 },
  };
  const rig = await startRig(context, { config });
  const queue = async (...args: string[]) => {
    const { stdout, stderr } = await rig.server.command('queue', ...args, '--config', rig.server.configFile);
    return stdout + stderr;
  };
  const session = await smtpSession(rig.server.ports.smtp);
  const send = async (name: string) => idIn(await sendMessage(session, `${name}@sink.test`));
  const sent = await send('sent');
  await context.expect.poll(() => sink.commands).toContain('0 DATA');
  const second = await send('second');
  const ready = await send('ready');
  await context.expect.poll(() => queue('list')).toMatch(new RegExp(`^${ready} .* in delivery: being sent, or in line$`, 'm'));

  for (const id of [ready, second]) expect(await queue('remove', id)).toBe(`${id} is removed\n`);
  const underWay = `${sent} is being delivered now; it is forgotten if this attempt does not deliver it\n`;
  // It said that there was no such message.
  for (let time = 0; time < 2; time++) expect(await queue('remove', sent)).toBe(underWay);
  expect(await queue('remove', ready)).toBe(`posthorn: there is no message ${ready} in the queue\n`);
  expect(await queue('list')).toMatch(new RegExp(`^${sent} .*\n$`));

  const rest = await send('rest');
  await rig.server.stop();
  await rig.restart(config);
  await context.expect.poll(() => queue('list')).toMatch(new RegExp(`^${rest} .*\n$`));
});

test.concurrent('recipients that were put off together go as one copy again: each went alone', async (context) => {
  let attempts = 0;
  const sink = await startSink({ script: { dot: () => (attempts++ === 0 ? '451 4.7.1 greylisted' : undefined) } });
  context.onTestFinished(() => sink.close());
  const config = {
    relay: { from: ['127.0.0.0/8'], via: `smtp://127.0.0.1:${sink.port}`, tls: 'never' },
    queue: { retry: ['1s'] },
  };
  const rig = await startRig(context, { config });
  const session = await smtpSession(rig.server.ports.smtp);
  const to = Array.from({ length: 20 }, (_, index) => `r${index}@sink.test`);
  await sayAll(session, [
    ['MAIL FROM:<sender@elsewhere.test>', '250'],
    ...to.map((address) => [`RCPT TO:<${address}>`, '250'] as const),
    ['DATA', '354'],
    ['From: <sender@elsewhere.test>\r\n\r\ntext\r\n.', '250'],
  ]);
  await sink.waitFor(1);
  expect(sink.messages.map((one) => one.to)).toEqual([to]);
});

test.concurrent('list says why a message waits', async (context) => {
  const sink = await startSink({ script: { RCPT: '451 4.7.1 greylisted' } });
  context.onTestFinished(() => sink.close());
  const config = { relay: { from: ['127.0.0.0/8'], via: `smtp://127.0.0.1:${sink.port}`, tls: 'never' } };
  const rig = await startRig(context, { config });
  expect(await sendMessage(await smtpSession(rig.server.ports.smtp), 'any@sink.test')).toMatch(/^250/);
  await context.expect
    .poll(async () => (await rig.server.command('queue', 'list', '--config', rig.server.configFile)).stdout)
    .toMatch(/\n {2}any@sink\.test: 451 4\.7\.1 greylisted; next attempt in [345]m/);
});
