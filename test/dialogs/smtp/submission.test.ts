/** What submission does where no reply and no stored message shows it: the log, what plugins see, and in which order. */
import { createSmtpSession } from '@posthorn/core/smtp/session';
import { expect, it } from 'vitest';
import { createKit, type KitOptions, RecordingOutput, settled } from '../../lib/smtp-ports.ts';

const PASS = { kind: 'pass', evidence: [], edits: [] } as const;
const LOGIN = `EHLO laptop.example\r\nAUTH PLAIN ${Buffer.from('\0alice\0secret').toString('base64')}\r\n`;

async function submit(text: string, { profile = {}, ...options }: KitOptions = {}) {
  const kit = createKit({ ...options, profile: { kind: 'submission', plaintextLogin: 'always', ...profile } });
  const output = new RecordingOutput();
  const session = createSmtpSession(kit.ports, kit.profile, { address: '192.0.2.7', port: 1, sessionId: 'S1' }, output);
  session.start();
  session.feed(Buffer.from(LOGIN));
  await settled(session);
  session.feed(Buffer.from(text));
  await settled(session);
  return { kit, said: output.text };
}

const ENVELOPE = 'MAIL FROM:<alice@example.org>\r\nRCPT TO:<bob@example.org>\r\nDATA\r\n';

it('logs whose sender was refused, and as what', async () => {
  const { kit } = await submit(`MAIL FROM:<bob@example.org>\r\n${ENVELOPE}From: bob@example.org\r\n.\r\n`);
  const refusals = kit.logged.filter(({ event }) => event === 'smtp.rejected').map(({ fields }) => fields);
  expect(refusals).toMatchObject([
    { stage: 'mail', reversePath: 'bob@example.org', user: 'alice', reply: expect.stringContaining('550 5.7.1') },
    { stage: 'message', reversePath: 'alice@example.org', user: 'alice', reply: expect.stringContaining('550 5.7.1 From') },
  ]);
});

it('shows plugins what the client sent and where it is, hidden or not, and asks them for nothing that is refused', async () => {
  const seen: { text: string; address: string; origin: string }[] = [];
  const { kit } = await submit(
    `${ENVELOPE}From: bob@example.org\r\n.\r\n${ENVELOPE}From: alice@example.org\r\nBcc: x@y.example\r\n.\r\n`,
    {
      profile: { hideClient: true },
      hooks: {
        message: ({ bytes, session, envelope }) => {
          const text = Buffer.from(bytes.whole!).toString();
          seen.push({ text, address: session.clientAddress, origin: `${envelope.origin.helo} ${envelope.origin.clientAddress}` });
          return PASS;
        },
      },
    },
  );
  const text = 'From: alice@example.org\r\nBcc: x@y.example\r\n';
  expect(seen).toEqual([{ text, address: '192.0.2.7', origin: 'laptop.example 192.0.2.7' }]);
  expect(kit.taken[0]?.text).not.toMatch(/laptop|192\.0\.2\.7|y\.example/);
});

it('says 554 where a plugin says 521, which no mail program knows', async () => {
  const hooks = { connect: () => ({ ...PASS, kind: 'reject', code: 521, text: 'Not you' }) as const };
  expect((await submit('', { hooks })).said).toMatch(/^554 5\.7\.1 Not you\r\n503 /);
  expect((await submit('', { hooks, profile: { kind: 'smtp' } })).said).toBe('521 5.7.1 Not you\r\n');
});

it('gives each message an id of its own', async () => {
  const { kit } = await submit(`${ENVELOPE}Subject: x\r\n.\r\n`.repeat(3));
  const ids = kit.taken.map(({ text }) => /^Message-ID: (.*)\r$/m.exec(text)?.[1]);
  expect(ids).toEqual(['<ID1@mx.example.org>', '<ID2@mx.example.org>', '<ID3@mx.example.org>']);
});
