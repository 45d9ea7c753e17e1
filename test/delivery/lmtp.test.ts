/** Delivery by LMTP (RFC 2033): a reply for each recipient at the end, each settled on its own; TCP and unix sockets. */
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { startPeer, startRig } from '../lib/delivery-peers.ts';
import { MESSAGE, type Rig, type RigOptions } from '../lib/delivery-rig.ts';
import { tempFolder } from '../lib/process.ts';
import type { Sink, SinkOptions } from '../lib/smtp-sink.ts';

function sink(options?: SinkOptions): Promise<Sink> {
  return startPeer({ lmtp: true, ...options });
}

function rigVia(via: string, options: RigOptions = {}): Rig {
  const throughput = { deliveryConcurrency: 10, deliveryConcurrencyPerDestination: 1 };
  return startRig({ ...options, config: { throughput, relay: { routes: [{ to: '*', via }] } } });
}

/** A folder that goes away with its test. */
function tempSocketFolder(): Disposable & { readonly path: string } {
  const { path, remove } = tempFolder('lmtp');
  return { path, [Symbol.dispose]: remove };
}

const rigTo = (to: Sink, options?: RigOptions): Rig => rigVia(`lmtp://127.0.0.1:${to.port}`, options);

const THREE = ['a@y.test', 'b@y.test', 'c@y.test'];
const PIPELINING = { true: ['PIPELINING', '8BITMIME', 'ENHANCEDSTATUSCODES'], false: ['8BITMIME'] } as const;

describe.each(['true', 'false'] as const)('by LMTP, pipelined: %s,', (pipelined) => {
  const extensions = PIPELINING[pipelined];

  it('each recipient is settled by its own reply', async () => {
    const script = {
      RCPT: ({ line }: { line: string }) => (line.includes('<no@') ? '550 5.1.1 no such user' : undefined),
      dot: ({ recipient }: { recipient?: string }) =>
        recipient === 'b@y.test' ? '552 5.2.2 mailbox full' : recipient === 'c@y.test' ? '451 4.2.1 later' : undefined,
    };
    const peer = await sink({ extensions, script });
    const rig = rigTo(peer);
    expect(await rig.send({ to: ['no@y.test', ...THREE] })).toEqual([
      'failed: 550 5.1.1 no such user',
      'delivered: 250 2.0.0 queued as 0-0',
      'failed: 552 5.2.2 mailbox full',
      'deferred: 451 4.2.1 later',
    ]);
    expect(peer.commands[0]).toBe('0 LHLO me.test');
    expect(peer.messages.map(({ to, data }) => [to, data.toString()])).toEqual([[['a@y.test'], MESSAGE]]);
  });

  it('the next message goes over the same connection, in step', async () => {
    const peer = await sink({ extensions });
    const rig = rigTo(peer);
    const first = rig.put({ to: THREE });
    const second = rig.put({ to: ['d@y.test'] });
    await Promise.all([rig.outcomes(first), rig.outcomes(second)]);
    expect(await rig.send({ to: ['e@y.test'] })).toEqual([expect.stringMatching(/^delivered: 250/)]);
    expect(peer.messages.map(({ to }) => to)).toEqual([THREE, ['d@y.test'], ['e@y.test']]);
    expect(peer.connections).toBe(1);
  });

  it('a connection lost between the replies leaves those that were answered settled', async () => {
    const dot = ({ recipient }: { recipient?: string }) => (recipient === 'b@y.test' ? 'reset' : undefined);
    const rig = rigTo(await sink({ extensions, script: { dot } }));
    const [a, b, c] = await rig.send({ to: THREE });
    // The reset may overtake the first reply; what is never said is that all of them were lost or taken.
    expect(a).toMatch(/^(delivered: 250|deferred: 451 4\.4\.2)/);
    expect([b, c]).toEqual([expect.stringMatching(/^deferred: 451 4\.4\.2/), expect.stringMatching(/^deferred: 451 4\.4\.2/)]);
  });

  it('an answer too many is for nobody: the next message would be refused by it, and goes over a new connection', async () => {
    let isFirst = true;
    const dot = ({ recipient }: { recipient?: string }) => {
      if (recipient !== 'c@y.test' || !isFirst) return undefined;
      isFirst = false;
      return { raw: '250 2.0.0 ok\r\n550 5.1.1 no such user\r\n' };
    };
    const peer = await sink({ extensions, script: { dot } });
    const rig = rigTo(peer);
    const first = rig.put({ to: THREE });
    const second = rig.put({ to: ['d@y.test', 'e@y.test'] });
    const all = [...(await rig.outcomes(first)), ...(await rig.outcomes(second))];
    expect(all.map(({ outcome }) => outcome)).toEqual(Array(5).fill('delivered'));
    expect(peer.messages.map(({ connection }) => connection)).toEqual([0, 1]);
  });

  it('a message that none may have is not sent', async () => {
    const peer = await sink({ extensions, script: { RCPT: '550 5.1.1 no' } });
    const rig = rigTo(peer);
    expect(await rig.send({ to: THREE })).toEqual(THREE.map(() => 'failed: 550 5.1.1 no'));
    expect(peer.messages).toEqual([]);
  });
});

