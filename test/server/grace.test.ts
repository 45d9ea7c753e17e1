/** The end of the grace at a stop of the whole running server: nothing that is still asked or under way holds it up. */
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { type Rig, startRig } from '../lib/rig.ts';
import { waitForMail } from '../lib/server.ts';
import { sendMessage, smtpSession } from '../lib/smtp-talk.ts';
import { startSink } from '../lib/smtp-sink.ts';
import { sayAll, talkTo } from '../lib/talk.ts';

const EVIL = fileURLToPath(new URL('../lib/plugins/evil.ts', import.meta.url));
const GRACE_MS = 400;
/** For the processes to end when all has been said, beside other tests; the supervisor kills after 5 s more. */
const END_MS = 4000;

/** @returns the exit code of a stop, and whether it was over in time by itself */
async function stop({ log, server }: Rig) {
  const startedAt = performance.now();
  process.kill(server.pid, 'SIGTERM');
  const code = await server.running.exited;
  const inTime = performance.now() - startedAt < GRACE_MS * 2 + END_MS;
  return { code, inTime, killed: log.all('server-process-killed').length };
}
const GOOD = { code: 0, inTime: true, killed: 0 };

test.concurrent.for(['inline', 'compute', 'wait'])(
  'a hook that does not answer (%s), with a deadline far off',
  async (isolation, context) => {
    const rig = await startRig(context, {
      config: {
        domains: { 'example.test': { catchAll: 'alice' } },
        plugins: [{ [EVIL]: { isolation, deadlineMs: 60_000 } }],
        throughput: { processes: 1, sessionThreads: 1 },
        shutdown: { graceMs: GRACE_MS },
      },
    });
    const { smtp } = rig.server.ports;
    const asking = await smtpSession(smtp);
    await sayAll(asking, [['MAIL FROM:<sender@elsewhere.test>', '250']]);
    asking.send('RCPT TO:<never@example.test>\r\n');
    // Once a later command of another session is answered, that one was asked.
    await sayAll(await smtpSession(smtp), [['QUIT', '221']]);
    expect(await stop(rig)).toEqual(GOOD);
    await asking.closed();
  },
);

test.concurrent('a next hop that does not answer: the message stays, and goes out after the next start', async (context) => {
  const sink = await startSink({ script: { EHLO: 'silent' } });
  context.onTestFinished(() => sink.close());
  const config = { relay: { from: ['127.0.0.0/8'], via: `smtp://127.0.0.1:${sink.port}`, tls: 'never' } };
  const rig = await startRig(context, { config: { ...config, shutdown: { graceMs: GRACE_MS } } });
  expect(await sendMessage(await smtpSession(rig.server.ports.smtp), 'any@sink.test')).toMatch(/^250/);
  await context.expect.poll(() => sink.commands).toHaveLength(1);
  expect(await stop(rig)).toEqual(GOOD);
  expect(sink.messages).toEqual([]);

  sink.script = {};
  await rig.restart(config);
  await rig.server.command('queue', 'retry', '--config', rig.server.configFile);
  await sink.waitFor(1);
  expect(sink.messages).toHaveLength(1);
});

test.concurrent('a POP3 session is told, and what it had marked is not deleted', async (context) => {
  const rig = await startRig(context, {
    listener: { plaintextLogin: 'always' },
    config: { shutdown: { graceMs: GRACE_MS } },
  });
  expect(await sendMessage(await smtpSession(rig.server.ports.smtp), 'alice@example.test')).toMatch(/^250/);
  expect(await waitForMail(rig.server, 'alice', 1)).toBe(1);
  const login = [
    ['USER alice', '+OK'],
    ['PASS secret', '+OK'],
  ] as const;
  const fetching = await talkTo(rig.server.ports.pop3);
  await sayAll(fetching, [...login, ['DELE 1', '+OK']]);
  expect(await stop(rig)).toEqual(GOOD);
  expect(await fetching.closed()).toBe('-ERR [SYS/TEMP] The server is going down');
  await rig.restart();
  await sayAll(await talkTo(rig.server.ports.pop3), [...login, ['STAT', '+OK 1 ']]);
});
