/** Posthorn hands mail to Dovecot by LMTP, over TCP and a unix socket: each recipient has the verdict that Dovecot gave for him. */
import { existsSync, readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Dovecot, startDovecot } from '../lib/peers/dovecot.ts';
import { missing } from '../lib/peers/install.ts';
import { DOMAIN, maildirOf, type Posthorn, startPosthorn, waitForFiles, waitForMail } from '../lib/server.ts';
import { sayAll, talkTo } from '../lib/talk.ts';
import { compareBelowTrace } from '../lib/trace-headers.ts';
import { bigMessage, messageOf } from './message.ts';

const absent = missing(['dovecot-pop3d', 'dovecot-lmtpd']);
const without = absent.length > 0 || process.getuid?.() !== 0;
if (without) console.warn(`NOT TESTED: LMTP to Dovecot: ${absent.join(', ') || 'this is not root'}`);

const PASSWORD = 'correct-horse-1';
const QUOTA_BYTES = 100_000;
const ways = ['tcp', 'unix'] as const;

let dovecot: Dovecot;
let server: Posthorn;

describe.skipIf(without)('LMTP to Dovecot', () => {
  beforeAll(async () => {
    dovecot = await startDovecot({
      users: ways.flatMap((way) => [`alice-${way}`, `bob-${way}`, `full-${way}`]),
      password: PASSWORD,
      mail: (user) => (user.startsWith('full') ? [bigMessage('full', QUOTA_BYTES - 2000)] : []),
      lmtp: { quotaBytes: QUOTA_BYTES },
    });
    server = await startPosthorn({
      users: Object.fromEntries(ways.map((way) => [`sender-${way}`, PASSWORD])),
      config: {
        domains: {
          'tcp.test': { deliver: `lmtp://127.0.0.1:${dovecot.lmtpPort}` },
          'unix.test': { deliver: `lmtp:${dovecot.lmtpSocket}` },
        },
      },
      onLog: () => undefined,
    });
  });
  afterAll(async () => {
    await server.stop();
    server.remove();
    await dovecot.stop();
  });

  it.each(ways)('by %s: two have it byte for byte, the unknown and the full one come back, each with its reason', async (way) => {
    const sender = `sender-${way}`;
    const message = messageOf(`${way}-story`, { from: `${sender}@${DOMAIN}` });
    const longer = Buffer.concat([message, Buffer.from(`${'y'.repeat(70)}\r\n`.repeat(60))]);
    const talk = await talkTo(server.ports.smtp);
    await sayAll(talk, [
      ['EHLO sender.test', '250'],
      [`MAIL FROM:<${sender}@${DOMAIN}> BODY=8BITMIME`, '250'],
      ...['alice', 'nobody', 'full', 'bob'].map((user) => [`RCPT TO:<${user}-${way}@${way}.test>`, '250'] as const),
      ['DATA', '354'],
    ]);
    talk.send(Buffer.from(longer.toString('latin1').replaceAll(/^\./gm, '..'), 'latin1'));
    await sayAll(talk, [
      ['.', '250'],
      ['QUIT', '221'],
    ]);
    for (const user of ['alice', 'bob']) {
      const [arrived] = await arrivedFor(`${user}-${way}`);
      expect(compareBelowTrace(arrived!, longer)).toEqual({ added: expect.arrayContaining(['Received']) as string[] });
    }
    // Dovecot refuses the unknown at RCPT and the full one after the message (552): one notice for both, or one each.
    const bounces = await bouncesOf(sender, way);
    expect(bounces).toMatch(new RegExp(`Final-Recipient: rfc822; ?nobody-${way}@[^]*?Status: 5\\.1\\.1`));
    expect(bounces).toMatch(new RegExp(`Final-Recipient: rfc822; ?full-${way}@[^]*?Status: 5\\.2\\.2`));
    expect(bounces).not.toMatch(/Final-Recipient: rfc822; ?(alice|bob)/);
  });
});

async function bouncesOf(user: string, way: string): Promise<string> {
  await waitForMail(server, user, 1);
  const folder = join(maildirOf(server, user), 'new');
  const read = () =>
    (existsSync(folder) ? readdirSync(folder).map((name) => readFileSync(join(folder, name), 'latin1')) : []).join('\n');
  await expect.poll(read, { timeout: 20_000 }).toContain(`full-${way}@`);
  return read();
}

/** What Dovecot has for a user, with CRLF line ends, once there is something. */
async function arrivedFor(user: string): Promise<Buffer[]> {
  const folder = join(dovecot.mailFolder, user, 'new');
  await waitForFiles(folder, 1);
  return readdirSync(folder).map((name) =>
    Buffer.from(readFileSync(join(folder, name), 'latin1').replaceAll(/\r?\n/g, '\r\n'), 'latin1'),
  );
}
