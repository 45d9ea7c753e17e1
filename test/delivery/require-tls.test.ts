/** REQUIRETLS and `TLS-Required: No` (RFC 8689): where such mail goes, what is said there, and what its bounce is. */
import type { StsPolicy } from '@posthorn/core/delivery/sts';
import { describe, expect, it } from 'vitest';
import { startPeer, startRig } from '../lib/delivery-peers.ts';
import type { Rig, RigMessage, RigOptions } from '../lib/delivery-rig.ts';
import { policyOf, PROVEN_ZONES, provenHosts } from '../lib/proven-hosts.ts';
import type { Sink, SinkOptions } from '../lib/smtp-sink.ts';
import { testCertificate } from '../lib/test-certificate.ts';

const OFFERS = ['STARTTLS', 'PIPELINING', 'REQUIRETLS'];
const PROMISES_NOTHING = ['STARTTLS', 'PIPELINING'];
const MESSAGE: RigMessage = { to: ['b@y.test'], envelope: { requireTls: true } };

const hosts = provenHosts();

function sink(options: SinkOptions = {}): Promise<Sink> {
  return startPeer({ extensions: OFFERS, certificate: hosts.certificate, ...options });
}

const policyFor = (...names: string[]): StsPolicy => policyOf('enforce', ...names);

interface Setup {
  readonly policy?: StsPolicy | 'none' | 'unknown';
  readonly relay?: NonNullable<RigOptions['config']>['relay'];
  readonly timeouts?: NonNullable<RigOptions['timeouts']>;
}

/** mx.y.test is the peer, mx2.y.test whatever listens on 127.0.0.2. */
function rigTo(peer: Sink, { policy = policyFor('mx.y.test', 'mx2.y.test'), relay = {}, timeouts = {} }: Setup = {}): Rig {
  return startRig({
    timeouts,
    config: { relay: { port: peer.port, ...relay } },
    zones: PROVEN_ZONES,
    ports: { sts: { find: async () => policy } },
  });
}

const verbs = (peer: Sink): string[] => peer.commands.map((line) => line.replace(/^\d+ /, ''));

