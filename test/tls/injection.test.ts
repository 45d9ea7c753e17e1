/**
 * STARTTLS and STLS of the running server, on every kind of listener that has it: what somebody in between put behind the
 * command, in the same segment, is never answered, before the handshake or after it, and what was said in clear is
 * forgotten (RFC 3207 §4.2, §6, RFC 2595 §4).
 */
import { once } from 'node:events';
import { existsSync, readdirSync } from 'node:fs';
import type { Socket } from 'node:net';
import { join } from 'node:path';
import { connect, type TLSSocket } from 'node:tls';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { freePorts } from '../lib/process.ts';
import { hear, openSocket } from '../lib/raw-socket.ts';
import { ServerLog } from '../lib/server-log.ts';
import { maildirOf, type Ports, type Posthorn, startPosthorn, waitForMail } from '../lib/server.ts';

/** Who may name clients by XCLIENT; the rig looks for open ports from another address. */
const FROM = '127.0.0.9';
/** alice, with her password. */
const LOGIN = 'AUTH PLAIN AGFsaWNlAHNlY3JldA==\r\n';

let server: Posthorn;
let ports: Ports & { readonly lmtp: number };
const log = new ServerLog();
beforeAll(async () => {
  const [lmtp] = (await freePorts(1)) as [number];
  server = await startPosthorn({
    users: { alice: 'secret' },
    listener: { plaintextLogin: 'always' },
    moreListeners: [
      {
        name: 'lmtp',
        protocol: 'lmtp',
        address: `127.0.0.1:${lmtp}`,
        tls: 'starttls',
        xclientFrom: [FROM],
        xforwardFrom: [FROM],
      },
    ],
    config: { throughput: { processes: 1, sessionThreads: 1 } },
    onLog: log.read,
  });
  ports = { ...server.ports, lmtp };
});
afterAll(async () => {
  await server.stop();
  server.remove();
});

/** What is sent ahead; where it would make one command with what follows in TLS, that too, and how its own answer begins. */
type Form = string | { readonly ahead: string; readonly after: string; readonly answer: string; readonly closes?: true };

interface Kind {
  readonly port: keyof typeof ports;
  readonly ask: string;
  readonly goAhead: RegExp;
  /** Said in TLS after each form, and the whole answer: that of a session in which nothing was said yet. */
  readonly probe: string;
  readonly answer: string;
  readonly forms: Readonly<Record<string, Form>>;
}

function smtp(port: Kind['port'], hello: 'EHLO' | 'LHLO'): Kind {
  const helloFirst = `503 5.5.1 Say ${hello === 'LHLO' ? 'LHLO' : 'HELO or EHLO'} first`;
  const envelope = `${hello} evil.test\r\nMAIL FROM:<evil@elsewhere.test>\r\nRCPT TO:<alice@example.test>\r\n`;
  return {
    port,
    ask: 'STARTTLS\r\n',
    goAhead: /^220 2\.0\.0 Ready[^\r\n]*\r\n$/,
    probe: 'RCPT TO:<alice@example.test>\r\nDATA\r\nMAIL FROM:<a@elsewhere.test>\r\nQUIT\r\n',
    answer: `503 5.5.1 MAIL first\r\n503 5.5.1 MAIL first\r\n${helloFirst}\r\n221 2.0.0 localhost closing connection\r\n`,
    forms: {
      'one command': 'NOOP\r\n',
      'a greeting': `${hello} evil.test\r\n`,
      'a whole transaction': `${envelope}DATA\r\nSubject: evil\r\n\r\nevil\r\n.\r\nQUIT\r\n`,
      'an envelope': envelope,
      'a message whose end is to come': `${envelope}DATA\r\nSubject: evil\r\n\r\n`,
      'a chunk whose octets are to come': `${envelope}BDAT 1000 LAST\r\nSubject: evil\r\n`,
      'a login': `${hello} evil.test\r\n${LOGIN}`,
      'a login whose answer is to come': `${hello} evil.test\r\nAUTH LOGIN\r\nYWxpY2U=\r\n`,
      'another client': `${hello} evil.test\r\nXCLIENT ADDR=192.0.2.66 LOGIN=alice\r\n`,
      'STARTTLS again': 'STARTTLS\r\nNOOP\r\n',
      'half a command': { ahead: 'NO', after: 'OP\r\n', answer: '500 5.5.1 ' },
      'half a line end': { ahead: 'NOOP\r', after: '\nRSET\r\n', answer: '500 5.5.2 ' },
      'bare line ends': 'NOOP\nNOOP\rNOOP\n',
      'a line without end': 'x'.repeat(10_000),
      'octets of any kind': '\0\xff\x16\x03\x01\r\nNOOP\r\n',
    },
  };
}

