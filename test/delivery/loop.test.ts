/** The loop around it all: mailboxes, routes, hooks, bounces, failures of the queue, and the end. */
import type { Verdict } from '@posthorn/core/hook/contract';
import { MailboxError } from '@posthorn/core/maildrop/mailbox';
import { StoreError } from '@posthorn/core/queue/store';
import { describe, expect, it } from 'vitest';
import { startPeer, startRig } from '../lib/delivery-peers.ts';
import { MESSAGE } from '../lib/delivery-rig.ts';
import type { Script, Sink } from '../lib/smtp-sink.ts';

function sinkOf(script: Script = {}): Promise<Sink> {
  return startPeer({ script });
}

const toAlice = { recipients: [{ address: 'alice@me.test', mailbox: 'alice' }] };
const verdict = (kind: Verdict['kind'], over: Partial<Verdict> = {}): Verdict => ({ kind, evidence: [], edits: [], ...over });

describe('a message for a mailbox', () => {
  it('is put there with the lines only the last server writes', async () => {
    const rig = startRig();
    expect(await rig.send({ to: ['alice@me.test'], envelope: toAlice })).toEqual([
      'delivered: 250 2.0.0 delivered to the mailbox',
    ]);
    expect(rig.mailboxes.get('alice')).toEqual([
      { text: `Return-Path: <sender@example.test>\r\nDelivered-To: alice@me.test\r\n${MESSAGE}`, folder: 'inbox' },
    ]);
  });

  it('is put there once for two addresses of the same user', async () => {
    const rig = startRig();
    const recipients = ['a@me.test', 'b@me.test'].map((address) => ({ address, mailbox: 'alice' }));
    expect(await rig.send({ to: [], envelope: { recipients } })).toHaveLength(2);
    expect(rig.mailboxes.get('alice')).toHaveLength(1);
  });

  it('is filed apart when it was quarantined', async () => {
    const rig = startRig();
    await rig.send({ to: [], envelope: { ...toAlice, quarantine: 'spam' } });
    expect(rig.mailboxes.get('alice')?.[0]?.folder).toBe('quarantine');
  });

  it('goes to the server of a domain of ours when it was quarantined, and nowhere else, whose sender is not told', async () => {
    const sink = await sinkOf();
    const via = `smtp://127.0.0.1:${sink.port}`;
    const rig = startRig({ config: { domains: { 'ours.test': { deliver: via } }, relay: { via } } });
    expect(await rig.send({ to: ['a@ours.test', 'b@y.test'], envelope: { quarantine: 'spam' } })).toEqual([
      expect.stringMatching(/^delivered/),
      'failed: 550 5.7.1 message was quarantined and is not relayed',
    ]);
    expect(sink.messages.map(({ to }) => to)).toEqual([['a@ours.test']]);
    expect(rig.bounces).toEqual([]);
    expect(rig.events).toContain('delivery.failed');
  });

  it('waits or bounces as the mailbox says', async () => {
    const rig = startRig({
      mailboxError: (mailbox) =>
        new MailboxError(mailbox === 'gone', mailbox === 'gone' ? '5.1.1' : '4.2.2', `${mailbox} cannot`),
    });
    const recipients = ['gone', 'full'].map((mailbox) => ({ address: `${mailbox}@me.test`, mailbox }));
    expect(await rig.send({ to: [], envelope: { recipients } })).toEqual([
      'failed: 550 5.1.1 gone cannot',
      'deferred: 451 4.2.2 full cannot',
    ]);
    expect(rig.bounces).toHaveLength(1);
  });
});

