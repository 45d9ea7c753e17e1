/** What the whole running server does to clients that are slow on purpose, talk early or guess. */
import { connect } from 'node:net';
import { once } from 'node:events';
import { afterEach, expect, test } from 'vitest';
import { type Posthorn, startPosthorn } from '../lib/server.ts';
import { beginMessage, sendMessage, smtpSession } from '../lib/smtp-talk.ts';
import { talkTo } from '../lib/talk.ts';

const MIB = 1024 * 1024;
const TO = 'alice@example.test';
const ONE_THREAD = { processes: 1, sessionThreads: 1 };

let server: Posthorn;
let dripping: NodeJS.Timeout | undefined;
afterEach(async () => {
  clearInterval(dripping);
  await server.stop();
  server.remove();
});

test('a message that drips in is cut at its deadline, though it is never silent', async () => {
  server = await startPosthorn({
    users: { alice: 'secret' },
    listener: { timeouts: { messageMs: '1s' } },
    config: { throughput: ONE_THREAD },
  });
  const slow = await smtpSession(server.ports.smtp);
  const chunked = await smtpSession(server.ports.smtp);
  expect(await beginMessage(slow, TO)).toMatch(/^354/);
  expect(await chunked.say('MAIL FROM:<sender@elsewhere.test>')).toMatch(/^250/);
  expect(await chunked.say(`RCPT TO:<${TO}>`)).toMatch(/^250/);
  dripping = setInterval(() => {
    slow.send('drip\r\n');
    chunked.send('BDAT 6\r\ndrip\r\n');
  }, 100);
  expect(await slow.closed()).toBe('421 4.4.2 Timeout exceeded');
  expect(await chunked.closed()).toBe('421 4.4.2 Timeout exceeded');
});

test('a message below the least pace is cut, one above it is not', async () => {
  server = await startPosthorn({
    users: { alice: 'secret' },
    listener: { timeouts: { dataMs: '5s' }, limits: { minBytesPerSecond: 1000 } },
    config: { throughput: ONE_THREAD },
  });
  const slow = await smtpSession(server.ports.smtp);
  const fast = await smtpSession(server.ports.smtp);
  expect(await beginMessage(slow, TO)).toMatch(/^354/);
  expect(await beginMessage(fast, TO)).toMatch(/^354/);
  dripping = setInterval(() => {
    slow.send('drip\r\n');
    fast.send(`${'x'.repeat(998)}\r\n`);
  }, 100);
  expect(await slow.closed()).toBe('421 4.4.2 Timeout exceeded');
  clearInterval(dripping);
  expect(await fast.say('.')).toMatch(/^250/);
});

test('silent senders keep the memory for messages from nobody for longer than a moment', async () => {
  server = await startPosthorn({
    users: { alice: 'secret' },
    listener: { timeouts: { dataWhenShortMs: '1s' } },
    config: { throughput: { ...ONE_THREAD, messageMemoryBytes: 2 * MIB, spillBytes: MIB } },
  });
  const holders = [];
  for (const size of [64_000, 16_000]) {
    const holder = await smtpSession(server.ports.smtp);
    expect(await beginMessage(holder, TO, ` SIZE=${size}`)).toMatch(/^354/);
    holders.push(holder);
  }
  const other = await smtpSession(server.ports.smtp);
  expect(await beginMessage(other, TO)).toBe('452 4.3.1 Insufficient system storage');
  for (const holder of holders) expect(await holder.closed()).toBe('421 4.4.2 Timeout exceeded');
  expect(await other.say('RSET')).toMatch(/^250/);
  expect(await sendMessage(other, TO)).toMatch(/^250/);
});

test('an answer that comes late holds up nobody else', async () => {
  server = await startPosthorn({
    users: { alice: 'secret' },
    listener: { limits: { errorsBeforeDelay: 0, errorDelay: '1m' } },
    config: { throughput: ONE_THREAD },
  });
  const guesser = await smtpSession(server.ports.smtp);
  guesser.send('WHAT\r\n');
  const honest = await smtpSession(server.ports.smtp);
  expect(await sendMessage(honest, TO)).toMatch(/^250/);
  guesser.leave();
});

test('who talks before the banner is refused where the listener says so', async () => {
  server = await startPosthorn({
    listener: { earlyTalkers: 'refuse', limits: { bannerDelay: '1s' } },
    config: { throughput: ONE_THREAD },
  });
  const early = connect({ port: server.ports.smtp, host: '127.0.0.1' });
  early.write('EHLO spammer.test\r\n');
  const [heard] = (await once(early, 'data')) as [Buffer];
  expect(heard.toString()).toBe('554 5.5.1 You talk before it is your turn\r\n');
  early.destroy();
  expect((await talkTo(server.ports.smtp)).greeting).toMatch(/^220/);
});