describe('REQUIRETLS', () => {
  it('goes to a host that the policy names, that has proven its name and promises the same', async () => {
    const peer = await sink();
    expect(await rigTo(peer).send(MESSAGE)).toEqual([expect.stringMatching(/^delivered/)]);
    expect(peer.messages[0]?.secure).toBe(true);
    expect(verbs(peer)).toContain('MAIL FROM:<sender@example.test> REQUIRETLS');
  });

  it('bounces with 5.7.10 where no policy says whose hosts they are; no connection is made', async () => {
    const peer = await sink();
    const rig = rigTo(peer, { policy: 'none' });
    expect(await rig.send(MESSAGE)).toEqual([expect.stringMatching(/^failed: 550 5\.7\.10 .*no MTA-STS policy$/)]);
    expect(peer.connections).toBe(0);
    expect(rig.bounces[0]?.text).toMatch(/Status: 5\.7\.10/);
  });

  it('bounces with 5.7.10 where the policy names none of the hosts', async () => {
    const peer = await sink();
    expect(await rigTo(peer, { policy: policyFor('other.y.test') }).send(MESSAGE)).toEqual([
      expect.stringMatching(/^failed: 550 5\.7\.10 .*is named/),
    ]);
    expect(peer.connections).toBe(0);
  });

  it('waits while the policy cannot be had', async () => {
    expect(await rigTo(await sink(), { policy: 'unknown' }).send(MESSAGE)).toEqual([
      expect.stringMatching(/^deferred: 451 4\.7\.0 /),
    ]);
  });

  it('bounces with 5.7.30 where no host offers it, with QUIT', async () => {
    const peer = await sink({ extensions: PROMISES_NOTHING });
    const rig = rigTo(peer, { policy: policyFor('mx.y.test') });
    expect(await rig.send(MESSAGE)).toEqual([expect.stringMatching(/^failed: 550 5\.7\.30 /)]);
    expect(verbs(peer)).toEqual(['EHLO me.test', 'STARTTLS', 'EHLO me.test', 'QUIT']);
  });

  it('bounces with 5.7.10 where no host offers TLS, with QUIT', async () => {
    const peer = await sink({ extensions: ['REQUIRETLS'] });
    const rig = rigTo(peer, { policy: policyFor('mx.y.test') });
    expect(await rig.send(MESSAGE)).toEqual([expect.stringMatching(/^failed: 550 5\.7\.10 /)]);
    expect(verbs(peer)).toEqual(['EHLO me.test', 'QUIT']);
  });

  it.each([
    ['of another name', () => hosts.ca.serverFor('elsewhere.test')],
    ['that nobody trusted signed', () => Promise.resolve(testCertificate)],
  ])('bounces with 5.7.10 for a certificate %s', async (_, other) => {
    const peer = await sink({ certificate: await other() });
    const rig = rigTo(peer, { policy: policyFor('mx.y.test') });
    expect(await rig.send(MESSAGE)).toEqual([expect.stringMatching(/^failed: 550 5\.7\.10 .*prove its name/)]);
    expect(verbs(peer)).toEqual(['EHLO me.test', 'STARTTLS']);
  });

  it('waits when the handshake breaks, or TLS is out of order just now', async () => {
    for (const script of [{ tls: 'reset' }, { STARTTLS: '454 4.7.0 not now' }] as const) {
      const peer = await sink({ script });
      expect(await rigTo(peer, { policy: policyFor('mx.y.test') }).send(MESSAGE)).toEqual([
        expect.stringMatching(/^deferred: 45/),
      ]);
      expect(peer.messages).toHaveLength(0);
    }
  });

  it('tries every host before it gives up', async () => {
    const first = await sink({ extensions: PROMISES_NOTHING });
    const second = await sink({ address: '127.0.0.2', port: first.port });
    expect(await rigTo(first).send(MESSAGE)).toEqual([expect.stringMatching(/^delivered/)]);
    expect([first.messages.length, second.messages.length]).toEqual([0, 1]);
  });

  it('bounces when one address of a host is ruled out and another cannot be reached', async () => {
    const peer = await sink({ extensions: PROMISES_NOTHING });
    const rig = startRig({
      config: { relay: { via: `smtp://mx.y.test:${peer.port}` } },
      zones: { 'mx.y.test': { a: ['127.0.0.1', '127.0.0.9'] } },
    });
    expect(await rig.send(MESSAGE)).toEqual([expect.stringMatching(/^failed: 550 5\.7\.30 /)]);
  });

  it('waits when another host may do', async () => {
    const peer = await sink({ extensions: PROMISES_NOTHING });
    expect(await rigTo(peer).send(MESSAGE)).toEqual([expect.stringMatching(/^deferred: 451 4\.4\.1 /)]);
  });

  it('bounces also when the host says nothing to QUIT', async () => {
    const peer = await sink({ extensions: PROMISES_NOTHING, script: { QUIT: 'silent' } });
    const rig = rigTo(peer, { policy: policyFor('mx.y.test'), timeouts: { quitMs: 50 } });
    expect(await rig.send(MESSAGE)).toEqual([expect.stringMatching(/^failed: 550 5\.7\.30 /)]);
  });

  it('needs no policy for a domain that is its own mail host, but the proof', async () => {
    const peer = await sink({ certificate: await hosts.ca.serverFor('alone.test') });
    const rig = rigTo(peer, { policy: 'none' });
    expect(await rig.send({ ...MESSAGE, to: ['b@alone.test'] })).toEqual([expect.stringMatching(/^delivered/)]);
  });

  it('asks a server of the configuration for proof and promise, opportunistic or not', async () => {
    const proven = await sink();
    const via = (peer: Sink) => ({ relay: { via: `smtp://mx.y.test:${peer.port}` } });
    expect(await rigTo(proven, via(proven)).send(MESSAGE)).toEqual([expect.stringMatching(/^delivered/)]);
    const other = await sink({ certificate: testCertificate });
    expect(await rigTo(other, via(other)).send(MESSAGE)).toEqual([expect.stringMatching(/^failed: 550 5\.7\.10 /)]);
  });

  it('bounces where TLS is never used', async () => {
    const peer = await sink();
    expect(await rigTo(peer, { relay: { tls: 'never' } }).send(MESSAGE)).toEqual([
      expect.stringMatching(/^failed: 550 5\.7\.10 /),
    ]);
  });

  it('shares no connection with mail that takes any', async () => {
    const peer = await sink();
    const rig = rigTo(peer, { policy: policyFor('mx.y.test') });
    await rig.send({ to: ['b@y.test'] });
    await rig.send(MESSAGE);
    expect(peer.messages.map(({ connection }) => connection)).toEqual([0, 1]);
  });

  it('is fulfilled in a mailbox here', async () => {
    const recipients = [{ address: 'a@x.test', mailbox: 'alice' }];
    const rig = rigTo(await sink());
    expect(await rig.send({ to: [], envelope: { recipients, requireTls: true } })).toEqual([expect.stringMatching(/^delivered/)]);
  });
});

