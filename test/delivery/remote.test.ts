/** Delivery to another server over real sockets: what the peer does, and what becomes of each recipient. */
import { type AddressInfo, createServer } from 'node:net';
import { createPool } from '@posthorn/core/delivery/remote/pool';
import { systemClock as clock } from '@posthorn/core/mail/system-clock';
import { afterEach, describe, expect, it } from 'vitest';
import { makeRig, MESSAGE, type Rig, type RigOptions, silentLog, tableDns } from '../lib/delivery-rig.ts';
import { type Script, type Sink, type SinkOptions, startSink } from '../lib/smtp-sink.ts';

const sinks: Sink[] = [];
const rigs: Rig[] = [];

async function sink(options?: SinkOptions): Promise<Sink> {
  const one = await startSink(options);
  sinks.push(one);
  return one;
}

/** A rig whose every message goes to this sink. */
function rigTo(to: Sink, options: RigOptions = {}): Rig {
  const rig = makeRig({
    ...options,
    config: { ...options.config, relay: { via: `smtp://127.0.0.1:${to.port}`, ...options.config?.relay } },
  });
  rigs.push(rig);
  return rig;
}

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

afterEach(async () => {
  await Promise.all(rigs.splice(0).map((rig) => rig.delivery.drain(0)));
  await Promise.all(sinks.splice(0).map((one) => one.close()));
});

