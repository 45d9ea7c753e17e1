/** What XCLIENT and XFORWARD leave behind where no reply shows it: facts for plugins, the log, TLS. */
import type { SessionFacts } from '@posthorn/core/hook/contract';
import { createSmtpSession } from '@posthorn/core/smtp/session';
import { expect, it } from 'vitest';
import { createKit, type KitOptions, RecordingOutput, settled } from '../../lib/smtp-ports.ts';

const PASS = { kind: 'pass', evidence: [], edits: [] } as const;

function open(options: KitOptions = {}) {
  const kit = createKit(options);
  const output = new RecordingOutput();
  const session = createSmtpSession(kit.ports, kit.profile, { address: '192.0.2.99', port: 4025, sessionId: 'S1' }, output);
  session.start();
  return { kit, output, session, say: (text: string) => session.feed(Buffer.from(text)) };
}

it('asks the connect stage again, with the client that XCLIENT named', async () => {
  const asked: SessionFacts[] = [];
  const { output, session, say } = open({
    hooks: {
      connect: ({ session: facts }) => {
        asked.push(facts);
        return facts.clientAddress === '198.51.100.9' ? { ...PASS, kind: 'reject', text: 'Not you' } : PASS;
      },
    },
  });
  say('XCLIENT ADDR=198.51.100.9 PORT=4711\r\nEHLO x.example\r\nQUIT\r\n');
  await settled(session);
  expect(asked.map(({ clientAddress, clientPort }) => [clientAddress, clientPort])).toEqual([
    ['192.0.2.99', 4025],
    ['198.51.100.9', 4711],
  ]);
  expect(output.text.split('\r\n').map((line) => line.slice(0, 3))).toEqual(['220', '554', '503', '221', '']);
});

it("forgets the proxy's certificate and login, and keeps that TLS is up", async () => {
  const seen: SessionFacts[] = [];
  const { session, say } = open({
    profile: { kind: 'submission' },
    hooks: {
      mail: ({ session: facts }) => {
        seen.push(facts);
        return PASS;
      },
    },
  });
  say('EHLO proxy.example\r\nSTARTTLS\r\n');
  session.secured({
    version: 'TLSv1.3',
    cipher: 'TLS_AES_128_GCM_SHA256',
    clientCertificate: { subjectAltNames: ['dns:proxy.example'], fingerprint256: 'AB' },
  });
  say(`EHLO proxy.example\r\nAUTH PLAIN ${Buffer.from('\0alice\0secret').toString('base64')}\r\n`);
  await settled(session);
  say('XCLIENT ADDR=198.51.100.9 HELO=c.example\r\nMAIL FROM:<a@b.example>\r\n');
  expect(seen).toEqual([]);
  say('XCLIENT LOGIN=alice\r\nMAIL FROM:<alice@example.org>\r\n');
  expect(seen).toHaveLength(1);
  expect(seen[0]).toMatchObject({ user: 'alice', clientAddress: '198.51.100.9', tls: { version: 'TLSv1.3' } });
  expect(JSON.stringify(seen[0])).not.toContain('proxy.example');
});

it('is not offered in clear where nothing but TLS is done there', async () => {
  const { output, session, say } = open({ profile: { requireTls: true } });
  say('EHLO proxy.example\r\nXCLIENT ADDR=198.51.100.9\r\n');
  expect(output.text).not.toMatch(/XCLIENT|XFORWARD/);
  expect(output.text).toContain('\r\n530 5.7.0 ');
  say('STARTTLS\r\n');
  session.secured({ version: 'TLSv1.3', cipher: 'TLS_AES_128_GCM_SHA256' });
  say('EHLO proxy.example\r\nXCLIENT ADDR=198.51.100.9\r\n');
  await settled(session);
  expect(output.text).toMatch(/^250[- ]XCLIENT /m);
  expect(output.text.split('\r\n').at(-2)).toMatch(/^220 /);
});

it('knows whom a proxy logged in by an address', async () => {
  const { kit, session, say } = open();
  say('XCLIENT LOGIN=ALICE+40example.org HELO=c.example\r\nMAIL FROM:<alice@example.org>\r\nRCPT TO:<x@elsewhere.example>\r\n');
  say('DATA\r\nx\r\n.\r\nXCLIENT LOGIN=stranger HELO=c.example\r\nMAIL FROM:<a@b.example>\r\nRCPT TO:<x@elsewhere.example>\r\n');
  await settled(session);
  say('DATA\r\nx\r\n.\r\n');
  await settled(session);
  expect(kit.taken.map(({ envelope }) => envelope.origin.user)).toEqual(['alice', 'stranger']);
});

it('lets nothing through STARTTLS but who the client is', async () => {
  const { kit, session, say } = open({
    hooks: {
      hello: ({ session: facts }) => (facts.helo === 'before.example' ? { ...PASS, kind: 'quarantine', text: 'early' } : PASS),
    },
  });
  say('XCLIENT ADDR=198.51.100.9 HELO=said.example LOGIN=bob\r\nEHLO before.example\r\nXFORWARD HELO=forged.example\r\n');
  await settled(session);
  say('STARTTLS\r\n');
  session.secured({ version: 'TLSv1.3', cipher: 'TLS_AES_128_GCM_SHA256' });
  // One more attribute must not bring back the others.
  say('XCLIENT PORT=4711\r\nEHLO after.example\r\nMAIL FROM:<a@b.example>\r\nRCPT TO:<x@elsewhere.example>\r\n');
  say('RCPT TO:<alice@example.org>\r\nDATA\r\nx\r\n.\r\n');
  await settled(session);
  expect(kit.taken.map(({ envelope }) => [envelope.recipients.map(({ address }) => address), envelope.quarantine])).toEqual([
    [['alice@example.org'], undefined],
  ]);
  expect(kit.taken[0]?.envelope.origin).toMatchObject({ clientAddress: '198.51.100.9', helo: 'after.example' });
  expect(kit.taken[0]?.envelope.origin).not.toHaveProperty('user');
  const accepted = kit.logged.filter(({ event }) => event === 'smtp.accepted');
  expect(accepted.map(({ fields }) => fields?.['forwarded'])).toEqual([undefined]);
});

it('logs what XFORWARD said beside the next message only', async () => {
  const { kit, session, say } = open();
  const message = 'MAIL FROM:<a@b.example>\r\nRCPT TO:<alice@example.org>\r\nDATA\r\nx\r\n.\r\n';
  say('EHLO filter.example\r\nXFORWARD ADDR=198.51.100.9\r\nXFORWARD HELO=said.example\r\n');
  for (let turn = 0; turn < 2; turn += 1) {
    say(message);
    await settled(session);
  }
  const accepted = kit.logged.filter(({ event }) => event === 'smtp.accepted').map(({ fields }) => fields?.['forwarded']);
  expect(accepted).toEqual([{ ADDR: '198.51.100.9', HELO: 'said.example' }, undefined]);
});
