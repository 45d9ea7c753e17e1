/** The engine's dialogues, fed whole and in small chunks; no socket. */
import { describe, expect, it } from 'vitest';
import type { Result } from '../reply.ts';
import { type SessionEnd, SmtpClient } from './client.ts';
import type { TlsPolicy } from './tls-policy.ts';
import type { OutgoingMessage } from './transaction.ts';

const NO_TLS: TlsPolicy = { mode: 'never', verify: false, demands: undefined, credentials: undefined, plainSecret: false };

function message(name: string, over: Partial<OutgoingMessage> = {}): OutgoingMessage {
  const content = Buffer.from(`${name}\r\n`);
  return {
    reversePath: 'a@x.test',
    recipients: [`${name}@y.test`],
    sizeBytes: content.length,
    eightBit: false,
    content,
    ...over,
  };
}

interface Run {
  readonly client: SmtpClient;
  /** Everything written. */
  readonly said: () => string;
  readonly results: string[];
  readonly end: () => SessionEnd | undefined;
  readonly tlsStarts: () => number;
  feed(text: string): void;
}

/** A client with messages to send, whose input comes in chunks of `size` bytes. */
function run(messages: OutgoingMessage[], size: number, policy: TlsPolicy = NO_TLS, over: { protocol?: 'lmtp' } = {}): Run {
  let said = '';
  let end: SessionEnd | undefined;
  let tlsStarts = 0;
  const results: string[] = [];
  const client: SmtpClient = new SmtpClient(
    { name: 'mx.test[192.0.2.1]:25', hostname: 'me.test', policy, ...over },
    {
      write: (bytes) => void (said += Buffer.from(bytes).toString('latin1')),
      startTls: () => void tlsStarts++,
      idle: () => {
        const next = messages.shift();
        if (next !== undefined) client.send(next);
      },
      following: () => messages.shift(),
      streamBody: () => undefined,
      finished: (done, outcome: readonly Result[]) =>
        void results.push(`${done.recipients.join()} ${outcome.map((one) => `${one.outcome} ${one.reply}`).join(', ')}`),
      ended: (how) => void (end = how),
    },
  );
  return {
    client,
    said: () => said,
    results,
    end: () => end,
    tlsStarts: () => tlsStarts,
    feed(text) {
      // As from a server that has to see a question before it answers it.
      for (let left = text; left !== '';) {
        const isPipelined = client.phase === 'busy' && client.capabilities.pipelining;
        const one = isPipelined ? /^.*?354 go\r\n/s : /^(?:\d{3}-[^\n]*\n)*[^\n]*\n/;
        const part = one.exec(left)?.[0] ?? left;
        left = left.slice(part.length);
        const bytes = Buffer.from(part, 'latin1');
        for (let at = 0; at < bytes.length; at += size) client.feed(Uint8Array.from(bytes.subarray(at, at + size)));
      }
    },
  };
}

const HELLO = '220 hi\r\n250-mx.test\r\n250-SIZE 1000\r\n250 PIPELINING\r\n';

