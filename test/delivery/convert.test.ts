/** Mail for hosts that do not take it as it is: what goes over the wire to each, and what comes back. */
import { describe, expect, it } from 'vitest';
import { startPeer, startRig, startRigTo } from '../lib/delivery-peers.ts';
import type { Rig, RigMessage, RigOptions } from '../lib/delivery-rig.ts';
import type { Sink } from '../lib/smtp-sink.ts';

function rigTo(to: Sink, relay: NonNullable<RigOptions['config']>['relay'] = {}): Rig {
  return startRigTo(to, { config: { relay } });
}

const SEVEN = ['PIPELINING', 'SIZE 10000000'];
const EIGHT = [...SEVEN, '8BITMIME'];
const HEAD = 'Subject: x\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=iso-8859-1\r\n';
const eightBit: RigMessage = { to: ['b@y.test'], text: `${HEAD}\r\n.caf\xe9 0123456789\r\n`, envelope: { body: '8bitmime' } };
const quoted = `${HEAD}Content-Transfer-Encoding: quoted-printable\r\n\r\n.caf=E9 0123456789\r\n`;
const mailOf = (peer: Sink): string | undefined => peer.commands.find((line) => line.includes('MAIL FROM'));
const DELIVERED = [expect.stringMatching(/^delivered: 250/)];

describe('8-bit mail', () => {
  it('is converted for a host without 8BITMIME, and SIZE says what is sent', async () => {
    const peer = await startPeer({ extensions: SEVEN });
    expect(await rigTo(peer).send(eightBit)).toEqual(DELIVERED);
    expect(peer.messages[0]!.data.toString('latin1')).toBe(quoted);
    expect(mailOf(peer)).toBe(`0 MAIL FROM:<sender@example.test> SIZE=${quoted.length}`);
  });

  it('is converted after HELO, too', async () => {
    const peer = await startPeer({ script: { EHLO: '500 what?' } });
    expect(await rigTo(peer).send(eightBit)).toEqual(DELIVERED);
    expect(peer.messages[0]!.data.toString('latin1')).toBe(quoted);
  });

  it.each(['8bitmime', '7bit'] as const)(
    'that is declared as %s goes as it is, and declared, to a host that takes it',
    async (body) => {
      const peer = await startPeer({ extensions: EIGHT });
      expect(await rigTo(peer).send({ ...eightBit, envelope: { body } })).toEqual(DELIVERED);
      expect(peer.messages[0]!.data.toString('latin1')).toBe(eightBit.text);
      expect(mailOf(peer)).toMatch(/ BODY=8BITMIME$/);
    },
  );

  it('that nobody declared is converted all the same', async () => {
    const peer = await startPeer({ extensions: SEVEN });
    expect(await rigTo(peer).send({ ...eightBit, envelope: { body: '7bit' } })).toEqual(DELIVERED);
    expect(peer.messages[0]!.data.toString('latin1')).toBe(quoted);
  });

  it('that was declared and is none goes as it is', async () => {
    const peer = await startPeer({ extensions: SEVEN });
    const text = 'Subject: x\r\nContent-Transfer-Encoding: 8bit\r\n\r\nplain\r\n';
    expect(await rigTo(peer).send({ to: ['b@y.test'], text, envelope: { body: '8bitmime' } })).toEqual(DELIVERED);
    expect(peer.messages[0]!.data.toString('latin1')).toBe(text);
  });

  it('that is large is converted as it is streamed', async () => {
    const peer = await startPeer({ extensions: SEVEN });
    const line = '.Die K\xf6che m\xfcssen w\xe4hrenddessen f\xfcr die G\xe4ste kochen.\r\n';
    expect(await rigTo(peer).send({ ...eightBit, text: `${HEAD}\r\n${line.repeat(5_000)}` })).toEqual(DELIVERED);
    const data = peer.messages[0]!.data.toString('latin1');
    expect(data).not.toMatch(/[^\x01-\x7f]/);
    const body = data.slice(data.indexOf('\r\n\r\n') + 4).replace(/=\r\n/g, '');
    expect(body.replace(/=(..)/g, (_, hex: string) => String.fromCharCode(parseInt(hex, 16)))).toBe(line.repeat(5_000));
    expect(mailOf(peer)).toBe(`0 MAIL FROM:<sender@example.test> SIZE=${data.length}`);
  });

  it('that becomes too large for the host bounces unsent', async () => {
    const peer = await startPeer({ extensions: [`SIZE ${quoted.length - 1}`, 'PIPELINING'] });
    expect(await rigTo(peer).send(eightBit)).toEqual([expect.stringMatching(/^failed: 552 5\.3\.4 /)]);
    expect(mailOf(peer)).toBeUndefined();
  });

  it('that is signed bounces, unless the operator has it converted', async () => {
    const type = 'Content-Type: multipart/signed; boundary=s; micalg=sha-256; protocol="application/pgp-signature"\r\n';
    const text = `MIME-Version: 1.0\r\n${type}\r\n--s\r\n\r\ncaf\xe9 0123456789\r\n--s--\r\n`;
    const peer = await startPeer({ extensions: SEVEN });
    expect(await rigTo(peer).send({ ...eightBit, text })).toEqual([expect.stringMatching(/^failed: 554 5\.6\.2 signed /)]);
    expect(mailOf(peer)).toBeUndefined();
    expect(await rigTo(peer, { convertSigned: true }).send({ ...eightBit, text })).toEqual(DELIVERED);
    expect(peer.messages[0]!.data.toString('latin1')).toContain('caf=E9 0123456789');
  });

  it('is what the host that is connected takes, not what another one of the domain would', async () => {
    const first = await startPeer({ extensions: EIGHT, address: '127.0.0.2', script: { MAIL: '421 4.3.2 going down' } });
    const second = await startPeer({ extensions: SEVEN, address: '127.0.0.3', port: first.port });
    const zones = {
      'y.test': {
        mx: [
          [10, 'one.y.test'],
          [20, 'two.y.test'],
        ] as [number, string][],
      },
      'one.y.test': { a: ['127.0.0.2'] },
      'two.y.test': { a: ['127.0.0.3'] },
    };
    const rig = startRig({ zones, config: { relay: { port: first.port } } });
    expect(await rig.send(eightBit)).toEqual(DELIVERED);
    expect(mailOf(first)).toMatch(/ BODY=8BITMIME$/);
    expect(mailOf(second)).not.toContain('BODY');
    expect(second.messages[0]!.data.toString('latin1')).toBe(quoted);
  });
});

