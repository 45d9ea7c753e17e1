/** TLS sessions of other servers: resumed by the next connection, and never where that would prove less than a whole handshake. */
import type { StsPolicy } from '@posthorn/core/delivery/sts';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { makeRig, type Rig } from '../lib/delivery-rig.ts';
import { type Sink, type SinkOptions, startSink } from '../lib/smtp-sink.ts';
import { type TrustedCa, trustNewCa } from '../lib/trusted-ca.ts';

let ca: TrustedCa;
const sinks: Sink[] = [];
const rigs: Rig[] = [];

beforeAll(async () => {
  ca = await trustNewCa();
});
afterAll(() => ca.forget());
afterEach(async () => {
  await Promise.all(rigs.splice(0).map((rig) => rig.delivery.drain(0)));
  await Promise.all(sinks.splice(0).map((one) => one.close()));
});

/** Takes one message over each connection. */
async function sink(names: readonly [string, ...string[]], options: SinkOptions = {}): Promise<Sink> {
  const certificate = await ca.serverFor(...names);
  const one = await startSink({ extensions: ['STARTTLS', 'PIPELINING', 'LIMITS MAILMAX=1'], certificate, ...options });
  sinks.push(one);
  return one;
}

/** The peer is the only host of y.test, and another of z.test by another name. */
function rigTo(peer: Sink, policy: () => StsPolicy | 'none' = () => 'none'): Rig {
  const rig = makeRig({
    config: { relay: { port: peer.port } },
    zones: {
      'y.test': { mx: [[10, 'mx.y.test']] },
      'z.test': { mx: [[10, 'mx.z.test']] },
      'mx.y.test': { a: ['127.0.0.1'] },
      'mx.z.test': { a: ['127.0.0.1'] },
    },
    ports: { sts: { find: async () => policy() } },
  });
  rigs.push(rig);
  return rig;
}

const to = (domain: string) => ({ to: [`b@${domain}`] });
const policyOf = (mode: StsPolicy['mode']): StsPolicy => ({ mode, names: () => true });
const seen = (peer: Sink) => peer.messages.map(({ connection, secure, resumed }) => ({ connection, secure, resumed }));

describe.each([[{}], [{ maxTlsVersion: 'TLSv1.2' }]] as const)('with %o', (options) => {
  it('the connections after the first resume its session', async () => {
    const peer = await sink(['mx.y.test'], options);
    const rig = rigTo(peer, () => policyOf('enforce'));
    for (let count = 0; count < 4; count++) expect(await rig.send(to('y.test'))).toEqual([expect.stringMatching(/^delivered/)]);
    expect(seen(peer)).toEqual([0, 1, 2, 3].map((connection) => ({ connection, secure: true, resumed: connection > 0 })));
  });

  it('a host that now has to prove its name does not get around it by a session from when it had not to', async () => {
    const peer = await sink(['another.test'], options);
    let policy: StsPolicy | 'none' = 'none';
    const rig = rigTo(peer, () => policy);
    await rig.send(to('y.test'));
    await rig.send(to('y.test'));
    expect(seen(peer).map(({ resumed }) => resumed)).toEqual([false, true]);
    policy = policyOf('enforce');
    expect(await rig.send(to('y.test'))).toEqual([expect.stringMatching(/^deferred: 451 4\.7\.5 TLS handshake .*ALTNAME/)]);
    expect(peer.messages).toHaveLength(2);
  });

  it('what was wrong with a certificate is told of a resumed session, too', async () => {
    const peer = await sink(['another.test'], options);
    const rig = rigTo(peer, () => policyOf('testing'));
    await rig.send(to('y.test'));
    await rig.send(to('y.test'));
    expect(seen(peer).map(({ resumed }) => resumed)).toEqual([false, true]);
    expect(rig.events.filter((event) => event === 'delivery.sts-testing')).toHaveLength(2);
  });
});

it('the same address under another name has a handshake of its own', async () => {
  const peer = await sink(['mx.y.test']);
  const rig = rigTo(peer, () => policyOf('enforce'));
  await rig.send(to('y.test'));
  expect(await rig.send(to('z.test'))).toEqual([expect.stringMatching(/^deferred: 451 4\.7\.5 /)]);
});

it.each([
  ['in the handshake', 'tls', false],
  ['right after it', 'EHLO', true],
] as const)(
  'where resuming breaks %s, the next is a whole one, and the mail does not go in plain for it',
  async (_, at, under) => {
    const peer = await sink(['mx.y.test'], {
      script: { [at]: ({ connection, secure }) => (connection === 1 && secure === under ? 'reset' : undefined) },
    });
    const rig = rigTo(peer);
    await rig.send(to('y.test'));
    expect(await rig.send(to('y.test'))).toEqual([expect.stringMatching(/^delivered/)]);
    expect(seen(peer)).toEqual([
      { connection: 0, secure: true, resumed: false },
      { connection: 2, secure: true, resumed: false },
    ]);
  },
);
