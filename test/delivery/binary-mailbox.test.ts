/** Binary mail (RFC 3030) into mailboxes: what comes out by POP3, which has lines only, is what was sent. */
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createLocalMailbox } from '@posthorn/core/maildrop/deliver';
import { systemClock as clock } from '@posthorn/core/mail/system-clock';
import { describe, expect, it, onTestFinished } from 'vitest';
import { startRig } from '../lib/delivery-peers.ts';
import { silentLog, type Rig, type RigMessage } from '../lib/delivery-rig.ts';

const OCTETS = Buffer.from('\x89PNG\r\n\x1a\n\0\r.\n.\r\n\xff\n--b\n', 'latin1');

function binary(text: string | Buffer): RigMessage {
  const recipients = [{ address: 'b@me.test', mailbox: 'b' }];
  return { to: ['b@me.test'], text, envelope: { body: 'binarymime', recipients } };
}

const withPicture = (octets: Buffer): Buffer =>
  Buffer.concat([
    Buffer.from(
      [
        'MIME-Version: 1.0',
        'Content-Type: multipart/mixed; boundary=b',
        'Content-Transfer-Encoding: binary',
        '',
        '--b',
        'Content-Type: text/plain; charset=utf-8',
        'Content-Transfer-Encoding: 8bit',
        '',
        'Grüße',
        '--b',
        'Content-Type: image/png',
        'Content-Transfer-Encoding: binary',
        '',
        '',
      ].join('\r\n'),
    ),
    octets,
    Buffer.from('\r\n--b--\r\n'),
  ]);

/** A rig with real Maildirs. */
function startMaildirs(refusal?: (mailbox: string, bytes: number) => Promise<undefined>): { rig: Rig; file: () => string } {
  const root = mkdtempSync(join(tmpdir(), 'posthorn-binary-'));
  onTestFinished(() => rmSync(root, { recursive: true }));
  const mailbox = createLocalMailbox({ root, clock, log: silentLog, ...(refusal === undefined ? {} : { refusal }) });
  const folder = join(root, 'b', 'Maildir', 'new');
  return { rig: startRig({ ports: { mailbox } }), file: () => join(folder, readdirSync(folder)[0]!) };
}

describe('binary mail', () => {
  // Stored as it came, each bare LF of it went out as CRLF: every picture arrived broken.
  it.each([1, 20_000])('comes out of a mailbox octet by octet once it is decoded', async (times) => {
    const picture = Buffer.concat(Array.from({ length: times }, () => OCTETS));
    const room: number[] = [];
    const { rig, file } = startMaildirs(async (_, bytes) => void room.push(bytes));
    expect(await rig.send(binary(withPicture(picture)))).toEqual([expect.stringMatching(/^delivered: 250/)]);
    const stored = readFileSync(file());
    const text = stored.toString('latin1');
    expect(text).not.toMatch(/(?<!\r)\n|\r(?!\n)|\0/);
    expect(stored.includes('Content-Transfer-Encoding: 8bit\r\n\r\nGrüße\r\n')).toBe(true);
    const [, encoded] = /image\/png\r\nContent-Transfer-Encoding: base64\r\n\r\n(.*?)\r\n--b--\r\n$/s.exec(text) ?? [];
    expect(Buffer.from(encoded ?? '', 'base64').equals(picture)).toBe(true);
    // What the name and the quota say is what is there.
    expect(file()).toContain(`S=${stored.length}`);
    expect(room).toEqual([stored.length]);
  });

  it('that is text in lines is stored as it is', async () => {
    const text = 'Subject: x\r\n\r\nHello.\r\n';
    const { rig, file } = startMaildirs();
    await rig.send(binary(text));
    expect(readFileSync(file(), 'latin1').endsWith(`\r\n${text}`)).toBe(true);
  });

  it('that is signed is converted all the same, and the log says so', async () => {
    const type = 'multipart/signed; boundary=b; micalg=sha-256; protocol="application/pgp-signature"';
    const rig = startRig();
    const signed = Buffer.from(withPicture(OCTETS).toString('latin1').replace('multipart/mixed; boundary=b', type), 'latin1');
    expect(await rig.send(binary(signed))).toEqual([expect.stringMatching(/^delivered/)]);
    expect(rig.mailboxes.get('b')?.[0]?.text).toContain(OCTETS.toString('base64'));
    expect(rig.events).toContain('delivery.signed-converted');
  });

  it('that has no form in lines bounces', async () => {
    const rig = startRig();
    const broken = 'MIME-Version: 1.0\r\nContent-Type: multipart/mixed\r\n\r\n--b\r\n\r\n\0\n\r\n--b--\r\n';
    expect(await rig.send(binary(broken))).toEqual([
      'failed: 554 5.6.3 message is binary and has no form in lines for the mailbox',
    ]);
    expect(rig.mailboxes.size).toBe(0);
    expect(rig.bounces).toHaveLength(1);
  });
});
