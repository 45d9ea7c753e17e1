/** Mail that one mail host of a domain cannot take for what it does not offer: the others of the domain are asked before it fails. */
import type { Dns } from '@posthorn/core/mail/dns';
import { describe, expect, it } from 'vitest';
import { startPeer, startRig } from '../lib/delivery-peers.ts';
import { type Rig, type RigMessage, tableDns } from '../lib/delivery-rig.ts';
import type { Sink } from '../lib/smtp-sink.ts';

/** Hosts of y.test, in the order of their preference, each with what it offers. */
async function hosts(...offers: (readonly string[])[]): Promise<Sink[]> {
  const found: Sink[] = [];
  for (const [index, extensions] of offers.entries()) {
    const port = found[0]?.port;
    found.push(await startPeer({ extensions, address: `127.0.0.${index + 1}`, ...(port === undefined ? {} : { port }) }));
  }
  return found;
}

function rigTo(peers: readonly Sink[], count = peers.length): Rig {
  const names = Array.from({ length: count }, (_, index) => `mx${index + 1}.y.test`);
  return startRig({
    config: { relay: { port: peers[0]!.port } },
    zones: {
      'y.test': { mx: names.map((name, index) => [10 * (index + 1), name] as const) },
      ...Object.fromEntries(names.map((name, index) => [name, { a: [`127.0.0.${index + 1}`] }])),
    },
  });
}

const SIGNED =
  'MIME-Version: 1.0\r\nContent-Type: multipart/signed; boundary=b\r\n\r\n--b\r\n\r\ncaf\xe9\r\n--b\r\n\r\nsignature\r\n--b--\r\n';
const signed: RigMessage = { to: ['b@y.test'], text: SIGNED, envelope: { body: '8bitmime' } };
const DELIVERED = [expect.stringMatching(/^delivered: 250/)];
const mails = (peer: Sink): number => peer.commands.filter((line) => line.includes('MAIL FROM')).length;

describe('a message that the first host cannot take', () => {
  it('goes to the next one that can: it bounced at the first', async () => {
    const peers = await hosts([], [], ['8BITMIME']);
    const rig = rigTo(peers);
    expect(await rig.send(signed)).toEqual(DELIVERED);
    expect(peers.map(mails)).toEqual([0, 0, 1]);
    expect(peers[2]!.messages[0]?.data.toString('latin1')).toBe(SIGNED);
    // What the first takes still goes there.
    expect(await rig.send({ to: ['b@y.test'] })).toEqual(DELIVERED);
    expect(peers.map(mails)).toEqual([1, 0, 1]);
  });

  it.each([
    ['an address beyond ASCII', { to: ['jörg@y.test'], envelope: { smtpUtf8: true } }, ['8BITMIME', 'SMTPUTF8']],
    ['its size', { to: ['b@y.test'], text: `x: y\r\n\r\n${'z\r\n'.repeat(100)}` }, ['SIZE 1000']],
    ['its time', { to: ['b@y.test'], envelope: { deliverBy: { atMs: 4e12, mode: 'return', trace: false } } }, ['DELIVERBY']],
  ] as const)('for %s, too', async (_what, message, offer) => {
    const peers = await hosts(['SIZE 100'], offer);
    expect(await rigTo(peers).send(message)).toEqual(DELIVERED);
    expect(peers.map(mails)).toEqual([0, 1]);
  });

  it('fails with what the last of them said, when none can', async () => {
    const peers = await hosts([], []);
    const rig = rigTo(peers);
    expect(await rig.send(signed)).toEqual([expect.stringMatching(/^failed: 554 5\.6\.2 signed/)]);
    expect([peers.map(mails), peers.map(({ connections }) => connections)]).toEqual([
      [0, 0],
      [1, 1],
    ]);
    expect(rig.bounces).toHaveLength(1);
  });

  it('waits while one that may take it cannot be reached', async () => {
    const rig = rigTo(await hosts([]), 2);
    expect(await rig.send(signed)).toEqual([expect.stringMatching(/^deferred: 451 4\.4\.1 /)]);
  });

  it('fails before long, where the domain names other hosts each time', async () => {
    const [peer] = await hosts([]);
    let count = 0;
    const dns: Dns = {
      ...tableDns({}),
      mx: async () => [1, 2].map((priority) => ({ priority, exchange: `mx${++count}.y.test` })),
      a: async () => ['127.0.0.1'],
    };
    const rig = startRig({ config: { relay: { port: peer!.port } }, dns });
    expect(await rig.send(signed)).toEqual([expect.stringMatching(/^failed: 554 5\.6\.2 signed/)]);
    expect(peer!.connections).toBe(10);
  });

  it('is split, where only some of its recipients ask too much', async () => {
    const peers = await hosts(['8BITMIME'], ['8BITMIME', 'SMTPUTF8']);
    const both = { to: ['a@y.test', 'jörg@y.test'], envelope: { smtpUtf8: true } } as const;
    expect(await rigTo(peers).send(both)).toEqual([...DELIVERED, ...DELIVERED]);
    expect(peers.map((peer) => peer.messages.map(({ to }) => to.length))).toEqual([[1], [1]]);
  });
});
