/**
 * Logging in to a running server: SCRAM bound to the TLS connection, CRAM-MD5 with a secret that the command wrote, and
 * a lock-out that all session threads count together.
 */
import { createHash, createHmac, pbkdf2Sync } from 'node:crypto';
import { chmodSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { connect, type TLSSocket } from 'node:tls';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { makeCa, type TestCa } from '../lib/certificates.ts';
import { run } from '../lib/process.ts';
import { DOMAIN, type Posthorn, POSTHORN, startPosthorn } from '../lib/server.ts';

let server: Posthorn;
let password: string;

beforeAll(async () => {
  server = await startPosthorn({
    config: { auth: { failureDelay: 0, lockOut: { afterFromClient: 4 } }, throughput: { sessionThreads: 2 } },
  });
  const added = await server.command('user', 'add', 'bob', '--secret', '--config', server.configFile);
  password = /password of bob: (\S+)/.exec(added.stdout)?.[1] ?? '';
  expect(added.stderr).toBe('');
});
/** Lets every listener ask for certificates of a CA, and takes one of it for bob. */
async function certificateOfBob(): Promise<{ cert: string; key: string; other: { cert: string; key: string }; ca: TestCa }> {
  const ca = await makeCa('clients');
  const [pair, stranger] = await Promise.all(['bob', 'stranger'].map((name) => ca.issue({ name, use: 'client' })));
  writeFileSync(join(server.folder, 'clients.pem'), ca.certificate);
  writeFileSync(join(server.folder, 'bob.pem'), pair!.certificate);
  const config = JSON.parse(readFileSync(server.configFile, 'utf8')) as { listeners: object[] };
  const listeners = config.listeners.map((one) => ({ ...one, clientCertificates: 'request', clientCa: './clients.pem' }));
  writeFileSync(server.configFile, JSON.stringify({ ...config, listeners }));
  const noted = await server.command('user', 'certificate', 'bob', join(server.folder, 'bob.pem'), '--config', server.configFile);
  expect(noted).toMatchObject({ code: 0, stdout: expect.stringMatching(/^bob has \d certificates?\n/) as string });
  return { cert: pair!.certificate, key: pair!.key, other: { cert: stranger!.certificate, key: stranger!.key }, ca };
}

afterAll(async () => {
  await server?.stop();
  server?.remove();
});

/** A client of one line at a time. */
async function open(port: number, own: { cert?: string; key?: string } = {}) {
  const ca = readFileSync(server.certificateFile);
  const socket: TLSSocket = connect({ port, host: '127.0.0.1', servername: 'localhost', ca, ...own });
  const lines: string[] = [];
  let waiting: (() => void) | undefined;
  let rest = '';
  socket.setEncoding('latin1');
  socket.on('data', (text: string) => {
    const parts = (rest + text).split('\r\n');
    rest = parts.pop()!;
    lines.push(...parts);
    waiting?.();
  });
  const line = async (): Promise<string> => {
    while (lines.length === 0) await new Promise<void>((resolve) => (waiting = resolve));
    return lines.shift()!;
  };
  await line();
  return {
    socket,
    line,
    ask: (text: string) => (socket.write(`${text}\r\n`), line()),
    async until(last: RegExp) {
      const all: string[] = [];
      do all.push(await line());
      while (!last.test(all.at(-1)!));
      return all;
    },
  };
}

const encode = (text: string | Uint8Array) => Buffer.from(text).toString('base64');
const challengeIn = (line: string) => Buffer.from(line.replace(/^(334|\+) /, ''), 'base64').toString();
const hmac = (key: Buffer, text: string) => createHmac('sha256', key).update(text).digest();

/** What a client of SCRAM says last. */
function scramProof(header: string, binding: Buffer, serverFirst: string): { last: string; verifier: string } {
  const [, nonce = '', salt = '', iterations = ''] = /^r=([^,]+),s=([^,]+),i=(\d+)$/.exec(serverFirst) ?? [];
  const salted = pbkdf2Sync(password, Buffer.from(salt, 'base64'), Number(iterations), 32, 'sha256');
  const clientKey = hmac(salted, 'Client Key');
  const withoutProof = `c=${encode(Buffer.concat([Buffer.from(header), binding]))},r=${nonce}`;
  const message = `n=bob,r=client,${serverFirst},${withoutProof}`;
  const signature = hmac(createHash('sha256').update(clientKey).digest(), message);
  const proof = clientKey.map((byte, at) => byte ^ signature[at]!);
  return { last: `${withoutProof},p=${encode(proof)}`, verifier: `v=${encode(hmac(hmac(salted, 'Server Key'), message))}` };
}

it.each([
  ['pop3s', 'tls-exporter'],
  ['submissions', 'tls-server-end-point'],
] as const)('SCRAM-SHA-256-PLUS on %s, bound by %s, proves both to each other', async (listener, binding) => {
  const client = await open(server.ports[listener]);
  client.socket.write(listener === 'pop3s' ? 'CAPA\r\n' : 'EHLO client.example\r\n');
  const offered = await client.until(listener === 'pop3s' ? /^\.$/ : /^250 /);
  expect(offered.join('\n')).toMatch(/(SASL|AUTH) SCRAM-SHA-256-PLUS SCRAM-SHA-256 CRAM-MD5 PLAIN LOGIN/);
  const data =
    binding === 'tls-exporter'
      ? client.socket.exportKeyingMaterial(32, 'EXPORTER-Channel-Binding', Buffer.alloc(0))
      : createHash('sha256').update(client.socket.getPeerCertificate().raw).digest();
  const header = `p=${binding},,`;
  const first = challengeIn(await client.ask(`AUTH SCRAM-SHA-256-PLUS ${encode(`${header}n=bob,r=client`)}`));
  const { last, verifier } = scramProof(header, data, first);
  expect(challengeIn(await client.ask(encode(last)))).toBe(verifier);
  expect(await client.ask('')).toMatch(/^(\+OK bob has|235 2\.7\.0)/);
  client.socket.destroy();
});

it('CRAM-MD5 by a secret that `posthorn user add --secret` wrote', async () => {
  const client = await open(server.ports.pop3s);
  const challenge = challengeIn(await client.ask('AUTH CRAM-MD5'));
  const digest = createHmac('md5', password).update(challenge).digest('hex');
  expect(await client.ask(encode(`bob ${digest}`))).toMatch(/^\+OK bob has/);
  client.socket.destroy();
});

it('EXTERNAL by the certificate that `posthorn user certificate` noted, and by no other', async () => {
  const { cert, key, other } = await certificateOfBob();
  const client = await open(server.ports.pop3s, { cert, key });
  expect(await client.ask(`AUTH EXTERNAL ${encode('bob')}`)).toMatch(/^\+OK bob has/);
  client.socket.destroy();
  const unnamed = await open(server.ports.submissions, { cert, key });
  unnamed.socket.write('EHLO client.example\r\n');
  await unnamed.until(/^250 /);
  expect(await unnamed.ask('AUTH EXTERNAL =')).toMatch(/^235 2\.7\.0/);
  unnamed.socket.destroy();
  const stranger = await open(server.ports.submissions, { cert: other.cert, key: other.key });
  stranger.socket.write('EHLO client.example\r\n');
  expect((await stranger.until(/^250 /)).join(' ')).toMatch(/AUTH [A-Z0-9 -]*EXTERNAL/);
  expect(await stranger.ask(`AUTH EXTERNAL ${encode('bob')}`)).toBe('535 5.7.8 Authentication credentials invalid');
  stranger.socket.destroy();
});

it('no password is set that a client could not send', async () => {
  const set = (input: string) =>
    run([POSTHORN, 'user', 'password', 'bob', '--password-stdin', '--config', server.configFile], { input, mayFail: true });
  const before = readFileSync(join(server.folder, 'users.yaml'), 'utf8');
  for (const input of ['x'.repeat(256), 'tab\tinside']) {
    const { code, stderr } = await set(input);
    expect([code, stderr]).toEqual([1, expect.stringContaining('no more than 255 bytes and no control characters')]);
  }
  expect(readFileSync(join(server.folder, 'users.yaml'), 'utf8')).toBe(before);
});

it('`posthorn check` tells of secrets that everybody can read', async () => {
  const file = join(server.folder, 'users.yaml');
  const check = async () => (await server.command('check', server.configFile)).stderr;
  expect(await check()).not.toContain('users.yaml holds secrets');
  chmodSync(file, 0o644);
  expect(await check()).toContain(`warning: ${file} holds secrets, and everybody on this machine can read it`);
  chmodSync(file, 0o600);
});

it('a new password ends what came of the old one', async () => {
  const users = () => readFileSync(join(server.folder, 'users.yaml'), 'utf8');
  const before = users();
  expect(before).toContain(password);
  const changed = await server.command('user', 'password', 'bob', '--no-scram', '--config', server.configFile);
  expect(changed).toMatchObject({ code: 0, stderr: '' });
  expect(users()).not.toMatch(/scram:|secret:/);
  const client = await open(server.ports.pop3s);
  client.socket.write('CAPA\r\n');
  expect((await client.until(/^\.$/)).filter((line) => line.startsWith('SASL'))).toEqual(['SASL PLAIN LOGIN']);
  client.socket.destroy();
  password = /password of bob: (\S+)/.exec(changed.stdout)?.[1] ?? '';
});

it('a client is locked out by all threads at once, but not from the user it logged in as', async () => {
  const login = async (name: string, secret: string) => {
    const client = await open(server.ports.pop3s);
    const answer = await client.ask(`AUTH PLAIN ${encode(`\0${name}\0${secret}`)}`);
    client.socket.destroy();
    return answer;
  };
  // One failure of four is the stranger's above.
  const answers: string[] = [];
  for (let at = 0; at < 6; at += 1) answers.push((await login('nobody', `guess ${at}`)).slice(0, 14));
  expect(answers).toEqual([
    ...Array.from({ length: 3 }, () => '-ERR [AUTH] Wr'),
    ...Array.from({ length: 3 }, () => '-ERR [SYS/TEMP'),
  ]);
  expect(await login('bob', password)).toMatch(/^\+OK bob has/);
});

// The key went from users.yaml, and without it an address in any certificate of the CA was enough.
it('`posthorn user certificate` without a file shuts out every certificate, with an address of the user too', async () => {
  const { ca } = await certificateOfBob();
  const { certificate: cert, key } = await ca.issue({ name: 'bob', email: [`bob@${DOMAIN}`], use: 'client' });
  const asBob = async () => {
    const client = await open(server.ports.pop3s, { cert, key });
    const reply = await client.ask(`AUTH EXTERNAL ${encode('bob')}`);
    client.socket.destroy();
    return reply;
  };
  const shut = await server.command('user', 'certificate', 'bob', '--config', server.configFile);
  expect(shut).toMatchObject({ code: 0, stdout: expect.stringContaining('bob logs in by no certificate; without') as string });
  expect(await asBob()).toMatch(/^-ERR \[AUTH\]/);
  const users = join(server.folder, 'users.yaml');
  writeFileSync(users, readFileSync(users, 'utf8').replace(/^ *certificates: \[\]\n/m, ''));
  expect(await server.command('reload', '--config', server.configFile)).toMatchObject({ code: 0 });
  expect(await asBob()).toMatch(/^\+OK bob has/);
});
