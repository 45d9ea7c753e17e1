/** What a dialogue file cannot say: writes, pauses, pressure, and a peer that leaves at a bad moment. */
import type { Verdict } from '@posthorn/core/hook/contract';
import { createPop3Session } from '@posthorn/core/pop3/session';
import { describe, expect, it } from 'vitest';
import { createPop3Kit, type Pop3KitOptions } from '../../lib/pop3-ports.ts';
import { RecordingOutput, settled } from '../../lib/smtp-ports.ts';

const LOGIN = 'USER alice\r\nPASS secret word\r\n';
const PASS: Verdict = { kind: 'pass', evidence: [], edits: [] };

function begin(options: Pop3KitOptions = {}) {
  const kit = createPop3Kit(options);
  const output = new RecordingOutput();
  const session = createPop3Session(kit.ports, kit.profile, { address: '192.0.2.7', port: 1, sessionId: 'S1' }, output);
  session.start();
  return { kit, output, session, say: (text: string) => session.feed(Buffer.from(text, 'latin1')) };
}

/** A verdict that comes when the test says so. */
function laterVerdict() {
  let give: (verdict: Verdict) => void = () => undefined;
  const promise = new Promise<Verdict>((resolve) => (give = resolve));
  return { runner: () => promise, give };
}

async function turn(): Promise<void> {
  await new Promise<void>((resolve) => setImmediate(resolve));
}

it('takes no USER and no PASS where the operator does not allow PLAIN', async () => {
  const { say, output, session } = begin({ forms: { scram: true, allowed: ['SCRAM-SHA-256', 'CRAM-MD5'] } });
  say(`CAPA\r\n${LOGIN}`);
  await settled(session);
  expect(output.text).toContain('\r\nSASL SCRAM-SHA-256\r\n');
  expect(output.text).not.toMatch(/^USER\r$/m);
  const refusal = '-ERR That mechanism is not known here: CAPA names those that are';
  expect(output.text.split('\r\n').slice(-3)).toEqual([refusal, refusal, '']);
});

describe('writes', () => {
  it('answers everything of one chunk in one write', async () => {
    const { say, output, session } = begin({ messages: [{ uidl: 'a', text: 'A: 1\r\n\r\nText\r\n' }] });
    say(LOGIN);
    await settled(session);
    const before = output.writes;
    say('STAT\r\nLIST\r\nUIDL\r\nRETR 1\r\nTOP 1 0\r\nDELE 1\r\nRSET\r\nNOOP\r\n');
    expect(output.writes).toBe(before + 1);
  });

  it('never pauses the connection for a client that waits for its answers', async () => {
    const { say, output, session } = begin();
    let pauses = 0;
    output.pause = () => void pauses++;
    say('USER alice\r\n');
    say('PASS secret word\r\n');
    await settled(session);
    say('QUIT\r\n');
    expect(pauses).toBe(0);
    expect(output.closed).toBe(true);
  });
});