describe.each([1, 2, 3, 7, 10_000])('fed in chunks of %i bytes', (size) => {
  it('sends messages one behind the other', () => {
    const one = run([message('a'), message('b'), message('c')], size);
    one.feed(HELLO);
    one.feed('250 ok\r\n250 ok\r\n354 go\r\n');
    expect(one.said()).toMatch(/a\r\n\.\r\nMAIL FROM:<a@x\.test> SIZE=3\r\nRCPT TO:<b@y\.test>\r\nDATA\r\n$/);
    one.feed('250 a\r\n250 ok\r\n250 ok\r\n354 go\r\n250 b\r\n250 ok\r\n550 5.1.1 no\r\n554 none\r\n');
    expect(one.results).toEqual(['a@y.test delivered 250 a', 'b@y.test delivered 250 b', 'c@y.test failed 550 5.1.1 no']);
    expect(one.client.phase).toBe('idle');
  });

  it('waits for each reply where the server does not pipeline', () => {
    const one = run([message('a')], size);
    one.feed('220 hi\r\n250 mx.test\r\n');
    expect(one.said()).toMatch(/MAIL FROM:<a@x\.test>\r\n$/);
    one.feed('250 ok\r\n');
    expect(one.said()).toMatch(/RCPT TO:<a@y\.test>\r\n$/);
    one.feed('250 ok\r\n354 go\r\n250 done\r\n');
    expect(one.results).toEqual(['a@y.test delivered 250 done']);
  });

  it('gives back the message behind the dot when the server says 421 to the one before', () => {
    const one = run([message('a'), message('b')], size);
    one.feed(`${HELLO}250 ok\r\n250 ok\r\n354 go\r\n421 bye\r\n250 ok\r\n`);
    expect(one.results).toEqual(['a@y.test deferred 421 bye']);
    expect(one.end()?.untried.map(({ recipients }) => recipients[0])).toEqual(['b@y.test']);
  });

  it('resets a transaction that came to nothing before the next one', () => {
    const one = run([message('a'), message('b')], size);
    one.feed(`${HELLO}250 ok\r\n550 no\r\n503 none\r\n`);
    expect(one.said()).toMatch(/DATA\r\nRSET\r\nMAIL FROM:<a@x\.test> SIZE=3\r\nRCPT TO:<b@y\.test>\r\nDATA\r\n$/);
    one.feed('250 reset\r\n250 ok\r\n250 ok\r\n354 go\r\n250 b\r\n');
    expect(one.results).toEqual(['a@y.test failed 550 no', 'b@y.test delivered 250 b']);
  });

  it('vouches for nobody where it logged in, and says nothing of it elsewhere', () => {
    const credentials = { user: 'relay', secret: 'word' };
    const one = run([message('a')], size, { ...NO_TLS, credentials, plainSecret: true });
    one.feed('220 hi\r\n250-mx.test\r\n250-PIPELINING\r\n250 AUTH LOGIN\r\n334 VXNlcm5hbWU6\r\n334 UGFzc3dvcmQ6\r\n235 ok\r\n');
    expect(one.said()).toMatch(/d29yZA==\r\nMAIL FROM:<a@x\.test> AUTH=<>\r\nRCPT TO:<a@y\.test>\r\nDATA\r\n$/);
    const other = run([message('a')], size);
    other.feed('220 hi\r\n250-mx.test\r\n250 AUTH LOGIN\r\n');
    expect(other.said()).toMatch(/MAIL FROM:<a@x\.test>\r\n$/);
  });

  it('believes nothing from before TLS', () => {
    const one = run([message('a')], size, { ...NO_TLS, mode: 'required' });
    one.feed('220 hi\r\n250-mx.test\r\n250-PIPELINING\r\n250 STARTTLS\r\n220 go\r\n');
    expect(one.tlsStarts()).toBe(1);
    one.client.secured();
    one.feed('250 mx.test\r\n');
    expect(one.said()).toMatch(/EHLO me\.test\r\nSTARTTLS\r\nEHLO me\.test\r\nMAIL FROM:<a@x\.test>\r\n$/);
  });

  it('does not take a premature 250 for the acceptance of a streamed message', () => {
    const one = run([message('a', { content: undefined })], size);
    one.feed(`${HELLO}250 ok\r\n250 ok\r\n354 go\r\n250 already\r\n`);
    expect(one.results).toEqual(['a@y.test deferred 451 4.5.0 the mail host answered a message that it did not have yet']);
    expect(one.client.phase).toBe('ended');
  });
});

describe('a session', () => {
  it('is over when replies come ahead of the handshake', () => {
    const one = run([], 10_000, { ...NO_TLS, mode: 'opportunistic' });
    one.feed('220 hi\r\n250-x\r\n250 STARTTLS\r\n');
    one.client.feed(Buffer.from('220 go\r\n250 injected\r\n'));
    expect(one.tlsStarts()).toBe(0);
    expect(one.end()?.reply).toMatch(/^451 4\.7\.5 /);
  });

  it('gives back a message that nothing was said of', () => {
    const one = run([message('a')], 10_000);
    one.feed(HELLO);
    one.client.fail('451 4.4.2 lost');
    expect(one.results).toEqual([]);
    expect(one.end()?.untried).toHaveLength(1);
  });

  it('takes 552 for too many recipients as a wait, and for a full mailbox as a refusal', () => {
    const two = message('a', { recipients: ['a@y.test', 'b@y.test', 'c@y.test'] });
    const one = run([two], 10_000);
    one.feed(`${HELLO}250 ok\r\n250 ok\r\n552 too many\r\n552 5.2.2 full\r\n354 go\r\n250 done\r\n`);
    expect(one.results).toEqual(['a@y.test,b@y.test,c@y.test delivered 250 done, deferred 552 too many, failed 552 5.2.2 full']);
  });

  it('ends once', () => {
    const one = run([], 10_000);
    one.feed(HELLO);
    one.client.quit();
    one.feed('221 bye\r\n');
    const end = one.end();
    one.client.fail('late');
    one.feed('250 later\r\n');
    expect(one.end()).toBe(end);
    expect(end).toMatchObject({ reply: undefined, untried: [] });
  });
});