describe('a message that cannot be delivered', () => {
  it('bounces to its sender with the null reverse-path, before the queue forgets it', async () => {
    const sink = await sinkOf({ RCPT: '550 5.1.1 nobody' });
    const rig = startRig({ config: { relay: { via: `smtp://127.0.0.1:${sink.port}` } } });
    expect(await rig.send({ to: ['b@y.test'] })).toEqual(['failed: 550 5.1.1 nobody']);
    const [bounce] = rig.bounces;
    expect(bounce?.envelope).toMatchObject({ reversePath: '', recipients: [{ address: 'sender@example.test' }], body: '7bit' });
    expect(bounce?.envelope.sizeBytes).toBe(bounce?.text.length);
    expect(bounce?.text).toContain('Diagnostic-Code: smtp; 550 5.1.1 nobody');
    expect(rig.events.filter((event) => event.startsWith('='))).toEqual(['=bounce', '=settle']);
  });

  it('does not bounce when it is itself a bounce', async () => {
    const rig = startRig({ zones: {} });
    expect(await rig.send({ from: '', to: ['b@gone.test'] })).toEqual(['failed: 550 5.1.2 no such mail domain: gone.test']);
    expect(rig.bounces).toEqual([]);
  });

  it('is given up with 4.4.7 when its time is over', async () => {
    const rig = startRig({ zones: { 'y.test': { fail: true } }, maxAttempts: 1 });
    expect(await rig.send({ to: ['b@y.test'] })).toEqual([
      expect.stringMatching(/^failed: 451 4\.4\.7 given up, at last: 451 4\.4\.3/),
    ]);
    expect(rig.bounces[0]?.text).toContain('Status: 4.4.7');
  });

  it('stays in the queue when its bounce cannot be stored', async () => {
    const rig = startRig({
      zones: {},
      ports: {
        submitNotice: async () => {
          throw new StoreError('PH_STORE_FULL', 'disk full');
        },
      },
    });
    expect(await rig.send({ to: ['b@gone.test'] })).toEqual([expect.stringMatching(/^deferred: 550 5\.1\.2 /)]);
    expect(rig.events).toContain('delivery.bounce.unstored');
  });

  it('tells a local sender in their mailbox, and nobody when the sender is unknown here', async () => {
    const rig = startRig({
      zones: {},
      ports: {
        directory: {
          resolve: (address) =>
            address === 'alice@me.test'
              ? { is: 'known', targets: [{ to: 'mailbox', mailbox: 'alice', address }] }
              : { is: 'unknown' },
          user: () => undefined,
          isOurs: () => true,
        },
      },
    });
    await rig.send({ from: 'alice@me.test', to: ['b@gone.test'] });
    await rig.send({ from: 'nobody@me.test', to: ['b@gone.test'] });
    expect(rig.bounces.map(({ envelope }) => envelope.recipients)).toEqual([
      [{ address: 'alice@me.test', mailbox: 'alice', notify: [] }],
    ]);
  });
});