describe('a verdict is awaited', () => {
  it('pauses when more comes, keeps the order, and resumes', async () => {
    const { runner, give } = laterVerdict();
    const { say, output, session } = begin({ hooks: { 'pop3.auth': runner } });
    say(LOGIN);
    await turn();
    expect(session.waitsFor).toBe('verdict');
    say('ST');
    expect(output.paused).toBe(true);
    say('AT\r\nNOOP\r');
    say('\nQUIT\r\n');
    expect(output.text).not.toContain('octets');
    give(PASS);
    await settled(session);
    expect(output.text.split('\r\n').slice(2)).toEqual([
      '+OK alice has 0 messages (0 octets)',
      '+OK 0 0',
      '+OK',
      '+OK Goodbye',
      '',
    ]);
  });

  it('closes when a client floods it meanwhile', async () => {
    const { runner } = laterVerdict();
    const { say, output, kit } = begin({ hooks: { 'pop3.auth': runner } });
    say(LOGIN);
    for (let times = 0; times < 10 && !output.closed; times++) say('NOOP\r\n'.repeat(10_000));
    expect(output.closed).toBe(true);
    expect(output.text).toContain('-ERR Too much sent ahead');
    expect(kit.held).toBe(0);
  });

  it('gives the lock up when the peer left while it was logged in', async () => {
    const { runner, give } = laterVerdict();
    const { say, session, kit } = begin({ hooks: { 'pop3.open': runner } });
    say(LOGIN);
    await turn();
    await turn();
    expect(kit.held).toBe(1);
    session.closed();
    give(PASS);
    await turn();
    expect(kit.held).toBe(0);
  });

  it('deletes nothing when the peer left before the commit was allowed', async () => {
    const { runner, give } = laterVerdict();
    const { say, session, kit, output } = begin({ hooks: { 'pop3.commit': runner }, messages: [{ uidl: 'a', text: 'A\r\n' }] });
    say(LOGIN);
    await settled(session);
    say('DELE 1\r\nQUIT\r\n');
    session.closed();
    give(PASS);
    await turn();
    expect(kit.deleted).toEqual([]);
    expect(kit.held).toBe(0);
    expect(output.text).not.toContain('Goodbye');
  });

  it('finishes the command under way when the server goes down, and no other', async () => {
    const { runner, give } = laterVerdict();
    const { say, session, output, kit } = begin({ hooks: { 'pop3.delete': runner }, messages: [{ uidl: 'a', text: 'A\r\n' }] });
    say(LOGIN);
    await settled(session);
    say('DELE 1\r\nQUIT\r\n');
    session.drain();
    expect(output.closed).toBe(false);
    give(PASS);
    await turn();
    expect(output.text).toMatch(/\+OK Message 1 deleted\r\n-ERR \[SYS\/TEMP\] The server is going down\r\n$/);
    expect(output.closed).toBe(true);
    expect(kit.deleted).toEqual([]);
  });

  it('answers with -ERR and logs when a plugin pipeline breaks its promise', async () => {
    const { say, session, output, kit } = begin({ hooks: { 'pop3.auth': () => Promise.reject(new Error('broken')) } });
    say(LOGIN);
    await settled(session);
    expect(output.text).toContain('-ERR [SYS/TEMP] Something went wrong');
    expect(kit.logged.map(({ event }) => event)).toContain('pop3.command-failed');
  });
});

describe('a peer that does not take its answers', () => {
  const messages = [{ uidl: 'big', text: `A: 1\r\n\r\n${'x'.repeat(998)}\r\n`.repeat(500) }];

  it('holds a long message back until there is room, and sends all of it', async () => {
    const { say, output, session, kit } = begin({ messages, streamBytes: 10_000 });
    say(LOGIN);
    await settled(session);
    output.open = false;
    say('RETR 1\r\nSTAT\r\n');
    for (let times = 0; times < 50; times++) await turn();
    expect(output.text.length).toBeLessThan(100_000);
    expect(session.waitsFor).toBe('verdict');
    expect(kit.reading).toBe(1);
    for (let times = 0; times < 200 && !output.text.endsWith(`+OK 1 ${messages[0]!.text.length}\r\n`); times++) {
      // It takes a piece and is behind again.
      output.open = true;
      await turn();
      output.open = false;
      session.drained();
      await turn();
    }
    const body = output.text.slice(output.text.indexOf('octets\r\nA') + 8);
    expect(body.slice(0, body.indexOf('\r\n.\r\n') + 2)).toBe(messages[0]!.text);
    expect(kit.reading).toBe(0);
  });

  it('computes no more answers while it is behind', async () => {
    const { say, output, session } = begin({ messages: [{ uidl: 'm', text: `A: 1\r\n\r\n${'x'.repeat(20_000)}\r\n` }] });
    say(LOGIN);
    await settled(session);
    output.open = false;
    say('RETR 1\r\n'.repeat(1000));
    await turn();
    expect(output.text.length).toBeLessThan(200_000);
    expect(session.waitsFor).toBe('verdict');
    output.open = true;
    session.drained();
    await settled(session);
    expect(output.text.split('+OK 20010 octets')).toHaveLength(1001);
  });

  it('takes commands over TLS though it was behind in clear: the old socket tells of no room any more', () => {
    const { say, output, session } = begin();
    output.open = false;
    say('STLS\r\n');
    expect(output.tlsStarts).toBe(1);
    output.open = true;
    session.secured({ version: 'TLSv1.3', cipher: 'X' });
    say('CAPA\r\n');
    expect(output.text).toContain('+OK What this server can do');
  });

  it('gives the file and the lock back when it leaves or stands still for too long', async () => {
    for (const end of ['closed', 'timedOut', 'drain'] as const) {
      const { say, output, session, kit } = begin({ messages, streamBytes: 10_000 });
      say(LOGIN);
      await settled(session);
      output.open = false;
      say('RETR 1\r\n');
      for (let times = 0; times < 20; times++) await turn();
      session[end]();
      if (end === 'drain') session.closed();
      for (let times = 0; times < 20; times++) await turn();
      expect([kit.held, kit.reading]).toEqual([0, 0]);
    }
  });

  it('ends the connection without the final dot when the file breaks off in the middle', async () => {
    const { say, output, session, kit } = begin({ messages, streamBytes: 10_000, breaksAt: 50_000 });
    say(LOGIN);
    await settled(session);
    say('RETR 1\r\nSTAT\r\n');
    await settled(session);
    expect(output.closed).toBe(true);
    expect(output.text.length).toBeGreaterThan(40_000);
    expect(output.text.endsWith('\r\n.\r\n')).toBe(false);
    expect(kit.logged.map(({ event }) => event)).toContain('pop3.answer-broken');
    expect([kit.held, kit.reading]).toEqual([0, 0]);
  });
});