/** What servers do, or somebody between us and them, to have mail lost, doubled, or read as commands. */
describe('a server that is out of step', () => {
  const OK = '250 ok\r\n';

  it.each([
    ['250 to DATA', `${OK}${OK}250 ok\r\n`, '451 4.5.0 the mail host is out of step: 250 ok'],
    ['334 to DATA', `${OK}${OK}334 ok\r\n`, '451 4.5.0 the mail host is out of step: 334 ok'],
    ['354 to MAIL', '354 go\r\n', '451 4.5.0 the mail host is out of step: 354 go'],
    ['354 to RCPT', `${OK}354 go\r\n`, '451 4.5.0 the mail host is out of step: 354 go'],
    ['354 to the message', `${OK}${OK}354 go\r\n354 go\r\n`, '451 4.5.0 the mail host is out of step: 354 go'],
  ])('by %s is left, and the mail waits', (_what, replies, reason) => {
    const one = run([message('a')], 10_000);
    one.feed(HELLO + replies);
    expect(one.results).toEqual([`a@y.test deferred ${reason}`]);
    expect(one.client.phase).toBe('ended');
  });

  it('by one reply too many never reads the next commands as a message', () => {
    const one = run([message('a'), message('b')], 10_000);
    // It looks like the refusal of the message; the server is at DATA, and takes what comes now for its text.
    one.feed(`${HELLO}250 extra\r\n250 ok\r\n550 no\r\n`);
    expect(one.said()).toMatch(/DATA\r\nRSET\r\n$/);
    one.feed('354 go\r\n');
    expect(one.results).toEqual([expect.stringMatching(/^a@y\.test deferred 451 4\.5\.0 /)]);
    expect(one.client.phase).toBe('ended');
    expect(one.said()).not.toMatch(/\r\n\.\r\n/);
  });

  it.each([[[HELLO]], [['220 hi\r\n', '250 x\r\n']]])(
    'by a reply too many does not have the refusal of one recipient for all: %j',
    (greetings) => {
      const two = message('a', { recipients: ['a@y.test', 'bad@y.test'] });
      const one = run([two], 10_000);
      // The second was refused, which comes when the message is asked for.
      for (const reply of [...greetings, '250 extra\r\n', OK, OK, '550 5.1.1 no\r\n', '354 go\r\n']) one.feed(reply);
      expect(one.results).toEqual([
        expect.stringMatching(/^a@y.test,bad@y.test deferred 451 4\.5\.0 [^,]*, deferred 451 4\.5\.0 /),
      ]);
    },
  );

  it.each(['250 reset\r\n', '421 bye\r\n', undefined])(
    'is not who refuses a message at DATA: with %j after it that is believed',
    (last) => {
      const one = run([message('a')], 10_000);
      one.feed(`${HELLO}${OK}${OK}554 5.7.1 not this\r\n`);
      if (last === undefined) one.client.fail('451 4.4.2 lost');
      else one.feed(last);
      expect(one.results).toEqual(['a@y.test failed 554 5.7.1 not this']);
    },
  );

  it.each(['250-x\r\n250 PIPELINING\r\n', '250 x\r\n'])(
    'by an answer too many in LMTP does not have the next message refused: %j',
    (hello) => {
      const one = run([message('a', { recipients: ['a@y.test', 'b@y.test'] }), message('c')], 10_000, NO_TLS, {
        protocol: 'lmtp',
      });
      one.feed(`220 hi\r\n${hello}${OK}${OK}${OK}354 go\r\n`);
      one.client.feed(Buffer.from('250 for a\r\n250 for b\r\n550 5.1.1 too many\r\n'));
      expect(one.results).toEqual(['a@y.test,b@y.test delivered 250 for a, delivered 250 for b']);
      expect(one.end()?.untried.map(({ recipients }) => recipients)).toEqual([['c@y.test']]);
    },
  );

  it('refuses nothing for good by what it said before that was seen', () => {
    // Answers of the message before: a refusal of MAIL that is none, and then no 354.
    const one = run([message('a', { recipients: ['a@y.test', 'b@y.test'] })], 10_000);
    one.feed(`${HELLO}550 5.1.1 nobody\r\n${OK}${OK}${OK}`);
    expect(one.results).toEqual([expect.stringMatching(/^a@y.test,b@y.test deferred 451 4\.5\.0 [^,]*, deferred 451 4\.5\.0 /)]);
  });

  // Each later reply was taken for the answer to the question before: who was refused was told to be another.
  const PLAIN = ['220 hi\r\n', '250 x\r\n', OK, OK, '550 5.1.1 no\r\n', '354 go\r\n'];
  it.each(PLAIN.slice(0, 5).map((_, at) => at))(
    'by a reply ahead of its question is left, and nobody is refused by what it said: behind reply %i',
    (at) => {
      for (const [ahead, rest] of [
        ['250 extra\r\n', ''],
        ['250 ex', 'tra\r\n'],
      ] as const) {
        const one = run([message('a', { recipients: ['a@y.test', 'b@y.test'] })], 10_000);
        for (const [index, reply] of PLAIN.slice(0, at + 1).entries()) {
          one.client.feed(Buffer.from(index === at ? reply + ahead : reply));
        }
        one.client.feed(Buffer.from(rest));
        expect(one.end()).toMatchObject({ reply: '451 4.5.0 the mail host answered before it was asked', permanent: false });
        const waits = expect.stringMatching(/^a@y.test,b@y.test deferred 451 4\.5\.0 [^,]*, deferred 451 4\.5\.0 [^,]*$/);
        expect(one.results).toEqual(at < 2 ? [] : [waits]);
        expect(one.end()!.untried).toHaveLength(at === 1 ? 1 : 0);
      }
    },
  );

  it('by 421 behind the greeting says why it leaves', () => {
    const one = run([message('a')], 10_000);
    one.client.feed(Buffer.from('220 hi\r\n421 4.3.2 too busy\r\n'));
    expect(one.end()?.reply).toBe('421 4.3.2 too busy');
  });

  it('by an answer to a message that it does not have yet is not believed', () => {
    const one = run([message('a')], 10_000);
    one.feed(`${HELLO}250 ok\r\n250 ok\r\n`);
    one.client.feed(Buffer.from('354 go\r\n250 accepted\r\n'));
    expect(one.results).toEqual(['a@y.test deferred 451 4.5.0 the mail host answered a message that it did not have yet']);
  });

  it('by 421 anywhere is left, and what was not tried goes elsewhere', () => {
    const steps = ['220 hi\r\n', '250-x\r\n250 PIPELINING\r\n', OK, OK, '354 go\r\n'];
    for (let at = 0; at <= steps.length; at++) {
      const one = run([message('a')], 10_000);
      one.feed(`${steps.slice(0, at).join('')}421 4.3.2 bye\r\n`);
      expect(one.end()).toMatchObject({ reply: '421 4.3.2 bye' });
      const left = one.end()!.untried.length + one.results.length;
      expect([at, left]).toEqual([at, at < 2 ? 0 : 1]);
      if (one.results.length > 0) expect(one.results).toEqual(['a@y.test deferred 421 4.3.2 bye']);
    }
  });
});