describe('routes', () => {
  it('discard what they say, and split a message by next hop', async () => {
    const [one, two] = [await sinkOf(), await sinkOf()];
    const rig = startRig({
      config: {
        domains: { 'ours.test': { deliver: `smtp://127.0.0.1:${two.port}` } },
        relay: { via: `smtp://127.0.0.1:${one.port}`, routes: [{ to: 'drop.test', via: 'discard:' }] },
      },
    });
    await rig.send({ to: ['a@y.test', 'b@ours.test', 'c@drop.test', 'd@z.test'] });
    expect(one.messages.map(({ to }) => to)).toEqual([['a@y.test', 'd@z.test']]);
    expect(two.messages.map(({ to }) => to)).toEqual([['b@ours.test']]);
  });

  it('change on reload', async () => {
    const [one, two] = [await sinkOf(), await sinkOf()];
    const relay = (port: number) =>
      ({ via: `smtp://127.0.0.1:${port}`, routes: [], port: 25, tls: 'never', mtaSts: false, convertSigned: false }) as const;
    const throughput = { deliveryConcurrency: 5, deliveryConcurrencyPerDestination: 5 };
    const queue = { priorityStep: 60_000, warnAfter: null, giveUpAfter: 432_000_000, maxReturnBytes: 262_144 };
    const rig = startRig({ config: { relay: relay(one.port), throughput } });
    await rig.send({ to: ['a@y.test'] });
    rig.delivery.reload({ domains: {}, relay: relay(two.port), throughput, queue });
    await rig.send({ to: ['a@y.test'] });
    expect([one.messages.length, two.messages.length]).toEqual([1, 1]);
  });

  /** With two connections to a host at most, and so many in all. */
  const limitedTo = (first: Sink, other: Sink, deliveryConcurrency: number) => (tls: 'never' | 'opportunistic') => ({
    domains: {},
    queue: { priorityStep: 60_000, warnAfter: null, giveUpAfter: 432_000_000, maxReturnBytes: 262_144 },
    throughput: { deliveryConcurrency, deliveryConcurrencyPerDestination: 2 },
    relay: {
      via: `smtp://127.0.0.1:${first.port}`,
      routes: [{ to: 'other.test', via: `smtp://127.0.0.1:${other.port}` }],
      port: 25,
      tls,
      mtaSts: false,
      convertSigned: false,
    },
  });

  it('lift no limit on reload: each one let as many connections more go to a host as it may have', async () => {
    const [held, other] = [await sinkOf({ dot: ({ connection }) => (connection < 2 ? 'silent' : undefined) }), await sinkOf()];
    const config = limitedTo(held, other, 10);
    const rig = startRig({ config: config('never'), timeouts: { dotMs: 1_500 } });
    // Two are sent, each with another one behind it.
    for (let sent = 0; sent < 4; sent++) rig.put({ to: ['b@y.test'] });
    await expect.poll(() => held.commands).toContain('1 DATA');
    for (const tls of ['never', 'opportunistic'] as const) {
      rig.delivery.reload(config(tls));
      rig.put({ to: ['c@y.test'] });
      // It goes its way after the one that has to wait.
      await rig.send({ to: ['d@other.test'] });
      expect(held.connections).toBe(2);
    }
    // Nothing had changed at the first reload.
    expect(other.connections).toBe(2);
    // The places of those that end are taken again.
    await held.waitFor(1);
    expect(rig.events).toContain('delivery.deferred');
  });

  it('have what is under way counted in all after a reload', async () => {
    const [held, other] = [await sinkOf({ dot: 'silent' }), await sinkOf()];
    const config = limitedTo(held, other, 1);
    const rig = startRig({ config: config('never'), timeouts: { dotMs: 300 } });
    rig.put({ to: ['a@y.test'] });
    await expect.poll(() => held.commands).toContain('0 DATA');
    rig.delivery.reload(config('opportunistic'));
    await rig.send({ to: ['d@other.test'] });
    expect(rig.events.filter((event) => event.startsWith('delivery.'))).toEqual(['delivery.deferred', 'delivery.delivered']);
  });

  it('hold everything while the concurrency is 0', async () => {
    const throughput = { deliveryConcurrency: 0, deliveryConcurrencyPerDestination: 5 };
    const rig = startRig({ config: { throughput } });
    const id = rig.put({ to: [], envelope: toAlice });
    expect(rig.delivery.sizes().inFlight).toBe(0);
    rig.delivery.reload({
      domains: {},
      relay: { via: null, routes: [], port: 25, tls: 'never', mtaSts: false, convertSigned: false },
      throughput: { ...throughput, deliveryConcurrency: 1 },
      queue: { priorityStep: 60_000, warnAfter: null, giveUpAfter: 432_000_000, maxReturnBytes: 262_144 },
    });
    expect(await rig.outcomes(id)).toHaveLength(1);
  });
});

