/**
 * POP3 in the whole running server: APOP with a secret that the command wrote, LOGIN-DELAY over processes and threads,
 * delivery into a maildrop that a session holds, and a plugin that sees retrievals.
 */
import { createHash } from 'node:crypto';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test, vi } from 'vitest';
import { startRig } from '../lib/rig.ts';
import { maildirOf, waitForMail } from '../lib/server.ts';
import { idIn, sendMessage, smtpSession } from '../lib/smtp-talk.ts';
import { sayAll, talkTo } from '../lib/talk.ts';

vi.setConfig({ testTimeout: 60_000 });
const LOGIN = [
  ['USER alice', '+OK'],
  ['PASS secret', '+OK'],
] as const;
const IN_CLEAR = { plaintextLogin: 'always' };

test('APOP: a timestamp for each connection once somebody has a secret, and a login that plays none of it back', async (context) => {
  const { server } = await startRig(context, { listener: IN_CLEAR, config: { auth: { failureDelay: 0 } } });
  const before = await talkTo(server.ports.pop3);
  expect(before.greeting).not.toContain('<');
  before.leave();
  const added = await server.command('user', 'add', 'bob', '--secret', '--config', server.configFile);
  const secret = /password of bob: (\S+)/.exec(added.stdout)?.[1] ?? '';
  const digestFor = (greeting: string) => {
    const timestamp = /<[^<>@ ]+@[^<>@ ]+>$/.exec(greeting)?.[0] ?? '';
    return createHash('md5')
      .update(timestamp + secret)
      .digest('hex');
  };
  const first = await talkTo(server.ports.pop3);
  const second = await talkTo(server.ports.pop3);
  expect(first.greeting).toMatch(/^\+OK .* <\S+@\S+>$/);
  expect(second.greeting).not.toBe(first.greeting);
  await sayAll(second, [
    [`APOP bob ${digestFor(first.greeting)}`, '-ERR [AUTH]'],
    [`APOP alice ${digestFor(second.greeting)}`, '-ERR [AUTH]'],
    [`APOP bob ${digestFor(second.greeting)}`, '+OK bob has 0 messages'],
    ['QUIT', '+OK'],
  ]);
  first.leave();
});

test('LOGIN-DELAY holds for a mailbox wherever its sessions land, and a refusal does not start it anew', async (context) => {
  const rig = await startRig(context, {
    users: { alice: 'secret', bob: 'secret' },
    listener: IN_CLEAR,
    config: { pop3: { loginDelay: '1h' }, throughput: { processes: 2, sessionThreads: 2 } },
  });
  const { server } = rig;
  const first = await talkTo(server.ports.pop3);
  await sayAll(first, [...LOGIN, ['QUIT', '+OK']]);
  for (let times = 0; times < 8; times += 1) {
    const again = await talkTo(server.ports.pop3);
    await sayAll(again, [
      ['USER alice', '+OK'],
      ['PASS secret', '-ERR [LOGIN-DELAY]'],
      ['USER alice', '+OK'],
      ['PASS guess', '-ERR [AUTH]'],
    ]);
    again.leave();
  }
  const other = await talkTo(server.ports.pop3);
  await sayAll(other, [
    ['USER bob', '+OK'],
    ['PASS secret', '+OK'],
    ['QUIT', '+OK'],
  ]);
  await server.stop();
  await rig.restart({ pop3: { loginDelay: '2s' } });
  // The time of the first login counts, whatever was refused since, and the delay configured now.
  const login = async () => {
    const talk = await talkTo(rig.server.ports.pop3);
    await talk.say('USER alice');
    const reply = await talk.say('PASS secret');
    talk.leave();
    return reply;
  };
  await expect.poll(login, { timeout: 20_000 }).toMatch(/^\+OK/);
});

