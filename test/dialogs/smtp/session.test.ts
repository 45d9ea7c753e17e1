/** What dialogues cannot say: waiting, order, who gives what back, and what happens when the peer leaves in between. */
import type { Requests, Verdict } from '@posthorn/core/hook/contract';
import { NO_REQUESTS } from '@posthorn/core/smtp/requests';
import { createSmtpSession } from '@posthorn/core/smtp/session';
import { describe, expect, it } from 'vitest';
import { createKit, RecordingOutput, settled, type Kit, type KitOptions } from '../../lib/smtp-ports.ts';

const PASS: Verdict = { kind: 'pass', evidence: [], edits: [] };
const GREETING = 'HELO client.example\r\n';
const ENVELOPE = 'MAIL FROM:<a@b.example>\r\nRCPT TO:<alice@example.org>\r\n';
const MESSAGE = 'Subject: x\r\n\r\ntext\r\n.\r\n';

function open(options: KitOptions = {}) {
  const kit = createKit(options);
  const output = new RecordingOutput();
  const session = createSmtpSession(kit.ports, kit.profile, { address: '192.0.2.7', port: 1, sessionId: 'S1' }, output);
  const send = (text: string): void => session.feed(Buffer.from(text, 'latin1'));
  return { kit, output, session, send, codes: () => codesOf(output.text) };
}

/** Codes of the last line of each reply. */
function codesOf(text: string): number[] {
  return [...text.matchAll(/^(\d{3}) /gm)].map((match) => Number(match[1]));
}

/** A stage whose verdicts the test gives one by one. */
function heldStage<S extends 'connect' | 'mail' | 'rcpt' | 'data' | 'message'>() {
  const asked: {
    readonly request: Requests[S];
    readonly answer: (verdict: Verdict) => void;
    readonly fail: (cause: unknown) => void;
  }[] = [];
  const run = (request: Requests[S]): Promise<Verdict> =>
    new Promise((resolve, reject) => asked.push({ request, answer: resolve, fail: reject }));
  return { asked, run };
}

function endings(kit: Kit): number[] {
  return kit.writers.map((writer) => writer.ended);
}

it('logs the priority of a message', async () => {
  const { kit, session, send } = open({ profile: { requests: { ...NO_REQUESTS, priority: true } } });
  session.start();
  send(`${GREETING}MAIL FROM:<a@b.example> MT-PRIORITY=-3\r\nRCPT TO:<alice@example.org>\r\nDATA\r\n${MESSAGE}`);
  await settled(session);
  expect(kit.logged.find(({ event }) => event === 'smtp.accepted')?.fields).toMatchObject({ priority: -3 });
});