describe('before and after STARTTLS', () => {
  it.each(['2', '250 mx.test\r\n250 AUTH PLAIN\r\n', '220 again\r\n', '\0'])('%j behind the 220 ends it', (injected) => {
    const one = run([message('a')], 10_000, { ...NO_TLS, mode: 'required' });
    one.feed('220 hi\r\n250-x\r\n250 STARTTLS\r\n');
    one.client.feed(Buffer.from(`220 go\r\n${injected}`));
    expect(one.tlsStarts()).toBe(0);
    expect(one.end()?.reply).toMatch(/^451 4\.7\.5 the mail host sent replies ahead of the TLS handshake/);
  });

  it('mechanisms are those offered under TLS', () => {
    const credentials = { user: 'relay', secret: 'word' };
    const one = run([message('a')], 10_000, { ...NO_TLS, mode: 'required', credentials });
    one.feed('220 hi\r\n250-x\r\n250-SIZE 5\r\n250-AUTH PLAIN\r\n250 STARTTLS\r\n220 go\r\n');
    one.client.secured();
    one.feed('250-x\r\n250 AUTH LOGIN\r\n');
    expect(one.said()).toMatch(/EHLO me\.test\r\nAUTH LOGIN\r\n$/);
    expect(one.said()).not.toContain('PLAIN');
    expect(one.client.capabilities.size).toBeUndefined();
  });

  it('a login is not sent where TLS was to be and is not', () => {
    const credentials = { user: 'relay', secret: 'word' };
    const one = run([message('a')], 10_000, { ...NO_TLS, mode: 'opportunistic', credentials });
    one.feed('220 hi\r\n250-x\r\n250 AUTH PLAIN\r\n');
    expect(one.said()).toBe('EHLO me.test\r\n');
    expect(one.end()?.reply).toMatch(/^451 4\.7\.0 not logging in/);
  });
});