describe('an LMTP server', () => {
  it('that knows no LHLO is not tried with HELO', async () => {
    const peer = await sink({ script: { LHLO: '500 5.5.1 what?' } });
    const rig = rigTo(peer);
    expect(await rig.send({ to: ['a@y.test'] })).toEqual(['deferred: 500 5.5.1 what?']);
    expect(peer.commands).toEqual(['0 LHLO me.test']);
  });

  it('that wants the message of nobody is left: no reply would come to its end', async () => {
    const peer = await sink({ script: { RCPT: '550 5.1.1 no', DATA: '354 go on' } });
    const rig = rigTo(peer);
    expect(await rig.send({ to: ['a@y.test'] })).toEqual(['failed: 550 5.1.1 no']);
    peer.script = {};
    expect(await rig.send({ to: ['b@y.test'] })).toEqual(['delivered: 250 2.0.0 queued as 1-0']);
  });

  it('gets a binary message by BDAT, and answers for each recipient', async () => {
    const peer = await sink({ extensions: ['PIPELINING', 'CHUNKING', 'BINARYMIME'] });
    const rig = rigTo(peer);
    const text = Buffer.from('Subject: x\r\n\r\n\0\r\n.\r\n\n', 'latin1');
    expect(await rig.send({ to: THREE, text, envelope: { body: 'binarymime' } })).toEqual(
      THREE.map(() => 'delivered: 250 2.0.0 queued as 0-0'),
    );
    expect(peer.messages[0]?.data).toEqual(text);
  });

  it('is reached on a unix socket, without TLS though it offers it', async () => {
    using folder = tempSocketFolder();
    const socketPath = join(folder.path, 'lm tp');
    const peer = await sink({ socketPath, extensions: ['PIPELINING', 'STARTTLS'] });
    const rig = rigVia(`lmtp:${encodeURI(socketPath)}`);
    expect(await rig.send({ to: ['a@y.test'], envelope: { requireTls: true } })).toEqual(['delivered: 250 2.0.0 queued as 0-0']);
    expect(peer.messages[0]?.secure).toBe(false);
  });

  it('whose socket is not there defers mail, and does not tell the world where it was looked for', async () => {
    const rig = rigVia('lmtp:/nonexistent/folder/lmtp');
    expect(await rig.send({ to: ['a@y.test'] })).toEqual(['deferred: 451 4.4.1 no connection to localhost[lmtp] (ENOENT)']);
  });

  it('is spoken to over TLS where the configuration asks for it', async () => {
    const peer = await sink({ extensions: ['PIPELINING', 'STARTTLS'] });
    const rig = rigTo(peer);
    expect(await rig.send({ to: ['a@y.test'] })).toEqual(['delivered: 250 2.0.0 queued as 0-0']);
    expect(peer.commands.slice(0, 3)).toEqual(['0 LHLO me.test', '0 STARTTLS', '0 LHLO me.test']);
    expect(peer.messages[0]?.secure).toBe(true);
  });
});

it('a domain is delivered to by LMTP, whatever the routes say', async () => {
  const peer = await sink();
  const rig = startRig({
    config: { domains: { 'y.test': { deliver: `lmtp://127.0.0.1:${peer.port}` } }, relay: { via: 'discard:' } },
  });
  await rig.send({ to: ['a@y.test'] });
  expect(peer.messages.map(({ to }) => to)).toEqual([['a@y.test']]);
});
