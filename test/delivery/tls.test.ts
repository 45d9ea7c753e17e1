/** STARTTLS, implicit TLS and logging in to a smart host: what is believed, what is sent, what is refused. */
import { describe, expect, it } from 'vitest';
import { startPeer, startRig } from '../lib/delivery-peers.ts';
import type { Rig } from '../lib/delivery-rig.ts';
import type { Sink, SinkOptions } from '../lib/smtp-sink.ts';

const WITH_TLS = ['STARTTLS', 'PIPELINING', 'AUTH PLAIN LOGIN'];

function sink(options: SinkOptions = {}): Promise<Sink> {
  return startPeer({ extensions: WITH_TLS, ...options });
}

function rigVia(via: string, tls: 'opportunistic' | 'never' | 'required' = 'opportunistic'): Rig {
  return startRig({ config: { relay: { via, tls } }, zones: { 'mail.test': { a: ['127.0.0.1'] } } });
}

/** The sink as the MX of y.test. */
function rigMx(peer: Sink, tls: 'opportunistic' | 'required'): Rig {
  const zones = { 'y.test': { mx: [[10, 'mail.test']] as const }, 'mail.test': { a: ['127.0.0.1'] } };
  return startRig({ config: { relay: { port: peer.port, tls } }, zones });
}

describe('opportunistic TLS', () => {
  it('is used where offered, whatever the certificate, with a new EHLO', async () => {
    const peer = await sink();
    await rigMx(peer, 'opportunistic').send({ to: ['b@y.test'] });
    expect(peer.messages[0]?.secure).toBe(true);
    expect(peer.commands.slice(0, 3)).toEqual(['0 EHLO me.test', '0 STARTTLS', '0 EHLO me.test']);
  });

  it('is done without where it is not offered', async () => {
    const peer = await sink({ extensions: [] });
    expect(await rigMx(peer, 'opportunistic').send({ to: ['b@y.test'] })).toEqual([expect.stringMatching(/^delivered/)]);
  });

  it('is done without when the peer refuses STARTTLS', async () => {
    const peer = await sink({ script: { STARTTLS: '454 4.7.0 not now' } });
    expect(await rigMx(peer, 'opportunistic').send({ to: ['b@y.test'] })).toEqual([expect.stringMatching(/^delivered/)]);
    expect(peer.connections).toBe(1);
  });

  it('goes on in plain, in a new connection, when the handshake breaks', async () => {
    const peer = await sink({ script: { tls: 'reset' } });
    expect(await rigMx(peer, 'opportunistic').send({ to: ['b@y.test'] })).toEqual([expect.stringMatching(/^delivered/)]);
    expect(peer.messages.map((one) => [one.connection, one.secure])).toEqual([[1, false]]);
  });

  // In TLS 1.3 the client is done before the server refuses it: that was taken for a connection that was lost.
  it.each([{}, { maxTlsVersion: 'TLSv1.2' }] as const)(
    'goes on in plain where the server refuses a client without a certificate, %o',
    async (options) => {
      const peer = await sink({ ...options, asksForCertificate: true });
      expect(await rigMx(peer, 'opportunistic').send({ to: ['b@y.test'] })).toEqual([expect.stringMatching(/^delivered/)]);
      expect(peer.messages.map((one) => [one.connection, one.secure])).toEqual([[1, false]]);
      expect(await rigMx(peer, 'required').send({ to: ['b@y.test'] })).toEqual([expect.stringMatching(/^deferred: 451 4\./)]);
      expect(peer.messages).toHaveLength(1);
    },
  );

  it('is kept to by who said a word under it: 421 there is an answer', async () => {
    const peer = await sink({ script: { EHLO: ({ secure }) => (secure ? { drop: '421 4.3.2 going down' } : undefined) } });
    expect(await rigMx(peer, 'opportunistic').send({ to: ['b@y.test'] })).toEqual(['deferred: 421 4.3.2 going down']);
    expect(peer.connections).toBe(1);
  });

  it('is never used when the configuration says so', async () => {
    const peer = await sink();
    await rigVia(`smtp://127.0.0.1:${peer.port}`, 'never').send({ to: ['b@y.test'] });
    expect(peer.messages[0]?.secure).toBe(false);
  });
});

