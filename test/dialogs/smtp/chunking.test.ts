/** What dialogues of BDAT cannot say: sizes that are none, waiting, and what is given back. */
import type { Verdict } from '@posthorn/core/hook/contract';
import { createSmtpSession } from '@posthorn/core/smtp/session';
import { describe, expect, it } from 'vitest';
import { createKit, RecordingOutput, settled, type KitOptions } from '../../lib/smtp-ports.ts';

const PASS: Verdict = { kind: 'pass', evidence: [], edits: [] };
const ENVELOPE = 'EHLO client.example\r\nMAIL FROM:<a@b.example>\r\nRCPT TO:<alice@example.org>\r\n';

function open(options: KitOptions = {}) {
  const kit = createKit(options);
  const output = new RecordingOutput();
  const session = createSmtpSession(kit.ports, kit.profile, { address: '192.0.2.7', port: 1, sessionId: 'S1' }, output);
  session.start();
  const send = (text: string): void => session.feed(Buffer.from(text, 'latin1'));
  const codes = (): number[] => [...output.text.matchAll(/^(\d{3}) /gm)].map((match) => Number(match[1]));
  return { kit, output, session, send, codes };
}

describe('a chunk size', () => {
  const none = [
    '',
    '-1',
    '-0',
    '+5',
    '5.0',
    '5e3',
    '0x10',
    '5 FIRST',
    '5 LAST LAST',
    '5LAST',
    '5  LAST',
    'LAST',
    'LAST 5',
    '\xb2',
  ];
  const huge = ['9007199254740992', '18446744073709551616', '99999999999999999999', '000000000000000000005', '5 LAST SIZE=5'];
  it.each([...none, ...huge])('%j is none: 501, and the session ends unread', (size) => {
    const { send, codes, output, kit } = open();
    send(`${ENVELOPE}BDAT ${size}\r\nQUIT\r\nNOOP\r\n`);
    expect(codes()).toEqual([220, 250, 250, 250, 501]);
    expect(output.closed).toBe(true);
    expect(kit.writers.every((writer) => writer.ended === 1)).toBe(true);
  });

  it.each(['4294967296', '4294967301', '2147483648', '9007199254740991'])(
    '%s does not wrap: its octets are awaited and thrown away',
    (size) => {
      const { send, codes, session } = open();
      send(`${ENVELOPE}BDAT ${size}\r\n${'QUIT\r\n'.repeat(1000)}`);
      expect(codes()).toEqual([220, 250, 250, 250]);
      expect(session.waitsFor).toBe('data');
    },
  );

  it('of a chunk that is thrown away has a deadline and a pace all the same: one that dripped in held its place for an hour', () => {
    const { send, session, kit } = open();
    send('EHLO client.example\r\nBDAT 100 LAST\r\n');
    expect(session.message).toEqual({ sinceMs: kit.ports.clock.monotonic(), sizeBytes: 0 });
    send('x'.repeat(99));
    expect(session.message?.sizeBytes).toBe(99);
    send('x');
    expect(session.message).toBeUndefined();
  });

  it.each(['BDAT 5\tLAST\r\n', 'BDAT 5\x00\r\n', `bdat ${'5'.repeat(600)}\r\n`, 'BDAT 5\rLAST\r\n'])(
    'in a line that cannot be read ends the session: %j',
    (line) => {
      const { send, codes, output } = open();
      send(`${ENVELOPE}${line}QUIT\r\n`);
      expect(codes().at(-1)).toBe(501);
      expect(output.closed).toBe(true);
    },
  );
});