describe('waiting for a verdict', () => {
  it('keeps pipelined commands and answers them in order', async () => {
    const mail = heldStage<'mail'>();
    const { session, send, codes, output } = open({ hooks: { mail: mail.run } });
    session.start();
    send(`${GREETING}${ENVELOPE}DATA\r\n${MESSAGE}NOOP\r\nQUIT\r\n`);
    expect(codes()).toEqual([220, 250]);
    expect(session.waitsFor).toBe('verdict');
    mail.asked[0]!.answer(PASS);
    await settled(session);
    expect(codes()).toEqual([220, 250, 250, 250, 354, 250, 250, 221]);
    expect(output.closed).toBe(true);
  });

  it('writes all replies of one chunk in one piece', () => {
    const { session, send, output } = open();
    session.start();
    send(`${GREETING}${ENVELOPE}DATA\r\n`);
    expect(output.writes).toBe(2);
  });

  it('pauses only when more comes, copies it, and reads on afterwards', async () => {
    const mail = heldStage<'mail'>();
    const { session, output, codes } = open({ hooks: { mail: mail.run } });
    session.start();
    session.feed(Buffer.from(`${GREETING}MAIL FROM:<a@b.example>\r\n`));
    expect(output.paused).toBe(false);
    const reused = Buffer.from('RCPT TO:<alice@example.org>\r\n');
    session.feed(reused);
    reused.fill('?');
    expect(output.paused).toBe(true);
    mail.asked[0]!.answer(PASS);
    await settled(session);
    expect(output.paused).toBe(false);
    expect(codes()).toEqual([220, 250, 250, 250]);
  });

  it('ends a session that floods it', () => {
    const mail = heldStage<'mail'>();
    const { session, send, output, codes } = open({ hooks: { mail: mail.run } });
    session.start();
    send(`${GREETING}MAIL FROM:<a@b.example>\r\n`);
    for (let sent = 0; sent < 10; sent += 1) send('x'.repeat(60_000));
    expect(codes()).toEqual([220, 250, 421]);
    expect(output.closed).toBe(true);
  });

  it('answers 451 when a stage fails, and goes on', async () => {
    const mail = heldStage<'mail'>();
    const { session, send, codes, kit } = open({ hooks: { mail: mail.run } });
    session.start();
    send(`${GREETING}MAIL FROM:<a@b.example>\r\nNOOP\r\n`);
    mail.asked[0]!.fail(new Error('the pipeline broke'));
    await settled(session);
    expect(codes()).toEqual([220, 250, 451, 250]);
    expect(kit.logged.some((line) => line.level === 'error')).toBe(true);
  });

  it('answers 421 when a port throws, closes, and gives everything back', () => {
    const { session, send, codes, output, kit } = open({
      ports: {
        directory: {
          resolve: () => {
            throw new Error('no directory');
          },
          user: () => undefined,
          isOurs: () => true,
        },
      },
    });
    session.start();
    send(`${GREETING}${ENVELOPE}`);
    expect(codes()).toEqual([220, 250, 250, 421]);
    expect(output.closed).toBe(true);
    expect(kit.logged.some((line) => line.event === 'smtp.failed')).toBe(true);
  });

  it('asks no stage that is null', () => {
    const { session, send, codes } = open();
    session.start();
    send(`${GREETING}${ENVELOPE}DATA\r\n`);
    expect(codes()).toEqual([220, 250, 250, 250, 354]);
  });

  it('keeps what comes before it was started', () => {
    const { session, send, codes } = open();
    send(GREETING);
    session.start();
    expect(codes()).toEqual([220, 250]);
  });

  it('waits with what comes before the banner', async () => {
    const connect = heldStage<'connect'>();
    const { session, send, output, codes } = open({ hooks: { connect: connect.run } });
    session.start();
    send(GREETING);
    expect(output.text).toBe('');
    connect.asked[0]!.answer(PASS);
    await settled(session);
    expect(codes()).toEqual([220, 250]);
  });
});

describe('what needs no wait', () => {
  it('has none: the banner, each reply, QUIT and its close come in the turn that asks for them', () => {
    const { session, send, codes, output } = open();
    session.start();
    expect(codes()).toEqual([220]);
    send('EHLO client.example\r\n');
    expect(codes()).toEqual([220, 250]);
    send('QUIT\r\n');
    expect(codes()).toEqual([220, 250, 221]);
    expect(output.closed).toBe(true);
  });
});