describe('required TLS and a peer that somebody else speaks for', () => {
  const GREETING = '250-evil\r\n250 AUTH PLAIN\r\n';
  const FORMS = {
    'the reply to EHLO': GREETING,
    'a whole session': `${GREETING}250 ok\r\n250 ok\r\n354 go on\r\n250 queued\r\n221 bye\r\n`,
    'half a reply': '250-ev',
    'half a line end': '250 evil\r',
    'another go-ahead': '220 go on\r\n',
    'octets of any kind': '\0\x01\x02',
  };
  const cases = (['smtp', 'lmtp'] as const).flatMap((protocol) =>
    Object.entries(FORMS).map(([form, injected]) => ({ protocol, form, injected })),
  );

  it.each(cases)(
    'believes no replies that were sent ahead of the handshake, $protocol: $form',
    async ({ protocol, injected }) => {
      const peer = await sink({ lmtp: protocol === 'lmtp', script: { STARTTLS: { raw: `220 go on\r\n${injected}` } } });
      expect(await rigVia(`${protocol}://127.0.0.1:${peer.port}`, 'required').send({ to: ['b@y.test'] })).toEqual([
        'deferred: 451 4.7.5 the mail host sent replies ahead of the TLS handshake',
      ]);
      // Nothing was said to whom it is not known who it is.
      expect(peer.commands.map((line) => line.slice(2, 10))).toEqual([protocol === 'lmtp' ? 'LHLO me.' : 'EHLO me.', 'STARTTLS']);
      expect(peer.messages).toHaveLength(0);
    },
  );

  it.each(['smtp', 'lmtp'] as const)('takes what comes in place of a handshake for none, %s', async (protocol) => {
    const peer = await sink({ lmtp: protocol === 'lmtp', script: { tls: { raw: GREETING } } });
    const [result] = await rigVia(`${protocol}://127.0.0.1:${peer.port}`, 'required').send({ to: ['b@y.test'] });
    expect(result).toMatch(/^deferred: 451 4\.7\.5 (TLS handshake|the mail host sent replies ahead)/);
    expect(peer.messages).toHaveLength(0);
  });

  it.each(['smtp', 'lmtp'] as const)('begins no session on replies that came before their commands, %s', async (protocol) => {
    const hello = { raw: `250-x\r\n250 STARTTLS\r\n220 go on\r\n${GREETING}` };
    const peer = await sink({ lmtp: protocol === 'lmtp', script: { EHLO: hello, LHLO: hello } });
    const [result] = await rigVia(`${protocol}://127.0.0.1:${peer.port}`, 'required').send({ to: ['b@y.test'] });
    expect(result).toMatch(/^deferred: 451 4\.7\.5 /);
    expect(peer.messages).toHaveLength(0);
  });
});

describe('required TLS', () => {
  it('defers where it is not offered', async () => {
    const peer = await sink({ extensions: [] });
    expect(await rigMx(peer, 'required').send({ to: ['b@y.test'] })).toEqual([expect.stringMatching(/^deferred: 451 4\.7\.4 /)]);
    expect(peer.messages).toHaveLength(0);
  });

  it('defers, and does not fall back, when the handshake breaks', async () => {
    const peer = await sink({ script: { tls: 'reset' } });
    expect(await rigMx(peer, 'required').send({ to: ['b@y.test'] })).toEqual([
      expect.stringMatching(/^deferred: 451 4\.[47]\.[25] /),
    ]);
    expect(peer.connections).toBe(1);
  });

  it('takes any certificate of an MX host, and asks a named host to prove its name', async () => {
    const peer = await sink();
    expect(await rigMx(peer, 'required').send({ to: ['b@y.test'] })).toEqual([expect.stringMatching(/^delivered/)]);
    expect(await rigVia(`smtp://mail.test:${peer.port}`, 'required').send({ to: ['b@y.test'] })).toEqual([
      expect.stringMatching(/^deferred: 451 4\.7\.5 TLS handshake .*SELF_SIGNED/),
    ]);
  });

  it('from the first byte asks the host to prove its name', async () => {
    const peer = await sink({ implicitTls: true });
    expect(await rigVia(`smtps://mail.test:${peer.port}`).send({ to: ['b@y.test'] })).toEqual([
      expect.stringMatching(/^deferred: 451 4\.7\.5 TLS handshake .*SELF_SIGNED/),
    ]);
    expect(peer.messages).toHaveLength(0);
  });
});

describe('logging in to a smart host', () => {
  it('says AUTH PLAIN with the secret of the configuration', async () => {
    const peer = await sink({ extensions: ['AUTH PLAIN LOGIN'] });
    await rigVia(`smtp://me%40x.test:s%3Aecret@127.0.0.1:${peer.port}`).send({ to: ['b@y.test'] });
    const line = peer.commands.find((command) => command.includes('AUTH'));
    expect(Buffer.from(line?.split(' ').at(-1) ?? '', 'base64').toString()).toBe('\0me@x.test\0s:ecret');
    expect(peer.messages).toHaveLength(1);
  });

  it('says AUTH LOGIN where only that is offered', async () => {
    const peer = await sink({
      extensions: ['AUTH=LOGIN'],
      script: { AUTH: '334 VXNlcm5hbWU6', 'DTE=': '334 UGFzc3dvcmQ6', 'CDE=': '235 ok' },
    });
    expect(await rigVia(`smtp://u1:p1@127.0.0.1:${peer.port}`).send({ to: ['b@y.test'] })).toEqual([
      expect.stringMatching(/^delivered/),
    ]);
    expect(peer.commands.slice(1, 4)).toEqual(['0 AUTH LOGIN', '0 dTE=', '0 cDE=']);
  });

  it('defers when it is refused, since the configuration can be mended', async () => {
    const peer = await sink({ extensions: ['AUTH PLAIN'], script: { AUTH: '535 5.7.8 no' } });
    expect(await rigVia(`smtp://u:p@127.0.0.1:${peer.port}`).send({ to: ['b@y.test'] })).toEqual([
      'deferred: 451 4.7.0 login refused by the mail host: 535 5.7.8 no',
    ]);
  });

  it('never sends the secret to a host that has not proven its name', async () => {
    const peer = await startPeer({ extensions: WITH_TLS, address: '127.0.0.1' });
    const rig = startRig({
      config: { relay: { via: `smtps://u:p@127.0.0.1:${peer.port}` } },
      timeouts: { handshakeMs: 100 },
    });
    expect(await rig.send({ to: ['b@y.test'] })).toEqual([expect.stringMatching(/^deferred/)]);
    expect(peer.commands.filter((line) => line.includes('AUTH'))).toEqual([]);
  });
});