describe('an internationalised message whose header comes in pieces', () => {
  const long = `X-Filler: ${'x'.repeat(900)}\r\n`.repeat(100);
  const text = (fields: string) => Buffer.from(`Subject: ü\r\n${fields}\r\nü ${'body\r\n'.repeat(100)}`).toString('latin1');

  it('is sent as its surrogate, with its size', async () => {
    const messages = [{ uidl: 'a', text: text(long) }];
    const { say, session, output } = begin({ messages, streamBytes: 10_000 });
    say(LOGIN);
    await settled(session);
    say('RETR 1\r\n');
    await settled(session);
    const [, size = '', body = ''] = /\+OK (\d+) octets\r\n([^]*)\.\r\n$/.exec(output.text) ?? [];
    expect(body === messages[0]!.text.replace('Subject: \xc3\xbc', 'Subject: =?UTF-8?B?w7w=?=')).toBe(true);
    expect(body.length).toBe(Number(size));
  });

  it('is refused by [UTF8] where the header is longer than a surrogate is made of, and can be had in UTF-8 mode', async () => {
    const messages = [{ uidl: 'a', text: text(long.repeat(8)) }];
    const plain = begin({ messages, streamBytes: 100_000 });
    plain.say(`${LOGIN}RETR 1\r\nTOP 1 0\r\nNOOP\r\n`);
    await settled(plain.session);
    expect(plain.output.text.split('\r\n').slice(3)).toEqual([
      expect.stringMatching(/^-ERR \[UTF8\] /),
      expect.stringMatching(/^-ERR \[UTF8\] /),
      '+OK',
      '',
    ]);
    expect(plain.kit.reading).toBe(0);
    const utf8 = begin({ messages, streamBytes: 100_000 });
    utf8.say(`UTF8\r\n${LOGIN}RETR 1\r\n`);
    await settled(utf8.session);
    expect(utf8.output.text.includes(messages[0]!.text)).toBe(true);
  });
});

it('lists a maildrop of many messages in blocks, each line once', async () => {
  const messages = Array.from({ length: 3500 }, (_, index) => ({ uidl: `u${index}`, text: 'A\r\n' }));
  const { say, output, session } = begin({ messages });
  say(LOGIN);
  await settled(session);
  say('DELE 3500\r\nUIDL\r\nLIST\r\n');
  await settled(session);
  const lines = output.text.split('\r\n');
  expect(lines.filter((line) => /^\d+ u\d+$/.test(line))).toEqual(
    messages.slice(0, -1).map(({ uidl }, index) => `${index + 1} ${uidl}`),
  );
  expect(lines.filter((line) => /^\d+ 3$/.test(line))).toHaveLength(3499);
  expect(lines.filter((line) => line === '.')).toHaveLength(2);
});