describe('a message to another server', () => {
  it('arrives byte for byte, with its envelope', async () => {
    const peer = await sink();
    const rig = rigTo(peer);
    expect(await rig.send({ from: 'a@x.test', to: ['b@y.test', 'c@z.test'] })).toEqual([
      'delivered: 250 2.0.0 queued as 0-0',
      'delivered: 250 2.0.0 queued as 0-0',
    ]);
    const [message] = peer.messages;
    expect(message).toMatchObject({ from: 'a@x.test', to: ['b@y.test', 'c@z.test'] });
    expect(message?.data.toString('latin1')).toBe(MESSAGE);
  });

  it('declares its size, and 8-bit content where the peer takes it', async () => {
    const peer = await sink();
    const rig = rigTo(peer);
    await rig.send({ to: ['b@y.test'], text: 'Subject: x\r\n\r\n\xe9\r\n', envelope: { body: '8bitmime' } });
    expect(peer.commands).toContain('0 MAIL FROM:<sender@example.test> SIZE=17 BODY=8BITMIME');
  });

  it('is spoken without PIPELINING, SIZE and 8BITMIME to a server that knows only HELO', async () => {
    const peer = await sink({ script: { EHLO: '500 what?' } });
    const rig = rigTo(peer);
    await rig.send({ to: ['b@y.test', 'c@y.test'], envelope: { body: '8bitmime' } });
    expect(peer.commands).toEqual([
      '0 EHLO me.test',
      '0 HELO me.test',
      '0 MAIL FROM:<sender@example.test>',
      '0 RCPT TO:<b@y.test>',
      '0 RCPT TO:<c@y.test>',
      '0 DATA',
    ]);
  });

  it('goes with SMTPUTF8 to a peer that offers it, and to no other', async () => {
    const message = {
      from: 'jürgen@example.test',
      to: ['jörg@y.test'],
      text: Buffer.from('Subject: größer\r\n\r\ntext\r\n', 'utf8'),
      envelope: { smtpUtf8: true },
    } as const;
    const plain = await sink({ extensions: ['PIPELINING', '8BITMIME'] });
    expect(await rigTo(plain).send(message)).toEqual([expect.stringMatching(/^failed: 553 5\.6\.7 /)]);
    expect(plain.commands.filter((line) => line.includes('MAIL'))).toEqual([]);
    const peer = await sink({ extensions: ['PIPELINING', '8BITMIME', 'SMTPUTF8'] });
    expect(await rigTo(peer).send(message)).toEqual([expect.stringMatching(/^delivered/)]);
    const heard = peer.commands.map((line) => Buffer.from(line, 'latin1').toString('utf8'));
    expect(heard).toContain('0 MAIL FROM:<jürgen@example.test> BODY=8BITMIME SMTPUTF8');
    expect(heard).toContain('0 RCPT TO:<jörg@y.test>');
    expect(peer.messages[0]!.data.toString('utf8')).toContain('Subject: größer');
  });

  it.each([
    ['small', true, 10],
    ['small, without PIPELINING', false, 10],
    ['streamed', true, 200_000],
    ['streamed, without PIPELINING', false, 200_000],
  ])('goes octet by octet to a peer that takes binary mail: %s', async (_how, pipelining, size) => {
    const extensions = ['CHUNKING', 'BINARYMIME', ...(pipelining ? ['PIPELINING'] : [])];
    const peer = await sink({ extensions, script: { RCPT: ({ line }) => (line.includes('<no') ? '550 5.1.1 no' : undefined) } });
    const rig = rigTo(peer);
    const text = Buffer.from(`a: b\r\n\r\n\xff\n.\r\n.\r\nQUIT\r${'\n\r\0'.repeat(size)}.`, 'latin1');
    const binary = { to: ['no@y.test', 'b@y.test'], text, envelope: { body: 'binarymime' } } as const;
    const first = rig.send(binary);
    const second = rig.send({ to: ['c@y.test'] });
    expect(await first).toEqual([expect.stringMatching(/^failed: 550/), expect.stringMatching(/^delivered/)]);
    expect(await second).toEqual([expect.stringMatching(/^delivered/)]);
    expect(peer.messages.find((one) => one.to.includes('b@y.test'))!.data.equals(text)).toBe(true);
    expect(peer.commands).toContain(`0 BDAT ${text.length} LAST`);
    expect(peer.commands.some((line) => line.endsWith(' BODY=BINARYMIME'))).toBe(true);
    expect(await rig.send({ ...binary, to: ['no@y.test'] })).toEqual([expect.stringMatching(/^failed: 550/)]);
    expect(await rig.send({ to: ['c@y.test'] })).toEqual([expect.stringMatching(/^delivered/)]);
    expect(peer.messages).toHaveLength(3);
  });

  it('fails for good, unsent, when it is larger than the peer takes', async () => {
    const peer = await sink({ extensions: ['SIZE 20', 'PIPELINING'] });
    const rig = rigTo(peer);
    expect(await rig.send({ to: ['b@y.test'] })).toEqual([expect.stringMatching(/^failed: 552 5\.3\.4 /)]);
    expect(peer.commands.filter((line) => line.includes('MAIL'))).toEqual([]);
  });

  it('is streamed when it is large, dots and all', async () => {
    const peer = await sink();
    const rig = rigTo(peer);
    const text = `Subject: big\r\n\r\n${'.dot\r\n..\r\nplain line of text\r\n'.repeat(20_000)}`;
    expect(await rig.send({ to: ['b@y.test'], text })).toEqual([expect.stringMatching(/^delivered/)]);
    expect(peer.messages[0]?.data.toString('latin1') === text).toBe(true);
  });

  it('is sent in several transactions beyond a hundred recipients', async () => {
    const peer = await sink();
    const rig = rigTo(peer);
    const to = Array.from({ length: 250 }, (_, index) => `r${index}@y.test`);
    const results = await rig.send({ to });
    expect(results.every((result) => result.startsWith('delivered'))).toBe(true);
    expect(peer.messages.map((one) => one.to.length).toSorted((a, b) => a - b)).toEqual([50, 100, 100]);
  });
});

