/** Connections to other servers: how many, how long, for whom, and what becomes of mail when they are lost. */
import { type AddressInfo, createServer } from 'node:net';
import { createPool } from '@posthorn/core/delivery/remote/pool';
import type { Envelope } from '@posthorn/core/mail/envelope';
import { systemClock as clock } from '@posthorn/core/mail/system-clock';
import { describe, expect, it } from 'vitest';
import { startPeer, startRig, startRigTo } from '../lib/delivery-peers.ts';
import { MESSAGE, silentLog, tableDns } from '../lib/delivery-rig.ts';
import type { Sink } from '../lib/smtp-sink.ts';

/** A server that takes one message and then sends a reply a byte at a time. */
async function dripping(): Promise<{ readonly port: number; readonly closed: Promise<void> }> {
  const replies = ['250 drip', '250 ok', '250 ok', '354 go', '250 ok\r\n250-'];
  const { promise: closed, resolve: isClosed } = Promise.withResolvers<void>();
  const server = createServer((socket) => {
    socket.write('220 hi\r\n');
    let drip: NodeJS.Timeout | undefined;
    socket.on('error', () => socket.destroy());
    socket.on('close', () => {
      clearInterval(drip);
      server.close();
      isClosed();
    });
    socket.on('data', (chunk) => {
      if (replies.length === 1 && !chunk.toString('latin1').endsWith('\r\n.\r\n')) return;
      const reply = replies.shift();
      if (reply !== undefined) socket.write(replies.length === 0 ? reply : `${reply}\r\n`);
      if (replies.length === 0) drip ??= setInterval(() => socket.write('x'), 10);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return { port: (server.address() as AddressInfo).port, closed };
}

describe('connections', () => {
  const one = { throughput: { deliveryConcurrency: 1, deliveryConcurrencyPerDestination: 1 } };

  it('are used again for the next message', async () => {
    const peer = await startPeer();
    const rig = startRigTo(peer);
    await rig.send({ to: ['b@y.test'] });
    await rig.send({ to: ['b@y.test'] });
    expect(peer.connections).toBe(1);
  });

  it('carry the next MAIL right behind the final dot', async () => {
    const peer = await startPeer();
    const rig = startRigTo(peer, { config: one });
    const ids = Array.from({ length: 50 }, () => rig.put({ to: ['b@y.test'] }));
    const all = await Promise.all(ids.map((id) => rig.outcomes(id)));
    expect(all.flat().every(({ outcome }) => outcome === 'delivered')).toBe(true);
    expect(peer.messages).toHaveLength(50);
    expect(peer.connections).toBe(1);
  });

  it('lost while a message waits behind the dot: it goes out on a new one, once', async () => {
    const peer = await startPeer({
      script: { dot: ({ connection }) => (connection === 0 ? { drop: '250 ok' } : undefined) },
    });
    const rig = startRigTo(peer, { config: one });
    const ids = Array.from({ length: 3 }, () => rig.put({ to: ['b@y.test'] }));
    const all = (await Promise.all(ids.map((id) => rig.outcomes(id)))).flat();
    expect(all.map(({ outcome }) => outcome)).toEqual(['delivered', 'delivered', 'delivered']);
    expect(peer.messages).toHaveLength(2);
  });

  it('closed by the peer between two messages cost the second nothing', async () => {
    const peer = await startPeer({
      script: { MAIL: ({ connection, message }) => (connection === 0 && message === 1 ? 'reset' : undefined) },
    });
    const rig = startRigTo(peer);
    await rig.send({ to: ['b@y.test'] });
    expect(await rig.send({ to: ['b@y.test'] })).toEqual([expect.stringMatching(/^delivered/)]);
  });

  it('end with QUIT when they are not used', async () => {
    const peer = await startPeer();
    const rig = startRigTo(peer, { timeouts: { idleMs: 20 } });
    await rig.send({ to: ['b@y.test'] });
    await expect.poll(() => peer.commands.at(-1)).toBe('0 QUIT');
    await expect.poll(() => rig.delivery.sizes()).toEqual({ inFlight: 0, connections: 0, idle: 0, destinations: 0 });
  });

  it('that say nothing to QUIT make way at once: their places were held until the wait for an answer was over', async () => {
    const deaf = await startPeer({ script: { QUIT: 'silent' }, extensions: ['LIMITS MAILMAX=1'] });
    const other = await startPeer();
    const rig = startRig({
      config: {
        throughput: { deliveryConcurrency: 1, deliveryConcurrencyPerDestination: 1 },
        relay: { routes: [deaf, other].map(({ port }, index) => ({ to: `${index}.test`, via: `smtp://127.0.0.1:${port}` })) },
      },
      timeouts: { quitMs: 600_000 },
    });
    await rig.send({ to: ['a@0.test'] });
    expect(await rig.send({ to: ['a@0.test'] })).toEqual([expect.stringMatching(/^delivered/)]);
    expect(await rig.send({ to: ['a@1.test'] })).toEqual([expect.stringMatching(/^delivered/)]);
    expect(deaf.commands.filter((line) => line.endsWith('QUIT'))).toEqual(['0 QUIT', '1 QUIT']);
  });

  it('that say nothing to QUIT make way up to a bound: each keeps a socket, however few deliveries there may be at once', async () => {
    const deaf = await startPeer({ script: { QUIT: 'silent' } });
    const domains = Array.from({ length: 50 }, (_, index) => `d${index}.test`);
    const rig = startRig({
      config: { ...one, relay: { port: deaf.port } },
      zones: Object.fromEntries(domains.map((domain) => [domain, { a: ['127.0.0.1'] }])),
      timeouts: { quitMs: 300 },
    });
    const ids = domains.map((domain) => rig.put({ to: [`a@${domain}`] }));
    const all = (await Promise.all(ids.map((id) => rig.outcomes(id)))).flat();
    expect(all.every(({ outcome }) => outcome === 'delivered')).toBe(true);
    // 20 and the one at work; the peer may see an end late.
    expect(deaf.peak).toBeLessThan(30);
  });

  it('are no more than the destination may have', async () => {
    const peer = await startPeer();
    const rig = startRigTo(peer, { config: { throughput: { deliveryConcurrency: 10, deliveryConcurrencyPerDestination: 3 } } });
    const ids = Array.from({ length: 60 }, () => rig.put({ to: ['b@y.test'] }));
    await Promise.all(ids.map((id) => rig.outcomes(id)));
    expect(peer.peak).toBeGreaterThan(1);
    expect(peer.peak).toBeLessThanOrEqual(3);
  });

  it('in all are no more than allowed, and every destination gets its turn', async () => {
    const peers = await Promise.all([startPeer(), startPeer(), startPeer()]);
    const routes = peers.map((peer, index) => ({ to: `d${index}.test`, via: `smtp://127.0.0.1:${peer.port}` }));
    const rig = startRig({ config: { ...one, relay: { routes } } });
    const ids = Array.from({ length: 30 }, (_, index) => rig.put({ to: [`b@d${index % 3}.test`] }));
    await Promise.all(ids.map((id) => rig.outcomes(id)));
    expect(peers.map((peer) => peer.messages.length)).toEqual([10, 10, 10]);
    expect(rig.delivery.sizes().connections).toBeLessThanOrEqual(1);
  });

  it('that cannot be made defer what waits and what follows with the same reason, after one try', async () => {
    const peer = await startPeer({ script: { banner: { drop: '450 4.3.2 busy' } } });
    const rig = startRigTo(peer);
    const ids = Array.from({ length: 5 }, () => rig.put({ to: ['b@y.test'] }));
    const all = (await Promise.all(ids.map((id) => rig.outcomes(id)))).flat();
    expect(new Set(all.map(({ outcome, reply }) => `${outcome}: ${reply}`))).toEqual(new Set(['deferred: 450 4.3.2 busy']));
    expect(await rig.send({ to: ['b@y.test'] })).toEqual(['deferred: 450 4.3.2 busy']);
    expect(peer.connections).toBe(1);
  });

  it('are tried where the operator says so, just after one could not be made: his retry put the mail off further', async () => {
    const peer = await startPeer({
      script: { banner: ({ connection }) => (connection === 0 ? { drop: '450 4.3.2 busy' } : undefined) },
    });
    const rig = startRigTo(peer);
    expect(await rig.send({ to: ['b@y.test'] })).toEqual(['deferred: 450 4.3.2 busy']);
    expect(await rig.send({ to: ['b@y.test'] })).toEqual(['deferred: 450 4.3.2 busy']);
    expect(await rig.send({ to: ['b@y.test'], forced: true })).toEqual([expect.stringMatching(/^delivered/)]);
  });

  it('are not asked for again and again from a peer that takes only some', async () => {
    const peer = await startPeer({
      script: { banner: ({ connection }) => (connection > 1 ? { drop: '421 4.7.0 too many' } : undefined) },
    });
    const rig = startRigTo(peer);
    const ids = Array.from({ length: 60 }, () => rig.put({ to: ['b@y.test'] }));
    const all = (await Promise.all(ids.map((id) => rig.outcomes(id)))).flat();
    expect(all.every(({ outcome }) => outcome === 'delivered')).toBe(true);
    expect(peer.connections).toBeLessThan(10);
  });

  it('nor from one that counts those that leave, and says nothing to QUIT: thousands were tried in a second', async () => {
    const peer = await startPeer({
      extensions: ['LIMITS MAILMAX=1'],
      script: { banner: ({ connection }) => (connection > 0 ? { drop: '421 4.7.0 too many' } : undefined), QUIT: 'silent' },
    });
    const rig = startRigTo(peer, { timeouts: { quitMs: 100 } });
    const ids = [rig.put({ to: ['b@y.test'] }), rig.put({ to: ['b@y.test'] })];
    const all = (await Promise.all(ids.map((id) => rig.outcomes(id)))).flat();
    expect(all.map(({ outcome }) => outcome)).toEqual(['delivered', 'deferred']);
    // Once more when the first has left.
    expect(peer.connections).toBe(3);
  });

  it('that have nothing to do take over what waits behind a slow one', async () => {
    const peer = await startPeer({ script: { dot: ({ connection }) => (connection === 0 ? 'silent' : undefined) } });
    const rig = startRigTo(peer, { config: { throughput: { deliveryConcurrency: 2, deliveryConcurrencyPerDestination: 2 } } });
    for (let turn = 0; turn < 10; turn++) rig.put({ to: ['b@y.test'] });
    // One is stuck behind the silent dot, at most one more was already sent behind it.
    await peer.waitFor(8);
  });

  it('that take nothing of a large message end after the wait for a block', async () => {
    const server = createServer((socket) => {
      socket.write('220 hi\r\n');
      const replies = ['250 mute', '250 ok', '250 ok', '354 go'];
      socket.on('error', () => socket.destroy());
      socket.on('data', () => {
        socket.write(`${replies.shift() ?? ''}\r\n`);
        if (replies.length === 0) socket.pause();
      });
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const { port } = server.address() as AddressInfo;
    const rig = startRig({ config: { relay: { via: `smtp://127.0.0.1:${port}` } }, timeouts: { blockMs: 100 } });
    const text = Buffer.alloc(20_000_000, 'plain line of text\r\n');
    expect(await rig.send({ to: ['b@y.test'], text })).toEqual([
      expect.stringMatching(/^deferred: 451 4\.4\.2 .*timed out at body/),
    ]);
    server.close();
  });

  it('are not kept for a peer that drips bytes of a reply nobody asked for', async () => {
    const { port, closed } = await dripping();
    const rig = startRig({ config: { relay: { via: `smtp://127.0.0.1:${port}` } }, timeouts: { idleMs: 50, quitMs: 50 } });
    expect(await rig.send({ to: ['b@y.test'] })).toEqual([expect.stringMatching(/^delivered/)]);
    await closed;
    expect(rig.delivery.sizes().connections).toBe(0);
  });

  /** A pool with one connection, and a way to submit a body to it. */
  function poolTo({ port }: Sink, { idleMs = 5_000, time = clock } = {}) {
    const pool = createPool(
      { hostname: 'me.test', concurrency: 1, perDestination: 1, avoidMs: 0, timeouts: { idleMs } },
      { dns: tableDns({}), sts: undefined, isSelf: () => false, random: () => 0, clock: time, log: silentLog },
    );
    const hop = { to: 'host', key: 'k', host: '127.0.0.1', port, tls: 'never' } as const;
    const submit = (body: () => AsyncIterable<Uint8Array>): Promise<unknown> =>
      new Promise((done) => {
        const message = {
          due: { envelope: { id: 'a' } as Envelope, state: undefined, due: [0] },
          reversePath: '',
          recipients: ['b@y.test'],
          sizeBytes: Buffer.byteLength(MESSAGE),
          eightBit: false,
          binary: false,
          smtpUtf8: false,
          priority: 0,
          requireTls: false,
          asked: undefined,
          rank: 0,
          tries: 0,
          split: () => [],
          body,
        };
        pool.submit(hop, { ...message, done });
      });
    return { pool, submit };
  }

  it('lost while the next message is read: it is given back at a stop, not forgotten', async () => {
    const peer = await startPeer({ script: { dot: { drop: '250 ok' } } });
    const { pool, submit } = poolTo(peer);
    const { promise: slow, resolve: read } = Promise.withResolvers<void>();
    const first = submit(async function* () {
      yield Buffer.from(MESSAGE);
    });
    const second = submit(async function* () {
      await slow;
      yield Buffer.from(MESSAGE);
    });
    expect(await first).toMatchObject([{ outcome: 'delivered', reply: '250 ok' }]);
    await expect.poll(() => pool.sizes().connections).toBe(0);
    pool.drain();
    read();
    expect(await second).toBeUndefined();
  });

  it('are not left as unused while a large message is made ready for them: it would begin anew on the next, for ever', async () => {
    const peer = await startPeer();
    const timers = new Set<{ readonly atMs: number; readonly run: () => void }>();
    let nowMs = 0;
    const time = {
      now: () => nowMs,
      monotonic: () => nowMs,
      after(delayMs: number, run: () => void) {
        const timer = { atMs: nowMs + delayMs, run };
        timers.add(timer);
        return () => void timers.delete(timer);
      },
    };
    const { pool, submit } = poolTo(peer, { idleMs: 5_000, time });
    const result = await submit(async function* () {
      for (let second = 0; second < 60; second++) {
        nowMs += 1_000;
        for (const timer of timers) if (timer.atMs <= nowMs && timers.delete(timer)) timer.run();
        yield new Uint8Array(0);
      }
      yield Buffer.from(MESSAGE);
    });
    expect(result).toMatchObject([{ outcome: 'delivered', reply: expect.stringMatching(/^250 /) as string }]);
    expect(peer.connections).toBe(1);
    pool.abort();
  });

  it('that break each time while a message is made ready for them are not opened for ever', async () => {
    const peer = await startPeer({ script: { EHLO: { drop: '250 hi' } } });
    const { pool, submit } = poolTo(peer);
    const result = await submit(async function* () {
      await expect.poll(() => pool.sizes().connections).toBe(0);
      yield Buffer.from(MESSAGE);
    });
    expect(result).toEqual([{ outcome: 'deferred', reply: '451 4.4.2 connection closed' }]);
    expect(peer.connections).toBe(3);
  });

  it('to a host that takes no mail at all (521) fail for good', async () => {
    const peer = await startPeer({ script: { banner: { drop: '521 5.3.2 no mail here' } } });
    const rig = startRigTo(peer);
    expect(await rig.send({ to: ['b@y.test'] })).toEqual(['failed: 521 5.3.2 no mail here']);
  });

  it('go to the next address when the first does not answer', async () => {
    const peer = await startPeer();
    const rig = startRig({
      zones: {
        'y.test': {
          mx: [
            [10, 'dead.test'],
            [20, 'live.test'],
          ],
        },
        'dead.test': { a: ['127.0.0.2'] },
        'live.test': { a: ['127.0.0.1'] },
      },
      config: { relay: { port: peer.port } },
    });
    expect(await rig.send({ to: ['b@y.test'] })).toEqual([expect.stringMatching(/^delivered/)]);
  });
});
