/** Mail that is to be delivered by a time (RFC 2852), with next hops that know DELIVERBY and some that do not. */
import type { DeliveryFacts, Verdict } from '@posthorn/core/hook/contract';
import type { Envelope, Recipient } from '@posthorn/core/mail/envelope';
import { systemClock } from '@posthorn/core/mail/system-clock';
import { describe, expect, it } from 'vitest';
import { actions, ask, asked, hop, HOUR, in1h, rigTo } from '../lib/dsn-rig.ts';

describe('mail that is to be delivered by a time (RFC 2852)', () => {
  const by = (mode: 'return' | 'notify', atMs: number, trace = false): Partial<Envelope> => ({
    deliverBy: { atMs, mode, trace },
  });

  it.each([
    ['return', 'R'],
    ['notify', 'N'],
  ] as const)('goes on with what is left, mode %s', async (mode, letter) => {
    const sink = await hop(['DELIVERBY 240']);
    const rig = rigTo(sink);
    await rig.send({ to: [], envelope: ask({}, by(mode, in1h())) });
    const seconds = Number(new RegExp(` BY=(\\d+);${letter}$`).exec(asked(sink)[0]!)?.[1]);
    expect(seconds).toBeGreaterThan(3590);
    expect(seconds).toBeLessThanOrEqual(3600);
    expect(rig.bounces).toEqual([]);
  });

  it('T is told as relayed, and goes along', async () => {
    const sink = await hop(['DELIVERBY']);
    const rig = rigTo(sink);
    await rig.send({ to: [], envelope: ask({}, by('notify', in1h(), true)) });
    expect(asked(sink)[0]).toMatch(/ BY=\d+;NT$/);
    expect(actions(rig)).toEqual(['relayed']);
  });

  it('R comes back with 5.3.3 from a host without DELIVERBY, and is not sent', async () => {
    const sink = await hop(['DSN']);
    const rig = rigTo(sink);
    expect(await rig.send({ to: [], envelope: ask({}, by('return', in1h())) })).toEqual([
      'failed: 554 5.3.3 message is to be delivered by a time and the mail host does not offer DELIVERBY',
    ]);
    expect(asked(sink)).toEqual([]);
    expect(rig.bounces[0]?.text).toContain('Status: 5.3.3');
  });

  it('R comes back where the host wants more time than is left', async () => {
    // A list, of which one option is known (§2).
    const sink = await hop(['DELIVERBY 7200,FUTURE']);
    const rig = rigTo(sink);
    expect(await rig.send({ to: [], envelope: ask({}, by('return', in1h())) })).toEqual([
      expect.stringMatching(/^failed: 554 5\.4\.7 \d+ seconds are left and the mail host takes no less than 7200$/),
    ]);
    expect(asked(sink)).toEqual([]);
  });

  it('N goes to a host without DELIVERBY, and its sender is told so unless NOTIFY=NEVER', async () => {
    const rig = rigTo(await hop(['DSN']));
    await rig.send({ to: [], envelope: ask({}, by('notify', in1h())) });
    expect(actions(rig)).toEqual(['relayed']);
    await rig.send({ to: [], envelope: ask({ notify: [] }, by('notify', in1h())) });
    expect(rig.bounces).toHaveLength(1);
  });

  it('N asks a host that knows DSN but no time to tell when it is late (RFC 2852 §4.1.4.2)', async () => {
    const sink = await hop(['DSN']);
    const rig = rigTo(sink);
    const said = async (recipient: Partial<Recipient>, envelope: Partial<Envelope>, from?: string) => {
      const before = asked(sink).length;
      await rig.send({ to: [], envelope: ask(recipient, envelope), ...(from === undefined ? {} : { from }) });
      return / NOTIFY=(\S+)/.exec(asked(sink).slice(before)[1]!)?.[1];
    };
    expect(await said({}, by('notify', in1h()))).toBe('FAILURE,DELAY');
    expect(await said({ notify: ['success'] }, by('notify', in1h()))).toBe('SUCCESS,DELAY');
    expect(await said({ notify: ['delay'] }, by('notify', in1h()))).toBe('DELAY');
    expect(await said({ notify: [] }, by('notify', in1h()))).toBe('NEVER');
    expect(await said({}, by('notify', in1h()), '')).toBeUndefined();
    expect(await said({}, by('notify', systemClock.now() - 1))).toBeUndefined();
  });

  it('N that is late already is not told as relayed (RFC 2852 §4.1.4.2)', async () => {
    const rig = rigTo(await hop(['DSN']));
    await rig.send({ to: [], envelope: ask({}, by('notify', systemClock.now() - 1)) });
    expect(rig.bounces).toEqual([]);
  });

  it('R is given up with 5.4.7 when its time is over, untried or after a deferral', async () => {
    const late = ask({ mailbox: 'b' }, by('return', systemClock.now() - 1));
    const rig = rigTo(undefined);
    expect(await rig.send({ to: [], envelope: late })).toEqual([
      'failed: 554 5.4.7 the time in which it was to be delivered is over',
    ]);
    expect(rig.mailboxes.size).toBe(0);
    expect(rig.bounces[0]?.text).toContain('Status: 5.4.7');
    let nowMs = systemClock.now();
    const clock = { ...systemClock, now: () => nowMs };
    const sink = await hop(['DELIVERBY'], {
      RCPT: () => {
        nowMs += 2 * HOUR;
        return '451 4.2.0 later';
      },
    });
    const slow = rigTo(sink, { ports: { clock } });
    expect(await slow.send({ to: [], envelope: ask({}, by('return', in1h())) })).toEqual([
      'failed: 554 5.4.7 its time is over, at last: 451 4.2.0 later',
    ]);
    expect(slow.bounces[0]?.text).toMatch(/Status: 5\.4\.7\r\n[^]*Diagnostic-Code: smtp; 451 4\.2\.0 later/);
  });

  it('N is told as delayed at its time, once, and goes on', async () => {
    const rig = rigTo(await hop([], { RCPT: '451 4.2.0 later' }));
    const envelope = ask({}, by('notify', systemClock.now() - 1));
    expect(await rig.outcomes(rig.put({ to: [], envelope }))).toEqual([
      expect.objectContaining({ outcome: 'deferred', late: true }),
    ]);
    expect(actions(rig)).toEqual(['delayed']);
    expect(rig.bounces[0]?.text).toContain('Status: 4.4.7');
    const state = { recipients: [{ status: 'pending', attempts: 1, nextAttemptAtMs: 0, late: true }] } as const;
    await rig.send({ to: [], envelope, state });
    expect(rig.bounces).toHaveLength(1);
  });

  it('is kept while nothing goes out, too: who is late is told so, and not tried', async () => {
    const throughput = { deliveryConcurrency: 0, deliveryConcurrencyPerDestination: 1 };
    const sink = await hop(['DELIVERBY']);
    const rig = rigTo(sink, { config: { throughput } });
    const over = systemClock.now() - 1;
    expect(await rig.send({ to: [], envelope: ask({}, by('return', over)), late: true })).toEqual([
      'failed: 554 5.4.7 the time in which it was to be delivered is over',
    ]);
    expect(await rig.send({ to: [], envelope: ask({}, by('notify', over)), late: true })).toEqual([
      'deferred: 451 4.3.2 deliveries are held here',
    ]);
    expect(actions(rig)).toEqual(['failed', 'delayed']);
    expect(sink.commands).toEqual([]);
  });

  it('is kept while the destination has no place: its time went by in the line', async () => {
    const throughput = { deliveryConcurrency: 5, deliveryConcurrencyPerDestination: 1 };
    const sink = await hop(['DELIVERBY'], { dot: 'silent' });
    const rig = rigTo(sink, { config: { throughput } });
    rig.put({ to: ['first@y.test'] });
    await expect.poll(() => sink.commands).toContain('0 DATA');
    // The second waits behind the first on its connection, as prepared; the others for a place.
    rig.put({ to: ['second@y.test'] });
    const soon = systemClock.now() + 1000;
    const [returned, told] = await Promise.all([
      rig.send({ to: [], envelope: ask({}, by('return', soon)) }),
      rig.send({ to: [], envelope: ask({}, by('notify', soon)) }),
    ]);
    expect([returned, told]).toEqual([
      [expect.stringMatching(/^failed: 554 5\.4\.7 its time is over, at last: 451 4\.4\.7 no connection was free/)],
      [expect.stringMatching(/^deferred: 451 4\.4\.7 no connection was free/)],
    ]);
    expect(actions(rig).toSorted()).toEqual(['delayed', 'failed']);
  });

  it('is kept when it went by before there was a line to stand in: it stood there with no time to wait for', async () => {
    const throughput = { deliveryConcurrency: 5, deliveryConcurrencyPerDestination: 1 };
    const sink = await hop(['DELIVERBY'], { dot: 'silent' });
    const soon = systemClock.now() + 300;
    const pass: Verdict = { kind: 'pass', evidence: [], edits: [] };
    const deliver = async ({ recipient }: DeliveryFacts): Promise<Verdict> => {
      while (recipient === 'b@y.test' && systemClock.now() <= soon) await new Promise((resolve) => setImmediate(resolve));
      return pass;
    };
    const rig = rigTo(sink, {
      config: { throughput },
      ports: { hooks: { deliver, delivered: null, deferred: null, bounced: null } },
    });
    rig.put({ to: ['first@y.test'] });
    await expect.poll(() => sink.commands).toContain('0 DATA');
    rig.put({ to: ['second@y.test'] });
    expect(await rig.send({ to: [], envelope: ask({}, by('notify', soon)) })).toEqual([
      expect.stringMatching(/^deferred: 451 4\.4\.7 no connection was free/),
    ]);
    expect(actions(rig)).toEqual(['delayed']);
  });

  it('is kept for each part of a message whose recipients the host wants apart: they waited on past their time', async () => {
    const throughput = { deliveryConcurrency: 5, deliveryConcurrencyPerDestination: 1 };
    const sink = await hop(['DELIVERBY', 'LIMITS RCPTMAX=1'], { dot: 'silent' });
    const rig = rigTo(sink, { config: { throughput } });
    // The first is under way, the others wait for its end.
    const to = ['first@y.test', 'second@y.test', 'third@y.test', 'fourth@y.test'];
    rig.put({ to, envelope: by('notify', systemClock.now() + 1000) });
    await expect.poll(() => rig.bounces).toHaveLength(1);
    const told = [...rig.bounces[0]!.text.matchAll(/^Final-Recipient: rfc822; (.*)\r$/gm)].map(([, address]) => address);
    expect(told).toEqual(to.slice(1));
    expect(rig.bounces[0]?.text).toContain('no connection was free');
  });

  it('is kept on a connection that is busy: prepared or sent ahead behind another message it came back by no time', async () => {
    const throughput = { deliveryConcurrency: 5, deliveryConcurrencyPerDestination: 1 };
    const sink = await hop(['DELIVERBY'], { dot: 'silent' });
    const rig = rigTo(sink, { config: { throughput } });
    // Both are there before the connection is: the second would be next on it.
    rig.put({ to: ['first@y.test'] });
    const soon = systemClock.now() + 1000;
    expect(await rig.send({ to: [], envelope: ask({}, by('return', soon)) })).toEqual([
      expect.stringMatching(/^failed: 554 5\.4\.7 its time is over, at last: 451 4\.4\.7 no connection was free/),
    ]);
    expect(asked(sink)).toEqual([expect.stringMatching(/^MAIL/), 'RCPT TO:<first@y.test>']);
  });

  it('is in time in a mailbox, by LMTP too, whatever that offers', async () => {
    const rig = rigTo(await hop([], {}, true), {}, 'lmtp');
    expect(await rig.send({ to: [], envelope: ask({}, by('return', in1h())) })).toEqual(['delivered: 250 2.0.0 queued as 0-0']);
    expect(rig.bounces).toEqual([]);
  });
});