describe('recipients of one message', () => {
  it('that were accepted are not sent to again, whatever becomes of the others', async () => {
    const script: Script = { RCPT: ({ line }) => (line.includes('<later@') ? '450 4.2.1 later' : undefined) };
    const peer = await sink({ script });
    const rig = rigTo(peer);
    const id = rig.put({ to: ['good@y.test', 'later@y.test'] });
    expect((await rig.outcomes(id)).map(({ outcome }) => outcome)).toEqual(['delivered', 'deferred']);
    peer.script = {};
    await rig.retry(id);
    expect(peer.messages.map(({ to }) => to)).toEqual([['good@y.test'], ['later@y.test']]);
  });

  const partly = (pipelining: boolean): SinkOptions => ({
    extensions: pipelining ? ['PIPELINING'] : [],
    script: {
      RCPT: ({ line }) =>
        line.includes('bad') ? '550 5.1.1 nobody' : line.includes('later') ? '450 4.2.0 greylisted' : undefined,
    },
  });

  it.each([true, false])('each get their own result (pipelining: %s)', async (pipelining) => {
    const peer = await sink(partly(pipelining));
    const rig = rigTo(peer);
    expect(await rig.send({ to: ['good@y.test', 'bad@y.test', 'later@y.test'] })).toEqual([
      'delivered: 250 2.0.0 queued as 0-0',
      'failed: 550 5.1.1 nobody',
      'deferred: 450 4.2.0 greylisted',
    ]);
    expect(peer.messages).toHaveLength(1);
  });

  it.each([true, false])('all refused send no message, and the next one goes through (pipelining: %s)', async (pipelining) => {
    const peer = await sink(partly(pipelining));
    const rig = rigTo(peer, { config: { throughput: { deliveryConcurrency: 1, deliveryConcurrencyPerDestination: 1 } } });
    expect(await rig.send({ to: ['bad@y.test'] })).toEqual(['failed: 550 5.1.1 nobody']);
    expect(await rig.send({ to: ['good@y.test'] })).toEqual([expect.stringMatching(/^delivered/)]);
    expect(peer.commands).toContain('0 RSET');
    expect(peer.messages).toHaveLength(1);
  });

  it('get a lone dot when the peer says 354 though it took none of them', async () => {
    const peer = await sink({ script: { RCPT: '550 5.1.1 nobody', DATA: '354 go on' } });
    const rig = rigTo(peer);
    expect(await rig.send({ to: ['b@y.test'] })).toEqual(['failed: 550 5.1.1 nobody']);
    await peer.waitFor(1);
    expect(peer.messages[0]?.data.length).toBe(0);
  });

  it('share the reply to MAIL when the sender is refused', async () => {
    const peer = await sink({ script: { MAIL: '550 5.7.1 not you', RCPT: '503 no', DATA: '503 no' } });
    const rig = rigTo(peer);
    expect(await rig.send({ to: ['b@y.test', 'c@y.test'] })).toEqual(['failed: 550 5.7.1 not you', 'failed: 550 5.7.1 not you']);
  });

  it('share the reply to the end of the message', async () => {
    const peer = await sink({ script: { dot: '554 5.7.1 spam' } });
    const rig = rigTo(peer);
    expect(await rig.send({ to: ['b@y.test'] })).toEqual(['failed: 554 5.7.1 spam']);
  });
});