describe('chunks', () => {
  it('are asked about once, with the recipients of then', async () => {
    const asked: (readonly string[])[] = [];
    const { send, kit, session } = open({ hooks: { data: ({ recipients }) => (asked.push(recipients), PASS) } });
    send(`${ENVELOPE}BDAT 3\r\na:bBDAT 0\r\nBDAT 2 LAST\r\n\r\n`);
    await settled(session);
    expect(asked).toEqual([['alice@example.org']]);
    expect(kit.taken).toHaveLength(1);
  });

  it('wait for a verdict with their octets behind them', async () => {
    let answer: (verdict: Verdict) => void = () => undefined;
    const { send, kit, session, output } = open({ hooks: { data: () => new Promise((resolve) => (answer = resolve)) } });
    send(`${ENVELOPE}BDAT 8\r\na: b`);
    send('\r\n\r\n');
    expect(output.paused).toBe(true);
    send('BDAT 6 LAST\r\ntext\r\nNOOP\r\n');
    answer(PASS);
    await settled(session);
    expect(kit.taken[0]!.text.endsWith('\r\na: b\r\n\r\ntext\r\n')).toBe(true);
    expect(output.text.endsWith('250 2.0.0 Ok: 8 octets\r\n250 2.0.0 Ok: queued as ID1\r\n250 2.0.0 Ok\r\n')).toBe(true);
  });

  it('wait for a writer that is behind, also between two of them', async () => {
    const { send, kit, session, output } = open();
    kit.sink.prepare = (writer) => (writer.slow = true);
    send(`${ENVELOPE}BDAT 8\r\na: b\r\n\r\n`);
    send('BDAT 6 LAST\r\ntext\r\n');
    expect(output.text).not.toContain('octets');
    expect(output.paused).toBe(true);
    kit.writers[0]!.release();
    await settled(session);
    expect(output.text.endsWith('250 2.0.0 Ok: 8 octets\r\n250 2.0.0 Ok: queued as ID1\r\n')).toBe(true);
    expect(kit.taken).toHaveLength(1);
  });

  it('are given back when the peer leaves inside or between them', () => {
    for (const rest of ['BDAT 8\r\na: b', 'BDAT 8\r\na: b\r\n\r\n', 'BDAT 8\r\na: b\r\n\r\nBDAT 5 LAST\r\nte']) {
      const { send, kit, session } = open();
      send(ENVELOPE + rest);
      session.closed();
      expect(kit.writers.map((writer) => writer.ended)).toEqual([1]);
    }
  });

  it('are no commands that a client could send too many of, unless they are empty or refused', async () => {
    const many = open({ limits: { maxCommands: 20 } });
    many.send(`${ENVELOPE}BDAT 5\r\nA:b\r\n${'BDAT 1\r\nx'.repeat(100)}BDAT 0 LAST\r\n`);
    await settled(many.session);
    expect(many.kit.taken).toHaveLength(1);
    const empty = open({ limits: { maxCommands: 20 } });
    empty.send(`${ENVELOPE}${'BDAT 0\r\n'.repeat(100)}`);
    expect(empty.codes().at(-1)).toBe(421);
    const refused = open({ limits: { maxCommands: 20 } });
    refused.send(`${ENVELOPE}BDAT 20000\r\n${'x'.repeat(20_000)}${'BDAT 1\r\nx'.repeat(100)}`);
    expect(refused.codes().at(-1)).toBe(421);
  });

  it('that were refused cost no errors: a client may have sent many ahead', () => {
    const { send, codes } = open({ limits: { maxErrors: 3 } });
    send(`EHLO client.example\r\nMAIL FROM:<a@b.example>\r\n${'BDAT 1\r\nx'.repeat(50)}BDAT 1 LAST\r\nxNOOP\r\n`);
    expect(codes().slice(2)).toEqual([250, ...Array<number>(51).fill(554), 250]);
  });

  it('finish before the server goes down', async () => {
    const { send, session, codes, output } = open();
    send(`${ENVELOPE}BDAT 8\r\na: b\r\n\r\n`);
    session.drain();
    expect(output.closed).toBe(false);
    send('BDAT 0 LAST\r\n');
    await settled(session);
    expect(codes().slice(-3)).toEqual([250, 250, 421]);
  });
});

describe('before the banner', () => {
  it('a client may send already what it knows to be offered (PIPECONNECT)', async () => {
    let answer: (verdict: Verdict) => void = () => undefined;
    const { send, kit, session, codes } = open({ hooks: { connect: () => new Promise((resolve) => (answer = resolve)) } });
    send(`${ENVELOPE}BDAT 6 LAST\r\na: b\r\nQUIT\r\n`);
    expect(codes()).toEqual([]);
    answer(PASS);
    await settled(session);
    expect(codes()).toEqual([220, 250, 250, 250, 250, 221]);
    expect(kit.taken).toHaveLength(1);
  });
});