describe('the message stage', () => {
  it('sees envelope, bytes and the evidence of the stages before', async () => {
    const message = heldStage<'message'>();
    const given = { plugin: 'p', name: 'RCPT_BAD', weight: 1, reason: 'r' };
    const { session, send } = open({ hooks: { rcpt: () => ({ ...PASS, evidence: [given] }), message: message.run } });
    session.start();
    send(`${GREETING}${ENVELOPE}DATA\r\n${MESSAGE}`);
    const { request } = message.asked[0]!;
    expect(request.evidence).toEqual([given]);
    expect(Buffer.from(request.bytes.whole!).toString()).toBe('Subject: x\r\n\r\ntext\r\n');
    expect(request.envelope).toMatchObject({ id: 'ID1', reversePath: 'a@b.example', recipients: [{ mailbox: 'alice' }] });
    expect(request.perRecipient).toBeUndefined();
    expect(request.session).toMatchObject({ helo: 'client.example', clientAddress: '192.0.2.7' });
    message.asked[0]!.answer(PASS);
    await settled(session);
  });

  it('is told what MAIL said of the message, and when each recipient is answered', async () => {
    const message = heldStage<'message'>();
    const { session, send } = open({ hooks: { message: message.run } });
    session.start();
    send('EHLO client.example\r\nMAIL FROM:<a@b.example> SMTPUTF8 BODY=BINARYMIME PRDR\r\n');
    send('RCPT TO:<alice@example.org>\r\nRCPT TO:<bob@example.org>\r\nBDAT 6 LAST\r\na: b\r\n');
    const { request } = message.asked[0]!;
    expect(request.envelope).toMatchObject({ body: 'binarymime', smtpUtf8: true, origin: { protocol: 'UTF8SMTP' } });
    expect(request.perRecipient).toBe(true);
    message.asked[0]!.answer(PASS);
    await settled(session);
  });

  it('skips scoring when a plugin accepts', async () => {
    const bad = { plugin: 'p', name: 'BAD', weight: 100, reason: 'r' };
    const accept: Verdict = { kind: 'accept', evidence: [bad], edits: [], text: 'known sender' };
    const { session, send, codes, kit } = open({ hooks: { message: () => accept } });
    session.start();
    send(`${GREETING}${ENVELOPE}DATA\r\n${MESSAGE}`);
    await settled(session);
    expect(codes().at(-1)).toBe(250);
    expect(kit.taken[0]!.text).not.toContain('X-Posthorn-Spam');
  });

  const accepts: Verdict = { kind: 'accept', evidence: [], edits: [], text: 'known sender' };
  it.each<[string, KitOptions, boolean]>([
    ['nothing is scored', {}, false],
    ['a plugin accepts', { hooks: { message: () => accepts } }, false],
    ['nobody has anything to say', { hooks: { message: () => PASS } }, false],
    ['it comes from a host in relay.from', { ports: { mayRelay: () => true } }, true],
    [
      'it comes from a host in relay.from, past plugins',
      { hooks: { message: () => PASS }, ports: { mayRelay: () => true } },
      true,
    ],
  ])('a score that the message brings along, when %s', async (_when, options, stays) => {
    const { session, send, kit } = open(options);
    session.start();
    send(`${GREETING}${ENVELOPE}DATA\r\nx-posthorn-spam: -50 (pass)\r\n${MESSAGE}`);
    await settled(session);
    expect(/x-posthorn-spam/i.test(kit.taken[0]!.text)).toBe(stays);
    expect(kit.taken[0]!.text).toContain('Subject: x\r\n\r\ntext');
  });

  it('does not drop the bytes a plugin is reading when the peer leaves, nor store the message', async () => {
    const message = heldStage<'message'>();
    const { session, send, kit } = open({ hooks: { message: message.run } });
    session.start();
    send(`${GREETING}${ENVELOPE}DATA\r\n${MESSAGE}`);
    session.closed();
    expect(endings(kit)).toEqual([0]);
    message.asked[0]!.answer(PASS);
    await settled(session);
    expect(endings(kit)).toEqual([1]);
    expect(kit.taken).toEqual([]);
  });

  it('says the size of what is stored', async () => {
    const { session, send, kit } = open({
      hooks: { message: () => ({ ...PASS, edits: [{ edit: 'remove-header', name: 'subject' }] }) },
    });
    session.start();
    send(`${GREETING}${ENVELOPE}DATA\r\n${MESSAGE}`);
    await settled(session);
    expect(kit.taken[0]!.envelope.sizeBytes).toBe(kit.taken[0]!.text.length);
  });
});