describe('a peer that breaks', () => {
  it.each(['banner', 'EHLO', 'MAIL', 'RCPT', 'DATA', 'dot'])('by reset at %s defers the message', async (at) => {
    const peer = await sink({ script: { [at]: 'reset' } });
    const rig = rigTo(peer);
    expect(await rig.send({ to: ['b@y.test'] })).toEqual([expect.stringMatching(/^deferred: 451 4\.4\.[12] /)]);
  });

  it.each(['EHLO', 'MAIL', 'RCPT', 'DATA', 'dot'])('by 421 at %s defers the message with its reply', async (at) => {
    const peer = await sink({ script: { [at]: { drop: '421 4.3.2 going down' } } });
    const rig = rigTo(peer);
    expect(await rig.send({ to: ['b@y.test'] })).toEqual(['deferred: 421 4.3.2 going down']);
  });

  it.each(['banner', 'EHLO', 'MAIL', 'RCPT', 'DATA', 'dot'])(
    'by silence at %s defers the message after its timeout',
    async (at) => {
      const peer = await sink({ script: { [at]: 'silent' } });
      const short = { greetingMs: 50, commandMs: 50, dataMs: 50, dotMs: 50 };
      const rig = rigTo(peer, { timeouts: short });
      expect(await rig.send({ to: ['b@y.test'] })).toEqual([expect.stringMatching(/^deferred: 451 4\.4\.2 .*timed out/)]);
    },
  );

  it('keeps the refusals it gave before it broke', async () => {
    const peer = await sink({
      script: { RCPT: ({ line }) => (line.includes('bad') ? '550 5.1.1 nobody' : undefined), DATA: 'reset' },
      extensions: [],
    });
    const rig = rigTo(peer);
    const [bad, good] = await rig.send({ to: ['bad@y.test', 'good@y.test'] });
    expect(bad).toBe('failed: 550 5.1.1 nobody');
    expect(good).toMatch(/^deferred: 451 4\.4\.2 /);
  });

  it('by a reply without end defers the message', async () => {
    const peer = await sink({ script: { EHLO: { raw: '250-more\r\n'.repeat(1000) } } });
    const rig = rigTo(peer);
    expect(await rig.send({ to: ['b@y.test'] })).toEqual(['deferred: 451 4.5.0 the mail host sent a reply without end']);
  });

  it('by what is no reply defers the message', async () => {
    const peer = await sink({ script: { banner: { raw: 'SSH-2.0-OpenSSH_9.6\r\n' } } });
    const rig = rigTo(peer);
    expect(await rig.send({ to: ['b@y.test'] })).toEqual(['deferred: 451 4.5.0 the mail host sent what is no reply']);
  });

  it('by more replies than were asked for is left, the message delivered', async () => {
    const peer = await sink({ script: { dot: { raw: '250 ok\r\n250 again\r\n' } } });
    const rig = rigTo(peer);
    expect(await rig.send({ to: ['b@y.test'] })).toEqual(['delivered: 250 ok']);
    expect(await rig.send({ to: ['b@y.test'] })).toEqual(['delivered: 250 ok']);
    expect(peer.connections).toBe(2);
  });

  it('by refusing in the middle of a large message gets no final dot', async () => {
    let told = false;
    const peer = await sink({ script: { body: () => (told ? 'silent' : ((told = true), '552 5.3.4 too much')) } });
    const rig = rigTo(peer);
    const text = `Subject: big\r\n\r\n${'plain line of text\r\n'.repeat(200_000)}`;
    expect(await rig.send({ to: ['b@y.test'], text })).toEqual(['failed: 552 5.3.4 too much']);
    expect(peer.messages).toHaveLength(0);
  });

  it('shows nothing but ASCII of what it says', async () => {
    const peer = await sink({ script: { dot: { raw: '554 5.7.1 n\xe9in \x1b[31m\x07!\r\n' } } });
    const rig = rigTo(peer);
    expect(await rig.send({ to: ['b@y.test'] })).toEqual(['failed: 554 5.7.1 n?in ?[31m?!']);
  });
});

