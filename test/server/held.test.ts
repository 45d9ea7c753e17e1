/** Mail that is held for later (RFC 4865), in the running server: over a restart, and let go by the operator. */
import { expect, test } from 'vitest';
import { idIn } from '../lib/smtp-talk.ts';
import { startPosthorn, waitForMail } from '../lib/server.ts';
import { sayAll, talkTo } from '../lib/talk.ts';

const LOGIN = Buffer.from('\0alice\0secret').toString('base64');

test('is held over restarts and by commands without a server, until the operator names it', async () => {
  let server = await startPosthorn({
    users: { alice: 'secret' },
    listener: { plaintextLogin: 'always' },
    config: { throughput: { processes: 1 } },
  });
  const queue = async (...args: string[]) => (await server.command('queue', ...args, '--config', server.configFile)).stdout;
  try {
    const talk = await talkTo(server.ports.submission);
    expect(await talk.say('EHLO client.test')).toMatch(/FUTURERELEASE 1209600 \d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ\n/);
    await sayAll(talk, [[`AUTH PLAIN ${LOGIN}`, '235']]);
    const ids: string[] = [];
    for (const mail of ['HOLDFOR=3600 MT-PRIORITY=5', 'HOLDFOR=3600']) {
      await sayAll(talk, [
        [`MAIL FROM:<alice@example.test> ${mail}`, '250'],
        ['RCPT TO:<alice@example.test>', '250'],
        ['DATA', '354'],
      ]);
      ids.push(idIn(await talk.say('From: alice@example.test\r\nSubject: later\r\n\r\ntext\r\n.')));
    }
    const [online = '', offline = ''] = ids;
    expect(await queue('show', online)).toMatch(/^next {6}held until .*Z, for (1h|59m \d+s)$/m);
    expect(await queue('show', online)).toMatch(/^priority {2}5$/m);
    expect(await queue('retry', '--all')).toBe('0 messages are due now\n');

    await server.stop();
    expect(await queue('list')).toMatch(new RegExp(`^${offline} .* held until `, 'm'));
    expect(await queue('retry', '--all')).toBe('0 messages are due now\n');
    expect(await queue('retry', offline)).toBe('1 message is due now\n');

    server = await server.restart();
    await waitForMail(server, 'alice', 1);
    await expect.poll(() => queue('list')).toMatch(new RegExp(`^${online} .*priority 5 {2}held until .*\n$`));
    expect(await queue('retry', online)).toBe('1 message is due now\n');
    await waitForMail(server, 'alice', 2);
    await expect.poll(() => queue('list')).toBe('the queue is empty\n');
  } finally {
    await server.stop();
    server.remove();
  }
});