describe('a peer that leaves', () => {
  it('at any byte of a session gives every writer back once', async () => {
    const script = `${GREETING}${ENVELOPE}DATA\r\n${MESSAGE}${ENVELOPE}DATA\r\n${MESSAGE}`;
    for (let at = 0; at <= script.length; at += 1) {
      const { session, send, kit } = open();
      session.start();
      send(script.slice(0, at));
      session.closed();
      session.closed();
      await settled(session);
      expect(endings(kit).every((ended) => ended === 1)).toBe(true);
    }
  });

  it('while the data stage is asked leaves no writer behind', async () => {
    const data = heldStage<'data'>();
    const { session, send, kit } = open({ hooks: { data: data.run } });
    session.start();
    send(`${GREETING}${ENVELOPE}DATA\r\n`);
    session.closed();
    data.asked[0]!.answer(PASS);
    await settled(session);
    expect(endings(kit).every((ended) => ended === 1)).toBe(true);
  });

  it('hears nothing any more', () => {
    const { session, send, output } = open();
    session.start();
    session.closed();
    const { text } = output;
    send(GREETING);
    session.timedOut();
    session.drain();
    session.drained();
    expect(output.text).toBe(text);
  });
});

describe('a slow writer', () => {
  it('holds the input until it has caught up', async () => {
    const { session, send, kit, output, codes } = open();
    kit.sink.prepare = (writer) => (writer.slow = true);
    session.start();
    send(`${GREETING}${ENVELOPE}DATA\r\nhalf `);
    expect(session.waitsFor).toBe('verdict');
    send(`a line\r\n.\r\nNOOP\r\n`);
    expect(output.paused).toBe(true);
    expect(codes().at(-1)).toBe(354);
    kit.writers[0]!.release();
    await settled(session);
    expect(output.paused).toBe(false);
    expect(codes().slice(-2)).toEqual([250, 250]);
    expect(kit.taken[0]!.text.endsWith('\r\nhalf a line\r\n')).toBe(true);
  });

  it('is given back at once when the peer leaves', () => {
    const { session, send, kit } = open();
    kit.sink.prepare = (writer) => (writer.slow = true);
    session.start();
    send(`${GREETING}${ENVELOPE}DATA\r\nhalf `);
    session.closed();
    expect(endings(kit)).toEqual([1]);
    kit.writers[0]!.release();
  });
});

describe('a peer that does not read', () => {
  it('has few replies waiting for it, however much it asked for at once', () => {
    const { session, send, output } = open({ limits: { maxCommands: 100_000 } });
    session.start();
    send(GREETING);
    output.open = false;
    const asked = 'HELP\r\n'.repeat(10_000);
    send(asked);
    expect(output.text.length).toBeLessThan(70_000);
    for (let turn = 0; turn < 100; turn += 1) session.drained();
    expect(output.text.match(/^214 /gm)).toHaveLength(10_000);
    expect(output.paused).toBe(false);
  });

  it('is told that the server goes down once it reads', () => {
    const { session, send, output, codes } = open();
    session.start();
    output.open = false;
    send(GREETING);
    session.drain();
    expect(output.closed).toBe(false);
    output.open = true;
    session.drained();
    expect(codes()).toEqual([220, 250, 421]);
    expect(output.closed).toBe(true);
  });

  it('is not read from until it takes its replies', () => {
    const { session, send, output, codes } = open();
    session.start();
    output.open = false;
    send(GREETING);
    send('NOOP\r\n');
    expect(codes()).toEqual([220, 250]);
    expect(output.paused).toBe(true);
    output.open = true;
    session.drained();
    expect(codes()).toEqual([220, 250, 250]);
    expect(output.paused).toBe(false);
  });
});

describe('going down', () => {
  it('lets a transaction that was begun finish', async () => {
    const { session, send, codes, output } = open();
    session.start();
    send(GREETING + ENVELOPE);
    session.drain();
    expect(output.closed).toBe(false);
    send(`DATA\r\n${MESSAGE}`);
    await settled(session);
    expect(codes().slice(-3)).toEqual([354, 250, 421]);
    expect(output.closed).toBe(true);
  });

  it('answers a command that was begun first', () => {
    const { session, send, codes } = open();
    session.start();
    send('NO');
    session.drain();
    send('OP\r\n');
    expect(codes()).toEqual([220, 250, 421]);
  });

  // Found by the fuzzer: it stayed until its timeout, since nothing answers the end of such a line.
  it('leaves when a line that was refused in its middle has ended', () => {
    const { output, session, send, codes } = open();
    session.start();
    send(`${GREETING}NOOP ${'x'.repeat(1000)}`);
    session.drain();
    expect(codes()).toEqual([220, 250, 500]);
    send('QUI');
    expect(output.closed).toBe(false);
    send('T\r\n');
    expect(codes()).toEqual([220, 250, 500, 421]);
    expect(output.closed).toBe(true);
  });

  it('waits for the answer of a message that is being stored, also when time is up', async () => {
    const message = heldStage<'message'>();
    const { session, send, codes, kit } = open({ hooks: { message: message.run } });
    session.start();
    send(`${GREETING}${ENVELOPE}DATA\r\n${MESSAGE}`);
    session.timedOut();
    expect(codes().at(-1)).toBe(354);
    message.asked[0]!.answer(PASS);
    await settled(session);
    expect(codes().slice(-2)).toEqual([250, 421]);
    expect(kit.taken.length).toBe(1);
  });
});