const KINDS: readonly Kind[] = [
  smtp('smtp', 'EHLO'),
  smtp('submission', 'EHLO'),
  smtp('lmtp', 'LHLO'),
  {
    port: 'pop3',
    ask: 'STLS\r\n',
    goAhead: /^\+OK Begin TLS\r\n$/,
    probe: 'PASS secret\r\nSTAT\r\nQUIT\r\n',
    answer: '-ERR USER comes first\r\n-ERR Log in first\r\n+OK Goodbye\r\n',
    forms: {
      'one command': 'CAPA\r\n',
      'a name': 'USER alice\r\n',
      'a whole session': 'USER alice\r\nPASS secret\r\nSTAT\r\nDELE 1\r\nQUIT\r\n',
      'a login': `${LOGIN}STAT\r\n`,
      'a login whose answer is to come': 'AUTH PLAIN\r\n',
      'another language': 'LANG de\r\nUTF8\r\n',
      'STLS again': 'STLS\r\nCAPA\r\n',
      'half a command': { ahead: 'NO', after: 'OP\r\n', answer: '-ERR ' },
      'half a line end': { ahead: 'CAPA\r', after: '\nCAPA\r\n', answer: '-ERR ', closes: true },
      'bare line ends': 'CAPA\nCAPA\rCAPA\n',
      'a line without end': 'x'.repeat(10_000),
      'octets of any kind': '\0\xff\x16\x03\x01\r\nCAPA\r\n',
    },
  },
];

/** Says it in clear, as one segment or as these, and expects the go-ahead alone; then shakes hands. */
async function secureAfter(kind: Kind, plain: Socket, ...segments: readonly string[]): Promise<TLSSocket> {
  const said = hear(plain, '\r\n');
  for (const segment of segments) plain.write(segment, 'latin1');
  expect(await said).toMatch(kind.goAhead);
  const secure = connect({ socket: plain, rejectUnauthorized: false });
  await once(secure, 'secureConnect');
  return secure;
}

async function open(kind: Kind): Promise<Socket> {
  const plain = await openSocket(ports[kind.port], FROM);
  await hear(plain, '\r\n');
  return plain;
}

/** All that is said after `text`, up to the end of the session. */
async function lastWords(secure: TLSSocket, text: string): Promise<string> {
  const said = hear(secure, 'until it closes');
  secure.write(text, 'latin1');
  const answer = await said;
  secure.destroy();
  return answer;
}

function messagesOf(user: string): number {
  const folder = join(maildirOf(server, user), 'new');
  return existsSync(folder) ? readdirSync(folder).length : 0;
}

