/**
 * Users that an HTTP endpoint keeps, in a running server: they log in and get mail, a changed list is taken up, and while
 * the endpoint is down a login is told to come back and mail still finds them.
 */
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { SourceUser } from '@posthorn/sdk';
import { type Posthorn, startPosthorn, waitForMail } from '../lib/server.ts';
import { talkTo } from '../lib/talk.ts';

let endpoint: Server;
let server: Posthorn;
const state: { users: SourceUser[]; up: boolean } = {
  users: [{ name: 'alice', addresses: ['alice@example.test'], sendAs: ['office@example.test', 'no address'] }],
  up: true,
};
const logged: string[] = [];

beforeAll(async () => {
  endpoint = createServer((request, response) => {
    const pieces: Buffer[] = [];
    request.on('data', (piece: Buffer) => pieces.push(piece));
    request.on('end', () => {
      if (!state.up) response.writeHead(503).end();
      else if (request.url === '/users') response.end(JSON.stringify(state.users));
      else {
        const { name, password } = JSON.parse(Buffer.concat(pieces).toString()) as { name: string; password: string };
        response.writeHead(password === `secret of ${name}` ? 200 : 403).end();
      }
    });
  });
  await new Promise<void>((resolve) => endpoint.listen(0, '127.0.0.1', resolve));
  const url = `http://127.0.0.1:${(endpoint.address() as AddressInfo).port}`;
  server = await startPosthorn({
    users: { filed: 'password of filed' },
    listener: { plaintextLogin: 'always' },
    config: { auth: { source: { http: { url } }, sourceRefresh: '100ms', failureDelay: 0 } },
    onLog: (line) => logged.push(line),
  });
});
afterAll(async () => {
  await server?.stop();
  server?.remove();
  endpoint?.closeAllConnections();
  await new Promise((resolve) => endpoint.close(resolve));
});

async function login(name: string, password: string): Promise<string> {
  const client = await talkTo(server.ports.pop3);
  const answer = await client.say(`AUTH PLAIN ${Buffer.from(`\0${name}\0${password}`).toString('base64')}`);
  client.leave();
  return answer;
}

async function rcpt(address: string): Promise<string> {
  const client = await talkTo(server.ports.smtp);
  await client.say('EHLO client.example');
  await client.say('MAIL FROM:<sender@elsewhere.example>');
  const answer = await client.say(`RCPT TO:<${address}>`);
  client.leave();
  return answer;
}

async function mailFrom(reversePath: string): Promise<string> {
  const client = await talkTo(server.ports.submission);
  await client.say('EHLO client.example');
  await client.say(`AUTH PLAIN ${Buffer.from('\0alice\0secret of alice').toString('base64')}`);
  const answer = await client.say(`MAIL FROM:<${reversePath}>`);
  client.leave();
  return answer;
}

async function until(what: () => Promise<boolean>): Promise<void> {
  for (const endsAt = performance.now() + 20_000; !(await what());) {
    if (performance.now() > endsAt) throw new Error(`it never came to that; the log ends with ${logged.slice(-3).join('\n')}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

it('they write as themselves, and as whom the source lets them', async () => {
  expect(await mailFrom('alice@example.test')).toMatch(/^250 /);
  expect(await mailFrom('office@example.test')).toMatch(/^250 /);
  expect(await mailFrom('boss@example.test')).toMatch(/^550 5\.7\.1 /);
});

it('they log in beside those of the file, and get mail', async () => {
  expect(await login('alice', 'secret of alice')).toMatch(/^\+OK alice has 0 messages/);
  expect(await login('alice@example.test', 'secret of alice')).toMatch(/^\+OK alice has/);
  expect(await login('filed', 'password of filed')).toMatch(/^\+OK filed has/);
  expect(await login('alice', 'wrong')).toBe('-ERR [AUTH] Wrong name or password');
  expect(await login('nobody', 'secret')).toBe('-ERR [AUTH] Wrong name or password');
  // The endpoint knows him, the list does not.
  expect(await login('ghost', 'secret of ghost')).toBe('-ERR [AUTH] Wrong name or password');
  const client = await talkTo(server.ports.smtp);
  for (const line of ['EHLO c.example', 'MAIL FROM:<s@elsewhere.example>', 'RCPT TO:<alice@example.test>', 'DATA'])
    await client.say(line);
  expect(await client.say('Subject: hello\r\n\r\nhello\r\n.')).toMatch(/^250 2\.0\.0/);
  client.leave();
  expect(await waitForMail(server, 'alice', 1)).toBe(1);
});

it('a changed list is taken up; while the endpoint is down nobody is lost, and logins wait', async () => {
  expect(await rcpt('carol@example.test')).toMatch(/^550 5\.1\.1/);
  state.users = [
    ...state.users,
    { name: 'carol', addresses: ['carol@example.test'] },
    { name: '../evil', addresses: ['evil@example.test'] },
  ];
  await until(async () => (await rcpt('carol@example.test')).startsWith('250'));
  expect(await rcpt('evil@example.test')).toMatch(/^550 5\.1\.1/);
  await until(async () => logged.some((line) => line.includes('users-changed') && line.includes('../evil')));
  state.up = false;
  expect(await login('carol', 'secret of carol')).toMatch(/^-ERR \[SYS\/TEMP\]/);
  expect(await login('nobody', 'secret')).toMatch(/^-ERR \[SYS\/TEMP\]/);
  expect(await login('filed', 'password of filed')).toMatch(/^\+OK filed has/);
  expect(await rcpt('carol@example.test')).toMatch(/^250/);
  // The operator is told, since nobody else notices.
  await until(async () => logged.some((line) => line.includes('users-not-refreshed')));
  await server.stop();
  server = await server.restart();
  expect(await rcpt('carol@example.test')).toMatch(/^250/);
  state.up = true;
  expect(await login('carol', 'secret of carol')).toMatch(/^\+OK carol has/);
});
