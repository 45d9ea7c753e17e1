/** A server whose log goes nowhere: its reader is gone, or its disk is full. It says nothing more, and does all the rest. */
import { afterEach, expect, test } from 'vitest';
import { type Posthorn, startPosthorn, waitForMail } from '../lib/server.ts';
import { sendMessage, smtpSession } from '../lib/smtp-talk.ts';

let server: Posthorn;
afterEach(async () => {
  await server.stop();
  server.remove();
});

/** Each session and each delivery is a line, each refusal one that goes out at once. */
async function goesOn(): Promise<void> {
  for (let messages = 1; messages <= 5; messages++) {
    const session = await smtpSession(server.ports.smtp);
    expect(await session.say('RCPT TO:<alice@example.test>')).toMatch(/^503/);
    expect(await sendMessage(session, 'alice@example.test')).toMatch(/^250/);
    session.leave();
    expect(await waitForMail(server, 'alice', messages)).toBe(messages);
  }
  process.kill(server.pid, 'SIGTERM');
  expect(await server.running.exited).toBe(0);
}

test('takes and delivers mail, and ends at SIGTERM, when whoever read its log is gone', async () => {
  server = await startPosthorn({ users: { alice: 'secret' } });
  server.running.child.stdout!.destroy();
  await goesOn();
});

test('takes and delivers mail, and ends at SIGTERM, when the disk of its log is full', async () => {
  const wrap = (command: readonly string[]) => ['sh', '-c', 'exec "$@" > /dev/full', 'sh', ...command];
  server = await startPosthorn({ users: { alice: 'secret' }, wrap });
  await goesOn();
});
