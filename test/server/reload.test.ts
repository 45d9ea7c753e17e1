/** SIGHUP and `posthorn reload` on the whole running server: what is taken up, what stays, and what a slip says. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { ServerLog } from '../lib/server-log.ts';
import { type Posthorn, startPosthorn, waitForMail } from '../lib/server.ts';
import { sayAll, talkTo } from '../lib/talk.ts';

const log = new ServerLog();
let server: Posthorn;
let original: string;

beforeAll(async () => {
  server = await startPosthorn({ users: { alice: 'secret' }, onLog: log.read, config: { throughput: { processes: 2 } } });
  original = readFileSync(server.configFile, 'utf8');
});
afterAll(async () => {
  await server.stop();
  server.remove();
});

/** What the tests change; the rest is taken along as it is. */
interface Changeable {
  domains: Record<string, { deliver: string; aliases?: Record<string, string> }>;
  plugins?: string[];
}

function configure(change: (config: Changeable) => void): void {
  const config = JSON.parse(original) as Changeable;
  change(config);
  writeFileSync(server.configFile, JSON.stringify(config, null, 2));
}

async function hangUp(event: 'reloaded' | 'reload-failed') {
  const line = log.next(event);
  process.kill(server.pid, 'SIGHUP');
  return line;
}

/** What a new session says to a recipient. */
async function replyTo(recipient: string): Promise<string> {
  const talk = await talkTo(server.ports.smtp);
  await sayAll(talk, [
    ['EHLO client.test', '250'],
    ['MAIL FROM:<sender@elsewhere.test>', '250'],
  ]);
  const reply = await talk.say(`RCPT TO:<${recipient}>`);
  talk.leave();
  return reply;
}

test('new sessions get the new domains, users and plugins; the session that runs goes on with its message', async () => {
  expect(await replyTo('ally@new.test')).toMatch(/^554 5\.7\.1/);
  const running = await talkTo(server.ports.smtp);
  await sayAll(running, [
    ['EHLO client.test', '250'],
    ['MAIL FROM:<sender@elsewhere.test>', '250'],
    ['RCPT TO:<alice@example.test>', '250'],
    ['DATA', '354'],
  ]);
  running.send('Subject: began before\r\n\r\nfirst half\r\n');

  const usersFile = join(server.folder, 'users.yaml');
  const users = JSON.parse(readFileSync(usersFile, 'utf8')) as Record<string, { password: string }>;
  const bob = { password: users['alice']!.password, addresses: ['bob@example.test'] };
  writeFileSync(usersFile, JSON.stringify({ ...users, bob }));
  writeFileSync(
    join(server.folder, 'no-robert.ts'),
    `import { definePlugin, z } from '@posthorn/sdk';
export default definePlugin({
  name: 'no-robert', version: '1.0.0', options: z.strictObject({}),
  hooks: { rcpt: ({ recipient }) => (recipient.startsWith('robert@') ? { kind: 'reject', text: 'Not Robert' } : undefined) },
});`,
  );
  configure((config) => {
    config.domains['new.test'] = { deliver: 'maildir', aliases: { ally: 'alice@example.test', robert: 'alice@example.test' } };
    config.plugins = ['./no-robert.ts'];
  });
  await hangUp('reloaded');

  expect(await replyTo('ally@new.test')).toMatch(/^250/);
  expect(await replyTo('bob@example.test')).toMatch(/^250/);
  expect(await replyTo('robert@new.test')).toMatch(/^550 .*Not Robert/);
  running.send('second half\r\n');
  expect(await running.say('.')).toMatch(/^250/);
  expect(await running.say('QUIT')).toMatch(/^221/);
  expect(await waitForMail(server, 'alice', 1)).toBe(1);
});

test('a file with a slip leaves the old settings in force; the log and the command say where it is', async () => {
  configure((config) => {
    config.domains['other.test'] = { deliver: 'maildirr' };
  });
  const { problem, effect } = await hangUp('reload-failed');
  expect(effect).toBe('the settings in force stay');
  expect(problem).toMatch(/posthorn\.yaml:\d+:\d+/);
  expect(problem).toContain('maildirr');
  expect(await replyTo('alice@example.test')).toMatch(/^250/);
  expect(await replyTo('ally@other.test')).toMatch(/^554/);

  const said = await server.command('reload', '--config', server.configFile);
  expect(said.code).not.toBe(0);
  expect(said.stderr).toMatch(/posthorn\.yaml:\d+:\d+/);

  writeFileSync(server.configFile, original);
  expect(await server.command('reload', '--config', server.configFile)).toMatchObject({ code: 0 });
});

test('a plugin that cannot be loaded leaves the old settings in force', async () => {
  writeFileSync(join(server.folder, 'slip.ts'), 'export default definePlugin({');
  configure((config) => {
    config.domains['other.test'] = { deliver: 'maildir', aliases: { ally: 'alice@example.test' } };
    config.plugins = ['./slip.ts'];
  });
  const { problem } = await hangUp('reload-failed');
  expect(problem).toContain('slip.ts');
  expect(await replyTo('alice@example.test')).toMatch(/^250/);
  expect(await replyTo('ally@other.test')).toMatch(/^554/);
});

test('a process that is being started again while the others reload gets the new settings, too', async () => {
  const pid = log.all('server-process-ready').findLast(({ slot }) => slot === 1)?.['serverPid'];
  const died = log.next('server-process-died');
  const isBack = log.next('server-process-ready');
  process.kill(pid as number, 'SIGKILL');
  await died;
  configure((config) => {
    config['domains']['again.test'] = { deliver: 'maildir', aliases: { ally: 'alice@example.test' } };
  });
  await Promise.all([isBack, hangUp('reloaded')]);
  // The kernel deals them out over both.
  const replies = await Promise.all(Array.from({ length: 12 }, () => replyTo('ally@again.test')));
  expect(replies.filter((reply) => !reply.startsWith('250'))).toEqual([]);
});