describe('STARTTLS', () => {
  it('discards what comes between 220 and the handshake, and a half line from before', () => {
    const { session, send, output, codes } = open();
    session.start();
    send('STARTTLS\r\nMAIL FR');
    send('OM:<a@b.example>\r\n');
    expect(output.tlsStarts).toBe(1);
    session.secured({ version: 'TLSv1.3', cipher: 'X' });
    send('NOOP\r\n');
    expect(codes()).toEqual([220, 220, 250]);
  });

  it('discards what was kept behind it while a verdict was awaited', async () => {
    const mail = heldStage<'mail'>();
    const { session, send, codes } = open({ hooks: { mail: mail.run } });
    session.start();
    send(`${GREETING}MAIL FROM:<a@b.example>\r\n`);
    send('STARTTLS\r\n');
    send('HELO injected.example\r\nMAIL FROM:<injected@b.example>\r\n');
    mail.asked[0]!.answer(PASS);
    await settled(session);
    session.secured({ version: 'TLSv1.3', cipher: 'X' });
    send(`${GREETING}MAIL FROM:<a@b.example>\r\n`);
    mail.asked[1]!.answer(PASS);
    await settled(session);
    expect(codes()).toEqual([220, 250, 250, 220, 250, 250]);
    expect(mail.asked.map(({ request }) => request.reversePath)).toEqual(['a@b.example', 'a@b.example']);
  });

  it('forgets a login made before it', async () => {
    const { session, send, codes } = open({ profile: { kind: 'submission', plaintextLogin: 'always' } });
    session.start();
    send('EHLO client.example\r\nAUTH PLAIN AGFsaWNlAHNlY3JldA==\r\n');
    await settled(session);
    expect(codes().at(-1)).toBe(235);
    send('STARTTLS\r\n');
    session.secured({ version: 'TLSv1.3', cipher: 'X' });
    send('EHLO client.example\r\nMAIL FROM:<alice@example.org>\r\n');
    expect(codes().at(-1)).toBe(530);
  });

  it('goes on over TLS after a peer that was behind in clear: the old socket tells of no room any more', () => {
    const { session, send, output, codes } = open();
    session.start();
    output.open = false;
    send('STARTTLS\r\n');
    output.open = true;
    session.secured({ version: 'TLSv1.3', cipher: 'X' });
    send(GREETING);
    expect(codes()).toEqual([220, 220, 250]);
  });

  it('is not announced when TLS was there from the start', () => {
    const { session, send, output } = open();
    session.secured({ version: 'TLSv1.3', cipher: 'X' });
    session.start();
    send('EHLO client.example\r\n');
    expect(output.text).not.toContain('STARTTLS');
  });
});

describe('errors', () => {
  it('are forgiven when a message was delivered', async () => {
    const { session, send, codes } = open({ limits: { maxErrors: 2 } });
    session.start();
    send(`${GREETING}BAD\r\nBAD\r\n${ENVELOPE}DATA\r\n${MESSAGE}BAD\r\nBAD\r\n`);
    await settled(session);
    expect(codes().slice(-3)).toEqual([250, 500, 500]);
    send('BAD\r\n');
    expect(codes().at(-1)).toBe(421);
  });
});