describe('the bounce of such a message (§5)', () => {
  it('is to be kept as safe, and brings the header alone', async () => {
    const rig = rigTo(await sink({ extensions: PROMISES_NOTHING }), { policy: policyFor('mx.y.test') });
    await rig.send({ ...MESSAGE, text: 'Subject: secret\r\n\r\nthe body\r\n', envelope: { requireTls: true, ret: 'full' } });
    expect(rig.bounces[0]?.envelope).toMatchObject({ reversePath: '', requireTls: true });
    expect(rig.bounces[0]?.text).toContain('Subject: secret');
    expect(rig.bounces[0]?.text).not.toContain('the body');
  });

  it('goes over TLS to a proven host, with REQUIRETLS where that is offered and without where it is not', async () => {
    const bounce: RigMessage = { ...MESSAGE, from: '' };
    const promises = await sink();
    expect(await rigTo(promises).send(bounce)).toEqual([expect.stringMatching(/^delivered/)]);
    expect(verbs(promises)).toContain('MAIL FROM:<> REQUIRETLS');
    const silent = await sink({ extensions: PROMISES_NOTHING });
    expect(await rigTo(silent).send(bounce)).toEqual([expect.stringMatching(/^delivered/)]);
    expect(verbs(silent)).toContain('MAIL FROM:<>');
    expect(silent.messages[0]?.secure).toBe(true);
  });

  it('is dropped and logged where there is no TLS or no proof', async () => {
    const rig = rigTo(await sink({ extensions: ['PIPELINING'] }), { policy: policyFor('mx.y.test') });
    expect(await rig.send({ ...MESSAGE, from: '' })).toEqual([expect.stringMatching(/^failed: 550 5\.7\.10 /)]);
    expect(rig.events).toContain('delivery.failed');
    expect(rig.bounces).toEqual([]);
  });
});

describe('TLS-Required: No', () => {
  const anyway: RigMessage = { to: ['b@y.test'], envelope: { tlsOptional: true } };

  it('goes where the policy of the domain would not let it go, with TLS where that works', async () => {
    const unproven = await sink({ certificate: testCertificate });
    expect(await rigTo(unproven, { policy: policyFor('other.y.test') }).send(anyway)).toEqual([
      expect.stringMatching(/^delivered/),
    ]);
    expect(unproven.messages[0]?.secure).toBe(true);
    const plain = await sink({ extensions: [] });
    expect(await rigTo(plain).send(anyway)).toEqual([expect.stringMatching(/^delivered/)]);
  });

  it('does not undo what the configuration requires', async () => {
    const plain = await sink({ extensions: [] });
    expect(await rigTo(plain, { relay: { tls: 'required' } }).send(anyway)).toEqual([
      expect.stringMatching(/^deferred: 451 4\./),
    ]);
    expect(plain.messages).toHaveLength(0);
  });

  it('comes back when the host takes nothing without TLS', async () => {
    const strict = await sink({ extensions: [], script: { MAIL: '530 5.7.0 Must issue a STARTTLS command first' } });
    const rig = rigTo(strict, { policy: policyFor('mx.y.test') });
    expect(await rig.send(anyway)).toEqual([expect.stringMatching(/^failed: 530 5\.7\.0/)]);
    expect(rig.bounces).toHaveLength(1);
  });
});
