/** The end of the grace at a stop of the whole running server: nothing that is still asked or under way holds it up. */
import { fileURLToPath } from 'node:url';
import { afterEach, expect, test } from 'vitest';
import { ServerLog } from '../lib/server-log.ts';
import { type Posthorn, startPosthorn, waitForMail } from '../lib/server.ts';
import { sendMessage, smtpSession } from '../lib/smtp-talk.ts';
import { startSink } from '../lib/smtp-sink.ts';
import { sayAll, talkTo } from '../lib/talk.ts';

const EVIL = fileURLToPath(new URL('../lib/plugins/evil.ts', import.meta.url));
const GRACE_MS = 400;
/** For the processes to end, when all has been said. */
const END_MS = 2500;

let server: Posthorn;
afterEach(async () => {
  await server.stop();
  server.remove();
});

/** @returns the exit code of a stop, and how long it took */
async function stopTimed() {
  const startedAt = performance.now();
  process.kill(server.pid, 'SIGTERM');
  return { code: await server.running.exited, tookMs: performance.now() - startedAt };
}

test.each(['inline', 'compute', 'wait'])('a hook that does not answer (%s), with a deadline far off', async (isolation) => {
  const log = new ServerLog();
  server = await startPosthorn({
    users: { alice: 'secret' },
    config: {
      domains: { 'example.test': { catchAll: 'alice' } },
      plugins: [{ [EVIL]: { isolation, deadlineMs: 60_000 } }],
      throughput: { processes: 1, sessionThreads: 1 },
      shutdown: { graceMs: GRACE_MS },
    },
    onLog: log.read,
  });
  const asking = await smtpSession(server.ports.smtp);
  await sayAll(asking, [['MAIL FROM:<sender@elsewhere.test>', '250']]);
  asking.send('RCPT TO:<never@example.test>\r\n');
  // Once a later command of another session is answered, that one was asked.
  await sayAll(await smtpSession(server.ports.smtp), [['QUIT', '221']]);
  const { code, tookMs } = await stopTimed();
  expect(code).toBe(0);
  expect(tookMs).toBeLessThan(GRACE_MS * 2 + END_MS);
  expect(log.all('server-process-killed')).toEqual([]);
  await asking.closed();
});

test('a next hop that does not answer: the message stays in the queue, and goes out after the next start', async () => {
  const sink = await startSink({ script: { EHLO: 'silent' } });
  const config = { relay: { from: ['127.0.0.0/8'], via: `smtp://127.0.0.1:${sink.port}`, tls: 'never' } };
  server = await startPosthorn({ config: { ...config, shutdown: { graceMs: GRACE_MS } } });
  expect(await sendMessage(await smtpSession(server.ports.smtp), 'any@sink.test')).toMatch(/^250/);
  await expect.poll(() => sink.commands).toHaveLength(1);
  const { code, tookMs } = await stopTimed();
  expect(code).toBe(0);
  expect(tookMs).toBeLessThan(GRACE_MS * 2 + END_MS);
  expect(sink.messages).toEqual([]);

  sink.script = {};
  server = await server.restart({ ...config, queue: { retry: ['1s'] } });
  await server.command('queue', 'retry', '--config', server.configFile);
  await sink.waitFor(1);
  expect(sink.messages).toHaveLength(1);
  await sink.close();
});

test('a POP3 session is told, and what it had marked is not deleted', async () => {
  server = await startPosthorn({
    users: { alice: 'secret' },
    listener: { plaintextLogin: 'always' },
    config: { shutdown: { graceMs: GRACE_MS } },
  });
  expect(await sendMessage(await smtpSession(server.ports.smtp), 'alice@example.test')).toMatch(/^250/);
  expect(await waitForMail(server, 'alice', 1)).toBe(1);
  const login = [
    ['USER alice', '+OK'],
    ['PASS secret', '+OK'],
  ] as const;
  const fetching = await talkTo(server.ports.pop3);
  await sayAll(fetching, [...login, ['DELE 1', '+OK']]);
  const { code } = await stopTimed();
  expect(code).toBe(0);
  expect(await fetching.closed()).toBe('-ERR [SYS/TEMP] The server is going down');
  server = await server.restart();
  const again = await talkTo(server.ports.pop3);
  await sayAll(again, [...login, ['STAT', '+OK 1 ']]);
});