describe.each(KINDS)('nothing that is sent ahead of TLS survives it: $port', (kind) => {
  test.each(Object.entries(kind.forms))('%s', async (_, form) => {
    const { ahead, after, answer, closes }: Exclude<Form, string> =
      typeof form === 'string' ? { ahead: form, after: '', answer: '' } : form;
    // In one segment, and with the command's own CRLF cut in two.
    for (const segments of [[kind.ask + ahead], [kind.ask.slice(0, -1), `\n${ahead}`]]) {
      const secure = await secureAfter(kind, await open(kind), ...segments);
      const said = await lastWords(secure, after + kind.probe);
      expect(said.slice(0, answer.length)).toBe(answer);
      const rest = after === '' ? said : said.slice(said.indexOf('\r\n') + 2);
      expect(rest).toBe(closes === true ? '' : kind.answer);
    }
    expect(messagesOf('alice')).toBe(0);
    expect(log.all('smtp.accepted')).toEqual([]);
  });

  test('in a segment behind the go-ahead it is a handshake that is none', async () => {
    const failed = log.next('tls-handshake-failed', ({ client }) => client === FROM);
    const plain = await open(kind);
    const goAhead = hear(plain, '\r\n');
    plain.write(kind.ask);
    await goAhead;
    const rest = hear(plain, 'until it closes');
    plain.write(kind.probe);
    expect((await failed)['cause']).toMatch(/version|record|length/);
    expect(await rest).not.toMatch(/503|221|-ERR|\+OK/);
  });
});

describe('what was said in clear is forgotten', () => {
  const [mx, submission, lmtp, pop3] = KINDS as [Kind, Kind, Kind, Kind];

  /** Says it in clear, line by line. @returns the last reply */
  async function inClear(plain: Socket, lines: readonly string[]): Promise<string> {
    let reply = '';
    for (const line of lines) {
      const said = hear(plain, '\r\n');
      plain.write(`${line}\r\n`);
      reply = await said;
    }
    return reply;
  }

  test.each([
    ['mx', mx, ['HELO one.test', 'MAIL FROM:<evil@elsewhere.test>', 'RCPT TO:<alice@example.test>'], '250 2.1.5'],
    ['submission', submission, ['HELO one.test', 'RSET', 'NOOP'], '250'],
    ['lmtp', lmtp, ['LHLO one.test', 'MAIL FROM:<evil@elsewhere.test>', 'RCPT TO:<alice@example.test>'], '250 2.1.5'],
    ['pop3', pop3, ['LANG de', 'USER alice'], '+OK'],
  ] as const)('greeting and envelope, name and language: %s', async (_, kind, lines, last) => {
    const plain = await open(kind);
    expect(await inClear(plain, lines)).toContain(last);
    const secure = await secureAfter({ ...kind, goAhead: kind === pop3 ? /^\+OK / : kind.goAhead }, plain, kind.ask);
    expect(await lastWords(secure, kind.probe)).toBe(kind.answer);
  });

  test('a login', async () => {
    const plain = await open(submission);
    expect(await inClear(plain, ['EHLO one.test'])).toContain('250');
    expect(await inClear(plain, [LOGIN.trim()])).toContain('235 ');
    const secure = await secureAfter(submission, plain, submission.ask);
    const said = await lastWords(secure, 'HELO one.test\r\nMAIL FROM:<alice@example.test>\r\nQUIT\r\n');
    expect(said).toMatch(/^250 localhost\r\n530 5\.7\.0 [^\r]*\r\n221 /);
  });

  test('what a proxy said in the name of its client, and of where a message came from', async () => {
    const plain = await open(lmtp);
    const lines = ['LHLO proxy.test', 'XFORWARD ADDR=192.0.2.66', 'XCLIENT LOGIN=alice HELO=two.test'];
    expect(await inClear(plain, lines)).toContain('220 localhost LMTP');
    const secure = await secureAfter(lmtp, plain, lmtp.ask);
    const accepted = log.next('smtp.accepted');
    const said = hear(secure, '250 2.0.0 Ok: queued');
    secure.write('MAIL FROM:<a@elsewhere.test>\r\nLHLO three.test\r\nMAIL FROM:<a@elsewhere.test>\r\n');
    secure.write('RCPT TO:<alice@example.test>\r\nDATA\r\nSubject: mine\r\n\r\n.\r\n');
    expect(await said).toMatch(/^503 5\.5\.1 Say LHLO first/);
    expect(await accepted).not.toHaveProperty('forwarded');
    expect(await accepted).not.toHaveProperty('user');
    expect(await waitForMail(server, 'alice', 1)).toBe(1);
    secure.destroy();
  });
});
