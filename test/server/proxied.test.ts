/** PROXY headers before the sessions of the whole running server: SMTP and POP3, in clear and within TLS. */
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { ServerLog } from '../lib/server-log.ts';
import { maildirOf, type Posthorn, startPosthorn, waitForMail } from '../lib/server.ts';
import { talkTo } from '../lib/talk.ts';
import { readdirSync } from 'node:fs';

const PROXY = '127.0.0.5';
const LINE = 'PROXY TCP4 192.0.2.7 203.0.113.1 4025 25\r\n';
const BINARY = Buffer.concat([
  Buffer.from('\r\n\r\n\0\r\nQUIT\n'),
  Buffer.from([0x21, 0x11, 0, 12, 192, 0, 2, 8, 203, 0, 113, 1, 0x0f, 0xb9, 0, 25]),
]);
const LOCAL = Buffer.concat([Buffer.from('\r\n\r\n\0\r\nQUIT\n'), Buffer.from([0x20, 0, 0, 0])]);

let server: Posthorn;
const log = new ServerLog();
beforeAll(async () => {
  server = await startPosthorn({
    users: { alice: 'secret' },
    listener: { proxyFrom: [PROXY], plaintextLogin: 'always', timeouts: { proxyHeaderMs: '3s' } },
    config: { throughput: { processes: 1, sessionThreads: 1, maxConnectionsPerClient: 3 } },
    onLog: log.read,
  });
});
afterAll(async () => {
  await server.stop();
  server.remove();
});

async function fromProxy(port: number): Promise<Socket> {
  const socket = connect({ port, host: '127.0.0.1', localAddress: PROXY });
  socket.on('error', () => undefined);
  await once(socket, 'connect');
  return socket;
}

/** All that the server says until it closes. */
async function saidTo(socket: Socket): Promise<string> {
  let text = '';
  socket.on('data', (chunk: Buffer) => (text += chunk.toString()));
  await once(socket, 'close');
  return text;
}

test("a message through a proxy is the client's that the header names, whether it comes at once or in bits", async () => {
  const whole = await fromProxy(server.ports.smtp);
  const mail = 'MAIL FROM:<a@b.test>\r\nRCPT TO:<alice@example.test>\r\nDATA\r\n';
  whole.end(`${LINE}EHLO one.test\r\n${mail}Subject: one\r\n\r\n.\r\nQUIT\r\n`);
  expect(await saidTo(whole)).toMatch(/^220 [^]*Ok: queued[^]*221 /);
  const bits = await fromProxy(server.ports.smtp);
  bits.setNoDelay(true);
  const said = saidTo(bits);
  for (const byte of BINARY) {
    bits.write(Buffer.from([byte]));
    await new Promise((resolve) => setImmediate(resolve));
  }
  bits.end(`EHLO two.test\r\n${mail}Subject: two\r\n\r\n.\r\nQUIT\r\n`);
  expect(await said).toMatch(/^220 [^]*Ok: queued[^]*221 /);
  expect(await waitForMail(server, 'alice', 2)).toBe(2);
  const folder = join(maildirOf(server, 'alice'), 'new');
  const all = readdirSync(folder)
    .map((name) => readFileSync(join(folder, name), 'utf8'))
    .join('');
  expect(all).toContain('Received: from one.test ([192.0.2.7])');
  expect(all).toContain('Received: from two.test ([192.0.2.8])');
});

test("the proxy's own connections count as its own", async () => {
  const closed = log.next('smtp.closed', ({ client }) => client === PROXY);
  const socket = await fromProxy(server.ports.smtp);
  socket.end(Buffer.concat([LOCAL, Buffer.from('QUIT\r\n')]));
  expect(await saidTo(socket)).toMatch(/^220 [^]*221 /);
  await closed;
});

test('connections are counted for the client, not for the proxy', async () => {
  const open: Socket[] = [];
  for (let number = 0; number < 5; number += 1) {
    const socket = await fromProxy(server.ports.smtp);
    socket.write(`PROXY TCP4 192.0.2.${20 + number} 203.0.113.1 4025 25\r\n`);
    expect(String((await once(socket, 'data'))[0])).toMatch(/^220/);
    open.push(socket);
  }
  const many: string[] = [];
  for (let number = 0; number < 4; number += 1) {
    const socket = await fromProxy(server.ports.smtp);
    socket.write('PROXY TCP4 192.0.2.30 203.0.113.1 4025 25\r\n');
    many.push(String((await once(socket, 'data'))[0]).slice(0, 3));
    open.push(socket);
  }
  expect(many).toEqual(['220', '220', '220', '421']);
  for (const socket of open) socket.destroy();
});

test('a proxy without a right header is cut without a word, at once or at the deadline', async () => {
  for (const start of ['EHLO client.test\r\n', 'PROXY TCP4 1.2.3 4 5 6\r\n', '\r\n\r\n\0\r\nQUIT\n\x11\x11\0\0']) {
    const refused = log.next('proxy-header-refused');
    const socket = await fromProxy(server.ports.smtp);
    socket.write(start);
    expect(await saidTo(socket)).toBe('');
    await refused;
  }
  const slow = await fromProxy(server.ports.pop3);
  const late = log.next('proxy-header-refused', ({ cause }) => cause === 'PROXY header took too long');
  slow.write('PROXY TCP4 192.');
  expect(await saidTo(slow)).toBe('');
  await late;
});

test('a header from a host that is not listed is a command that nobody knows', async () => {
  const talk = await talkTo(server.ports.smtp, '127.0.0.6');
  expect(await talk.say(LINE.trim())).toBe('500 5.5.1 Command unrecognized');
  const pop3 = await talkTo(server.ports.pop3, '127.0.0.6');
  expect(await pop3.say(LINE.trim())).toMatch(/^-ERR/);
  talk.leave();
  pop3.leave();
});

test.each([
  ['version 1', Buffer.from(LINE), '192.0.2.7'],
  ['version 2', BINARY, '192.0.2.8'],
])('POP3 sessions have their header, too: %s', async (_version, header, from) => {
  const closed = log.next('pop3.closed', ({ client }) => client === from);
  const socket = await fromProxy(server.ports.pop3);
  socket.end(Buffer.concat([header, Buffer.from('USER alice\r\nPASS secret\r\nQUIT\r\n')]));
  expect(await saidTo(socket)).toMatch(/^\+OK [^]*\+OK [^]*\+OK [^]*\+OK /);
  await closed;
});

test.each(['pop3s', 'submissions'] as const)(
  '%s: the header stands before the handshake, in its packet or in one of its own',
  async (kind) => {
    for (const apart of [false, true]) {
      const closed = log.next(kind === 'pop3s' ? 'pop3.closed' : 'smtp.closed', ({ client }) => client === '192.0.2.8');
      const plain = await fromProxy(server.ports[kind]);
      if (apart) {
        await new Promise<void>((resolve) => void plain.write(BINARY, () => resolve()));
      } else {
        plain.cork();
        plain.write(BINARY);
      }
      const secure = connectTls({ socket: plain, rejectUnauthorized: false });
      if (!apart) process.nextTick(() => plain.uncork());
      await once(secure, 'secureConnect');
      const said = saidTo(secure);
      secure.write('QUIT\r\n');
      expect(await said).toMatch(kind === 'pop3s' ? /^\+OK [^]*\+OK / : /^220 [^]*221 /);
      await closed;
    }
  },
);