describe('hooks', () => {
  it('of the deliver stage decide before any connection is made', async () => {
    const sink = await sinkOf();
    const says: Record<string, Verdict> = {
      'no@y.test': verdict('reject', { text: 'not there', code: 554, enhanced: '5.7.0' }),
      'later@y.test': verdict('defer', { text: 'not now' }),
    };
    const rig = startRig({
      config: { relay: { via: `smtp://127.0.0.1:${sink.port}` } },
      ports: {
        hooks: { deliver: ({ recipient }) => says[recipient] ?? verdict('pass'), delivered: null, deferred: null, bounced: null },
      },
    });
    expect(await rig.send({ to: ['no@y.test', 'later@y.test', 'yes@y.test'] })).toEqual([
      'failed: 554 5.7.0 not there',
      'deferred: 451 4.7.1 not now',
      expect.stringMatching(/^delivered/),
    ]);
    expect(sink.messages.map(({ to }) => to)).toEqual([['yes@y.test']]);
    expect(rig.bounces.flatMap(({ text }) => text.match(/(?<=^Final-Recipient: rfc822; )\S+/gm))).toEqual(['no@y.test']);
  });

  it('hear what became of each recipient, and cannot stop it by throwing', async () => {
    const heard: string[] = [];
    const sink = await sinkOf({
      RCPT: ({ line }: { line: string }) => (line.includes('bad') ? '550 no' : line.includes('later') ? '450 wait' : undefined),
    });
    const rig = startRig({
      config: { relay: { via: `smtp://127.0.0.1:${sink.port}` } },
      ports: {
        hooks: {
          deliver: null,
          delivered: ({ recipient, nextHop }) => {
            heard.push(`delivered ${recipient} ${nextHop}`);
            throw new Error('late');
          },
          deferred: async ({ recipient, nextAttemptAtMs }) => {
            heard.push(`deferred ${recipient} ${nextAttemptAtMs > 0}`);
            throw new Error('later');
          },
          bounced: ({ recipient, reply }) => {
            heard.push(`bounced ${recipient} ${reply}`);
            return verdict('pass');
          },
        },
      },
    });
    await rig.send({ to: ['good@y.test', 'bad@y.test', 'later@y.test'] });
    await expect
      .poll(() => heard.toSorted())
      .toEqual(['bounced bad@y.test 550 no', 'deferred later@y.test true', `delivered good@y.test [127.0.0.1]:${sink.port}`]);
    await expect.poll(() => rig.events.filter((event) => event === 'delivery.report')).toHaveLength(2);
  });
});