describe('connections', () => {
  const one = { throughput: { deliveryConcurrency: 1, deliveryConcurrencyPerDestination: 1 } };

  it('are used again for the next message', async () => {
    const peer = await sink();
    const rig = rigTo(peer);
    await rig.send({ to: ['b@y.test'] });
    await rig.send({ to: ['b@y.test'] });
    expect(peer.connections).toBe(1);
  });

  it('carry the next MAIL right behind the final dot', async () => {
    const peer = await sink();
    const rig = rigTo(peer, { config: one });
    const ids = Array.from({ length: 50 }, () => rig.put({ to: ['b@y.test'] }));
    const all = await Promise.all(ids.map((id) => rig.outcomes(id)));
    expect(all.flat().every(({ outcome }) => outcome === 'delivered')).toBe(true);
    expect(peer.messages).toHaveLength(50);
    expect(peer.connections).toBe(1);
  });

  it('lost while a message waits behind the dot: it goes out on a new one, once', async () => {
    const peer = await sink({
      script: { dot: ({ connection }) => (connection === 0 ? { drop: '250 ok' } : undefined) },
    });
    const rig = rigTo(peer, { config: one });
    const ids = Array.from({ length: 3 }, () => rig.put({ to: ['b@y.test'] }));
    const all = (await Promise.all(ids.map((id) => rig.outcomes(id)))).flat();
    expect(all.map(({ outcome }) => outcome)).toEqual(['delivered', 'delivered', 'delivered']);
    expect(peer.messages).toHaveLength(2);
  });

  it('closed by the peer between two messages cost the second nothing', async () => {
    const peer = await sink({
      script: { MAIL: ({ connection, message }) => (connection === 0 && message === 1 ? 'reset' : undefined) },
    });
    const rig = rigTo(peer);
    await rig.send({ to: ['b@y.test'] });
    expect(await rig.send({ to: ['b@y.test'] })).toEqual([expect.stringMatching(/^delivered/)]);
  });

  it('end with QUIT when they are not used', async () => {
    const peer = await sink();
    const rig = rigTo(peer, { timeouts: { idleMs: 20 } });
    await rig.send({ to: ['b@y.test'] });
    await expect.poll(() => peer.commands.at(-1)).toBe('0 QUIT');
    await expect.poll(() => rig.delivery.sizes()).toEqual({ inFlight: 0, connections: 0, idle: 0, destinations: 0 });
  });

  it('that say nothing to QUIT make way at once: their places were held until the wait for an answer was over', async () => {
    const deaf = await sink({ script: { QUIT: 'silent' }, extensions: ['LIMITS MAILMAX=1'] });
    const other = await sink();
    const rig = makeRig({
      config: {
        throughput: { deliveryConcurrency: 1, deliveryConcurrencyPerDestination: 1 },
        relay: { routes: [deaf, other].map(({ port }, index) => ({ to: `${index}.test`, via: `smtp://127.0.0.1:${port}` })) },
      },
      timeouts: { quitMs: 600_000 },
    });
    rigs.push(rig);
    await rig.send({ to: ['a@0.test'] });
    expect(await rig.send({ to: ['a@0.test'] })).toEqual([expect.stringMatching(/^delivered/)]);
    expect(await rig.send({ to: ['a@1.test'] })).toEqual([expect.stringMatching(/^delivered/)]);
    expect(deaf.commands.filter((line) => line.endsWith('QUIT'))).toEqual(['0 QUIT', '1 QUIT']);
  });

  it('are no more than the destination may have', async () => {
    const peer = await sink();
    const rig = rigTo(peer, { config: { throughput: { deliveryConcurrency: 10, deliveryConcurrencyPerDestination: 3 } } });
    const ids = Array.from({ length: 60 }, () => rig.put({ to: ['b@y.test'] }));
    await Promise.all(ids.map((id) => rig.outcomes(id)));
    expect(peer.peak).toBeGreaterThan(1);
    expect(peer.peak).toBeLessThanOrEqual(3);
  });

  it('in all are no more than allowed, and every destination gets its turn', async () => {
    const peers = await Promise.all([sink(), sink(), sink()]);
    const routes = peers.map((peer, index) => ({ to: `d${index}.test`, via: `smtp://127.0.0.1:${peer.port}` }));
    const rig = makeRig({ config: { ...one, relay: { routes } } });
    rigs.push(rig);
    const ids = Array.from({ length: 30 }, (_, index) => rig.put({ to: [`b@d${index % 3}.test`] }));
    await Promise.all(ids.map((id) => rig.outcomes(id)));
    expect(peers.map((peer) => peer.messages.length)).toEqual([10, 10, 10]);
    expect(rig.delivery.sizes().connections).toBeLessThanOrEqual(1);
  });

  it('that cannot be made defer what waits and what follows with the same reason, after one try', async () => {
    const peer = await sink({ script: { banner: { drop: '450 4.3.2 busy' } } });
    const rig = rigTo(peer);
    const ids = Array.from({ length: 5 }, () => rig.put({ to: ['b@y.test'] }));
    const all = (await Promise.all(ids.map((id) => rig.outcomes(id)))).flat();
    expect(new Set(all.map(({ outcome, reply }) => `${outcome}: ${reply}`))).toEqual(new Set(['deferred: 450 4.3.2 busy']));
    expect(await rig.send({ to: ['b@y.test'] })).toEqual(['deferred: 450 4.3.2 busy']);
    expect(peer.connections).toBe(1);
  });

  it('are not asked for again and again from a peer that takes only some', async () => {
    const peer = await sink({
      script: { banner: ({ connection }) => (connection > 1 ? { drop: '421 4.7.0 too many' } : undefined) },
    });
    const rig = rigTo(peer);
    const ids = Array.from({ length: 60 }, () => rig.put({ to: ['b@y.test'] }));
    const all = (await Promise.all(ids.map((id) => rig.outcomes(id)))).flat();
    expect(all.every(({ outcome }) => outcome === 'delivered')).toBe(true);
    expect(peer.connections).toBeLessThan(10);
  });

  it('that have nothing to do take over what waits behind a slow one', async () => {
    const peer = await sink({ script: { dot: ({ connection }) => (connection === 0 ? 'silent' : undefined) } });
    const rig = rigTo(peer, { config: { throughput: { deliveryConcurrency: 2, deliveryConcurrencyPerDestination: 2 } } });
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
    const rig = makeRig({ config: { relay: { via: `smtp://127.0.0.1:${port}` } }, timeouts: { blockMs: 100 } });
    rigs.push(rig);
    const text = Buffer.alloc(20_000_000, 'plain line of text\r\n');
    expect(await rig.send({ to: ['b@y.test'], text })).toEqual([
      expect.stringMatching(/^deferred: 451 4\.4\.2 .*timed out at body/),
    ]);
    server.close();
  });

  it('are not kept for a peer that drips bytes of a reply nobody asked for', async () => {
    const { port, closed } = await dripping();
    const rig = makeRig({ config: { relay: { via: `smtp://127.0.0.1:${port}` } }, timeouts: { idleMs: 50, quitMs: 50 } });
    rigs.push(rig);
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
    const peer = await sink({ script: { dot: { drop: '250 ok' } } });
    const { pool, submit } = poolTo(peer);
    const { promise: slow, resolve: read } = Promise.withResolvers<void>();
    const first = submit(async function* () {
      yield Buffer.from(MESSAGE);
    });
    const second = submit(async function* () {
      await slow;
      yield Buffer.from(MESSAGE);
    });
    expect(await first).toEqual([{ outcome: 'delivered', reply: '250 ok' }]);
    await expect.poll(() => pool.sizes().connections).toBe(0);
    pool.drain();
    read();
    expect(await second).toBeUndefined();
  });

  it('are not left as unused while a large message is made ready for them: it would begin anew on the next, for ever', async () => {
    const peer = await sink();
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
    expect(result).toEqual([{ outcome: 'delivered', reply: expect.stringMatching(/^250 /) as string }]);
    expect(peer.connections).toBe(1);
    pool.abort();
  });

  it('that break each time while a message is made ready for them are not opened for ever', async () => {
    const peer = await sink({ script: { EHLO: { drop: '250 hi' } } });
    const { pool, submit } = poolTo(peer);
    const result = await submit(async function* () {
      await expect.poll(() => pool.sizes().connections).toBe(0);
      yield Buffer.from(MESSAGE);
    });
    expect(result).toEqual([{ outcome: 'deferred', reply: '451 4.4.2 connection closed' }]);
    expect(peer.connections).toBe(3);
  });

  it('to a host that takes no mail at all (521) fail for good', async () => {
    const peer = await sink({ script: { banner: { drop: '521 5.3.2 no mail here' } } });
    const rig = rigTo(peer);
    expect(await rig.send({ to: ['b@y.test'] })).toEqual(['failed: 521 5.3.2 no mail here']);
  });

  it('go to the next address when the first does not answer', async () => {
    const peer = await sink();
    const rig = makeRig({
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
    rigs.push(rig);
    expect(await rig.send({ to: ['b@y.test'] })).toEqual([expect.stringMatching(/^delivered/)]);
  });
});