describe('binary mail', () => {
  const octets = Buffer.from('x\n.\nQUIT\r\xff\0', 'latin1');
  const binary = (size: number): RigMessage => ({
    to: ['b@y.test'],
    text: Buffer.concat([
      Buffer.from('MIME-Version: 1.0\r\nContent-Type: a/b\r\nContent-Transfer-Encoding: binary\r\n\r\n'),
      Buffer.alloc(size, octets),
    ]),
    envelope: { body: 'binarymime' },
  });

  it.each([
    ['7-bit mail', SEVEN, 12],
    ['8-bit mail', EIGHT, 12],
    ['BINARYMIME without a way to send it', [...EIGHT, 'BINARYMIME'], 12],
    ['8-bit mail, streamed', EIGHT, 200_000],
  ])('is never sent by DATA as it is: it is base64 for a host that takes %s', async (_what, extensions, size) => {
    const peer = await startPeer({ extensions });
    expect(await rigTo(peer).send(binary(size))).toEqual(DELIVERED);
    const [head, body = ''] = peer.messages[0]!.data.toString('latin1').split('\r\n\r\n');
    expect(head).toBe('MIME-Version: 1.0\r\nContent-Type: a/b\r\nContent-Transfer-Encoding: base64');
    expect(Buffer.from(body, 'base64').equals(Buffer.alloc(size, octets))).toBe(true);
    expect(mailOf(peer)).not.toContain('BINARYMIME');
  });

  it('stays 8-bit where that is enough', async () => {
    const text = `${HEAD}Content-Transfer-Encoding: binary\r\n\r\ncaf\xe9\r\n`;
    const peer = await startPeer({ extensions: EIGHT });
    expect(await rigTo(peer).send({ to: ['b@y.test'], text, envelope: { body: 'binarymime' } })).toEqual(DELIVERED);
    expect(peer.messages[0]!.data.toString('latin1')).toBe(text.replace('binary', '8bit'));
    expect(mailOf(peer)).toMatch(/ BODY=8BITMIME$/);
  });
});

describe('mail that came with SMTPUTF8', () => {
  const message = (subject: string): RigMessage => ({
    to: ['b@y.test'],
    text: Buffer.from(`Subject: ${subject}\r\n\r\ncaf\u{e9} 0123456789\r\n`, 'utf8'),
    envelope: { smtpUtf8: true, body: '8bitmime' },
  });

  it('is like other mail for a host without it where addresses and headers are ASCII', async () => {
    const eight = await startPeer({ extensions: EIGHT });
    expect(await rigTo(eight).send(message('x'))).toEqual(DELIVERED);
    expect(mailOf(eight)).toMatch(/ BODY=8BITMIME$/);
    const seven = await startPeer({ extensions: SEVEN });
    expect(await rigTo(seven).send(message('x'))).toEqual(DELIVERED);
    expect(seven.messages[0]!.data.toString('latin1')).toContain('caf=C3=A9');
  });

  it('bounces for a host without it where only the header is more than ASCII', async () => {
    const peer = await startPeer({ extensions: EIGHT });
    expect(await rigTo(peer).send(message('gr\u{f6}\u{df}er'))).toEqual([expect.stringMatching(/^failed: 553 5\.6\.7 /)]);
    expect(mailOf(peer)).toBeUndefined();
  });

  it('bounces for one recipient beyond ASCII only, of several at a host that takes the others', async () => {
    const peer = await startPeer({ extensions: EIGHT });
    expect(await rigTo(peer).send({ ...message('x'), to: ['j\u{f6}rg@y.test', 'b@y.test', 'c@y.test'] })).toEqual([
      expect.stringMatching(/^failed: 553 5\.6\.7 /),
      ...DELIVERED,
      ...DELIVERED,
    ]);
    expect(peer.messages.map(({ to }) => to)).toEqual([['b@y.test', 'c@y.test']]);
  });

  it('bounces for one recipient beyond ASCII only, where the others go to another host', async () => {
    const without = await startPeer({ extensions: EIGHT });
    const able = await startPeer({ extensions: [...EIGHT, 'SMTPUTF8'] });
    const rig = startRig({
      config: {
        relay: {
          routes: [
            { to: 'a.test', via: `smtp://127.0.0.1:${without.port}` },
            { to: 'b.test', via: `smtp://127.0.0.1:${able.port}` },
          ],
        },
      },
    });
    expect(await rig.send({ ...message('gr\u{f6}\u{df}er'), to: ['j\u{f6}rg@a.test', 'j\u{f6}rg@b.test'] })).toEqual([
      expect.stringMatching(/^failed: 553 5\.6\.7 /),
      ...DELIVERED,
    ]);
  });
});
