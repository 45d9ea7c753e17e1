/** MTA-STS (RFC 8461): ordinary mail to a domain that publishes what it asks of TLS. The policies themselves: plugins/mta-sts. */
import type { StsPolicy } from '@posthorn/core/delivery/sts';
import { describe, expect, it } from 'vitest';
import { startPeer, startRig } from '../lib/delivery-peers.ts';
import type { RigOptions } from '../lib/delivery-rig.ts';
import { policyOf, PROVEN_ZONES, provenHosts } from '../lib/proven-hosts.ts';
import type { Sink, SinkOptions } from '../lib/smtp-sink.ts';
import { testCertificate } from '../lib/test-certificate.ts';

const hosts = provenHosts();

function sink(options: SinkOptions = {}): Promise<Sink> {
  return startPeer({ extensions: ['STARTTLS', 'PIPELINING'], certificate: hosts.certificate, ...options });
}

/** @returns a rig whose y.test has that policy, and the domains whose policy it asked for */
function rigTo(peer: Sink, policy: StsPolicy | 'none' | 'unknown', relay: NonNullable<RigOptions['config']>['relay'] = {}) {
  const asked: string[] = [];
  const rig = startRig({
    config: { relay: { port: peer.port, ...relay } },
    zones: PROVEN_ZONES,
    ports: {
      sts: {
        find: async (domain) => {
          asked.push(domain);
          return policy;
        },
      },
    },
  });
  return { rig, asked };
}

const DELIVERED = [expect.stringMatching(/^delivered/)];
const both = ['mx.y.test', 'mx2.y.test'];

describe('a policy in force', () => {
  it('lets mail go to a host that it names and that has proven its name', async () => {
    const peer = await sink();
    const { rig, asked } = rigTo(peer, policyOf('enforce', ...both));
    expect(await rig.send({ to: ['b@y.test'] })).toEqual(DELIVERED);
    expect(peer.messages[0]?.secure).toBe(true);
    expect(asked).toEqual(['y.test']);
  });

  it('keeps mail from hosts that it does not name', async () => {
    const first = await sink();
    const second = await sink({ address: '127.0.0.2', port: first.port });
    expect(await rigTo(first, policyOf('enforce', 'mx2.y.test')).rig.send({ to: ['b@y.test'] })).toEqual(DELIVERED);
    expect([first.connections, second.messages.length]).toEqual([0, 1]);
    expect(await rigTo(first, policyOf('enforce', 'mx3.y.test')).rig.send({ to: ['b@y.test'] })).toEqual([
      'deferred: 451 4.7.0 none of the mail hosts of y.test is named by its MTA-STS policy',
    ]);
  });

  it.each([
    ['offers no TLS', { extensions: ['PIPELINING'] }, /^deferred: 451 4\.7\.4 /],
    ['has a certificate that nobody trusted signed', { certificate: testCertificate }, /^deferred: 451 4\.7\.5 .*SELF_SIGNED/],
    ['refuses STARTTLS', { script: { STARTTLS: '454 4.7.0 not now' } }, /^deferred: 454/],
    ['breaks the handshake', { script: { tls: 'reset' } }, /^deferred: 451 4\.7\.5 /],
  ] as const)('defers for a host that %s', async (_, options, expected) => {
    const peer = await sink(options);
    const { rig } = rigTo(peer, policyOf('enforce', 'mx.y.test'));
    expect(await rig.send({ to: ['b@y.test'] })).toEqual([expect.stringMatching(expected)]);
    expect(peer.messages).toHaveLength(0);
  });

  it('defers for a certificate of another name', async () => {
    const peer = await sink({ certificate: await hosts.ca.serverFor('elsewhere.test') });
    const { rig } = rigTo(peer, policyOf('enforce', 'mx.y.test'));
    expect(await rig.send({ to: ['b@y.test'] })).toEqual([expect.stringMatching(/^deferred: 451 4\.7\.5 .*ALTNAME/)]);
  });

  it('is asked for at each new connection, so that a new one counts at the next attempt', async () => {
    const peer = await sink();
    const { rig, asked } = rigTo(peer, policyOf('enforce', 'mx3.y.test'));
    await rig.send({ to: ['b@y.test'] });
    expect(asked).toHaveLength(1);
    rig.delivery.reload({
      domains: {},
      relay: { via: null, routes: [], port: peer.port, tls: 'opportunistic', mtaSts: true, convertSigned: false },
      throughput: { deliveryConcurrency: 1, deliveryConcurrencyPerDestination: 1 },
      queue: { priorityStep: 60_000, warnAfter: null, giveUpAfter: 432_000_000, maxReturnBytes: 262_144 },
    });
    await rig.send({ to: ['b@y.test'] });
    expect(asked).toHaveLength(2);
  });
});

describe('a policy in testing', () => {
  it.each([
    ['a host that it does not name', {}, 'mx3.y.test'],
    ['a host without TLS', { extensions: ['PIPELINING'] }, 'mx.y.test'],
    ['a certificate that proves nothing', { certificate: testCertificate }, 'mx.y.test'],
  ] as const)('lets mail go and only logs %s', async (_, options, named) => {
    const { rig } = rigTo(await sink(options), policyOf('testing', named));
    expect(await rig.send({ to: ['b@y.test'] })).toEqual(DELIVERED);
    expect(rig.events).toContain('delivery.sts-testing');
  });

  it('says nothing of a host that fits', async () => {
    const { rig } = rigTo(await sink(), policyOf('testing', 'mx.y.test'));
    expect(await rig.send({ to: ['b@y.test'] })).toEqual(DELIVERED);
    expect(rig.events).not.toContain('delivery.sts-testing');
  });
});

describe('without a policy', () => {
  it.each(['none', 'unknown'] as const)('mail goes as ever: %s', async (policy) => {
    const { rig } = rigTo(await sink({ certificate: testCertificate }), policy);
    expect(await rig.send({ to: ['b@y.test'] })).toEqual(DELIVERED);
  });

  it.each([[{ mtaSts: false }], [{ tls: 'never' }]] as const)('none is asked for with %o', async (relay) => {
    const peer = await sink({ certificate: testCertificate });
    const { rig, asked } = rigTo(peer, policyOf('enforce', 'mx3.y.test'), relay);
    expect(await rig.send({ to: ['b@y.test'] })).toEqual(DELIVERED);
    expect(asked).toEqual([]);
  });

  it('none is asked for a server of the configuration', async () => {
    const peer = await sink();
    const { rig, asked } = rigTo(peer, policyOf('enforce', 'mx3.y.test'), { via: `smtp://127.0.0.1:${peer.port}` });
    expect(await rig.send({ to: ['b@y.test'] })).toEqual(DELIVERED);
    expect(asked).toEqual([]);
  });
});