test('mail for a maildrop that a session holds is taken and delivered, and the session deletes none of it', async (context) => {
  const { server } = await startRig(context, { listener: IN_CLEAR });
  const smtp = await smtpSession(server.ports.smtp);
  idIn(await sendMessage(smtp, 'alice@example.test', 'before'));
  expect(await waitForMail(server, 'alice', 1)).toBe(1);
  const holder = await talkTo(server.ports.pop3);
  await sayAll(holder, [...LOGIN, ['STAT', '+OK 1 ']]);
  for (let count = 2; count <= 4; count += 1) {
    idIn(await sendMessage(smtp, 'alice@example.test', `number ${count}`));
    expect(await waitForMail(server, 'alice', count)).toBe(count);
  }
  const locked = await talkTo(server.ports.pop3);
  await sayAll(locked, [
    ['USER alice', '+OK'],
    ['PASS secret', '-ERR [IN-USE]'],
  ]);
  await sayAll(holder, [
    ['STAT', '+OK 1 '],
    ['RETR 2', '-ERR No such message'],
    ['DELE 1', '+OK'],
    ['QUIT', '+OK Goodbye, 1 message deleted'],
  ]);
  await sayAll(locked, [...LOGIN, ['STAT', '+OK 3 ']]);
  locked.leave();
  smtp.leave();
});

/** Keeps whoever fetches from what is large, and notes what it saw. */
const WATCHER = `import { definePlugin } from '@posthorn/sdk';
import { appendFileSync } from 'node:fs';
const note = (...words) => appendFileSync(new URL('seen.txt', import.meta.url), words.join(' ') + '\\n');
export default definePlugin({
  name: 'watcher', version: '1.0.0', run: 'compute', deadlineMs: 5000,
  hooks: {
    'pop3.open': ({ session, messages }) => note('open', session.user, messages),
    'pop3.retrieve': ({ session, message }) => {
      note('retrieve', session.user, message.sizeBytes > 2000 ? 'large' : 'small');
      return message.sizeBytes > 2000 ? { kind: 'reject', text: 'Too large for this hour' } : undefined;
    },
    'pop3.delete': ({ message }) => note('delete', message.uidl !== ''),
    'pop3.commit': ({ deleted }) => note('commit', deleted.length),
  },
});
`;

test('a plugin sees who retrieves and deletes what, and may refuse it', async (context) => {
  const { server } = await startRig(context, { listener: IN_CLEAR });
  const smtp = await smtpSession(server.ports.smtp);
  idIn(await sendMessage(smtp, 'alice@example.test', 'small'));
  expect(await waitForMail(server, 'alice', 1)).toBe(1);
  idIn(await sendMessage(smtp, 'alice@example.test', 'long line\r\n'.repeat(300)));
  expect(await waitForMail(server, 'alice', 2)).toBe(2);
  smtp.leave();
  writeFileSync(join(server.folder, 'watcher.ts'), WATCHER);
  const config = JSON.parse(readFileSync(server.configFile, 'utf8')) as object;
  writeFileSync(server.configFile, JSON.stringify({ ...config, plugins: ['./watcher.ts'] }));
  expect(await server.command('reload', '--config', server.configFile)).toMatchObject({ code: 0 });
  const talk = await talkTo(server.ports.pop3);
  await sayAll(talk, [
    ['LANG de', '+OK de '],
    ...LOGIN,
    ['RETR 2', '-ERR Too large for this hour'],
    ['TOP 2 0', '-ERR Too large for this hour'],
    ['DELE 1', '+OK Nachricht 1 gelöscht'],
    ['QUIT', '+OK Auf Wiedersehen, 1 Nachricht gelöscht'],
  ]);
  expect(readFileSync(join(server.folder, 'seen.txt'), 'utf8').trim().split('\n')).toEqual([
    'open alice 2',
    'retrieve alice large',
    'retrieve alice large',
    'delete true',
    'commit 1',
  ]);
  expect(readdirSync(join(maildirOf(server, 'alice'), 'new'))).toHaveLength(1);
});