describe('a message that the operator removes', () => {
  const one = { deliveryConcurrency: 1, deliveryConcurrencyPerDestination: 1 };

  it('is given back while it waits for a connection, prepared or not: it was said to be removed, and went out', async () => {
    const sink = await sinkOf({ dot: 'silent' });
    const rig = startRig({ config: { relay: { via: `smtp://127.0.0.1:${sink.port}` }, throughput: one } });
    const [sent, behind, prepared, ready] = Array.from({ length: 4 }, (_, index) => rig.put({ to: [`r${index}@y.test`] }));
    await expect.poll(() => sink.commands).toContain('0 DATA');
    expect([sent!, behind!].map((id) => rig.remove(id))).toEqual([true, true]);
    await expect.poll(() => rig.remove(prepared!)).toBe(false);
    expect(rig.remove(ready!)).toBe(false);
    await expect.poll(() => rig.released).toEqual([prepared, ready]);
  });

  it('is given back while it waits for a mailbox', async () => {
    const { promise: written, resolve: goOn } = Promise.withResolvers<void>();
    const rig = startRig({ config: { throughput: one }, ports: { mailbox: { deliver: () => written } } });
    const [first, second] = [rig.put({ to: [], envelope: toAlice }), rig.put({ to: [], envelope: toAlice })];
    await expect.poll(() => rig.delivery.sizes().inFlight).toBe(2);
    expect([rig.remove(first), rig.remove(second)]).toEqual([true, false]);
    await expect.poll(() => rig.released).toEqual([second]);
    goOn();
    expect(await rig.outcomes(first)).toMatchObject([{ outcome: 'delivered' }]);
  });

  it('is told of to nobody when it fails while it is sent: its sender got a bounce of what had been removed', async () => {
    let id = '';
    const sink = await sinkOf({
      dot: () => {
        expect(rig.remove(id)).toBe(true);
        return '550 5.6.0 no';
      },
    });
    const rig = startRig({ config: { relay: { via: `smtp://127.0.0.1:${sink.port}` } } });
    id = rig.put({ to: ['b@y.test'] });
    expect(await rig.outcomes(id)).toMatchObject([{ outcome: 'failed' }]);
    expect(rig.bounces).toEqual([]);
  });

  it('is told of where it was delivered all the same, and that was asked for', async () => {
    let id = '';
    const sink = await sinkOf({
      dot: () => {
        expect(rig.remove(id)).toBe(true);
        return undefined;
      },
    });
    const rig = startRig({ config: { relay: { via: `smtp://127.0.0.1:${sink.port}` } } });
    id = rig.put({ to: [], envelope: { recipients: [{ address: 'b@y.test', notify: ['success'] }] } });
    expect(await rig.outcomes(id)).toMatchObject([{ outcome: 'delivered' }]);
    expect(rig.bounces[0]?.text).toContain('Action: relayed');
  });

  it('is not sent again when its connection breaks before a word on it', async () => {
    let id = '';
    const sink = await sinkOf({
      MAIL: ({ connection }) => {
        if (connection > 0) return undefined;
        expect(rig.remove(id)).toBe(true);
        return 'reset';
      },
    });
    const rig = startRig({ config: { relay: { via: `smtp://127.0.0.1:${sink.port}` } } });
    id = rig.put({ to: ['b@y.test'] });
    await expect.poll(() => rig.released).toEqual([id]);
    expect(sink.messages).toEqual([]);
  });

  it('does not go out when a plugin was asked of it meanwhile', async () => {
    const { promise: said, resolve: answer } = Promise.withResolvers<Verdict>();
    const sink = await sinkOf();
    const rig = startRig({
      config: { relay: { via: `smtp://127.0.0.1:${sink.port}` } },
      ports: { hooks: { deliver: () => said, delivered: null, deferred: null, bounced: null } },
    });
    const id = rig.put({ to: ['b@y.test'] });
    await expect.poll(() => rig.delivery.sizes().inFlight).toBe(1);
    expect(rig.remove(id)).toBe(false);
    answer(verdict('pass'));
    await expect.poll(() => rig.released).toEqual([id]);
    expect(sink.connections).toBe(0);
  });
});

describe('draining', () => {
  it('lets what runs finish, begins nothing more and gives the rest back untried', async () => {
    let letGo = (): void => undefined;
    const reached = new Promise<void>((resolve) => (letGo = resolve));
    const sink = await sinkOf({
      dot: () => {
        letGo();
        return undefined;
      },
    });
    const rig = startRig({
      config: {
        relay: { via: `smtp://127.0.0.1:${sink.port}` },
        throughput: { deliveryConcurrency: 1, deliveryConcurrencyPerDestination: 1 },
      },
    });
    const ids = Array.from({ length: 20 }, () => rig.put({ to: ['b@y.test'] }));
    await reached;
    await rig.delivery.drain(20_000);
    const { length } = sink.messages;
    expect(length).toBeGreaterThan(0);
    expect(rig.delivery.sizes()).toMatchObject({ inFlight: 0, connections: 0 });
    expect(length + rig.released.length).toBe(ids.length);
  });

  it('ends a peer that does not answer when its time is over', async () => {
    const sink = await sinkOf({ dot: 'silent' });
    const rig = startRig({ config: { relay: { via: `smtp://127.0.0.1:${sink.port}` } } });
    const id = rig.put({ to: ['b@y.test'] });
    await expect.poll(() => sink.commands).toContain('0 DATA');
    await rig.delivery.drain(50);
    expect(await rig.outcomes(id)).toMatchObject([{ outcome: 'deferred', reply: '451 4.3.2 this server is going down' }]);
  });
});
