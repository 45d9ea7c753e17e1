/** Hosts that announce LIMITS (RFC 9422): none gets more in a session or a transaction than it said. */
import { describe, expect, it } from 'vitest';
import { startPeer, startRig } from '../lib/delivery-peers.ts';
import type { Rig } from '../lib/delivery-rig.ts';
import type { Sink, SinkOptions } from '../lib/smtp-sink.ts';

function sink(limits: string, options: SinkOptions = {}): Promise<Sink> {
  return startPeer({ extensions: ['PIPELINING', `LIMITS ${limits}`], ...options });
}

function rigTo(to: Sink): Rig {
  return startRig({
    config: {
      relay: { via: `smtp://127.0.0.1:${to.port}` },
      throughput: { deliveryConcurrency: 10, deliveryConcurrencyPerDestination: 1 },
    },
  });
}

const many = (count: number): string[] => Array.from({ length: count }, (_, index) => `r${index}@d${index % 3}.test`);

describe('a host that announces', () => {
  it('RCPTMAX gets no more recipients in one transaction; each has its own result', async () => {
    const peer = await sink('RCPTMAX=4', {
      script: { RCPT: ({ line }) => (line.includes('<r7@') ? '550 5.1.1 no' : undefined) },
    });
    const results = await rigTo(peer).send({ to: many(10) });
    expect(peer.messages.map(({ to }) => to.length)).toEqual([4, 3, 2]);
    expect(peer.messages.flatMap(({ to }) => to).toSorted()).toEqual(many(10).filter((one) => !one.startsWith('r7@')));
    expect(results.map((one) => one.slice(0, 14))).toEqual(
      many(10).map((one) => (one.startsWith('r7@') ? 'failed: 550 5.' : 'delivered: 250')),
    );
    expect(peer.connections).toBe(1);
  });

  it('RCPTDOMAINMAX gets no more domains in one session, by one message or several', async () => {
    const peer = await sink('RCPTDOMAINMAX=1');
    const rig = rigTo(peer);
    await rig.send({ to: many(6) });
    expect(peer.messages.map(({ connection, to }) => `${connection} ${to.join()}`)).toEqual([
      '0 r0@d0.test,r3@d0.test',
      '1 r1@d1.test,r4@d1.test',
      '2 r2@d2.test,r5@d2.test',
    ]);
    const two = await sink('RCPTDOMAINMAX=2');
    const ids = ['a@x.test', 'b@Y.test', 'c@x.test', 'd@z.test', 'e@z.test'];
    const other = rigTo(two);
    await Promise.all(ids.map((to) => other.put({ to: [to] })).map((id) => other.outcomes(id)));
    expect(two.messages.map(({ connection, to }) => `${connection} ${to.join()}`)).toEqual([
      '0 a@x.test',
      '0 b@Y.test',
      '0 c@x.test',
      '1 d@z.test',
      '1 e@z.test',
    ]);
  });

  it('MAILMAX gets no more messages in one session, those to be pipelined among them', async () => {
    const peer = await sink('MAILMAX=2 FUTURE=1');
    const rig = rigTo(peer);
    const ids = Array.from({ length: 5 }, () => rig.put({ to: ['a@y.test'] }));
    await Promise.all(ids.map((id) => rig.outcomes(id)));
    expect(peer.messages.map(({ connection }) => connection)).toEqual([0, 0, 1, 1, 2]);
    expect(peer.commands.filter((line) => line.includes('QUIT'))).toContain('0 QUIT');
  });

  it('what is no limit is sent to as ever', async () => {
    const peer = await sink('RCPTMAX=0 MAILMAX=x RCPTDOMAINMAX');
    await rigTo(peer).send({ to: many(10) });
    expect(peer.messages.map(({ to }) => to.length)).toEqual([10]);
  });

  it('other limits after STARTTLS is believed those', async () => {
    const peer = await sink('', {
      script: { EHLO: ({ secure }) => (secure ? '250 hi\n250 LIMITS RCPTMAX=3' : '250 hi\n250 STARTTLS\n250 LIMITS RCPTMAX=1') },
    });
    await rigTo(peer).send({ to: many(6) });
    expect(peer.messages.map(({ to }) => to.length)).toEqual([3, 3]);
  });
});

it('recipients that were accepted are not sent to again when a later transaction of their message is lost', async () => {
  const peer = await sink('RCPTMAX=1', { script: { RCPT: ({ line }) => (line.includes('<r1@') ? 'reset' : undefined) } });
  const rig = rigTo(peer);
  const results = await rig.send({ to: many(3) });
  expect(results[0]).toMatch(/^delivered/);
  expect(results[1]).toMatch(/^deferred: 451 4\.4\.2/);
  expect(peer.messages.flatMap(({ to }) => to).filter((one) => one === 'r0@d0.test')).toHaveLength(1);
});
