/** What mail asks of the queue: to be held, to go first, to be delivered by some time; and notices of before a crash. */
import type { Envelope } from '@posthorn/core/mail/envelope';
import type { RecipientState } from '@posthorn/core/queue/store';
import { beforeEach, describe, expect, test } from 'vitest';
import { deliver, idsOf, QueueRig } from '../lib/queue-rig.ts';

let rig: QueueRig;

beforeEach(async () => {
  rig = await QueueRig.start();
});

describe('held mail (RFC 4865)', () => {
  test('is handed out when its time has come, not before, and takes no place among recent envelopes', async () => {
    await rig.accept('later', 2, rig.heldFor(5000));
    expect(rig.wakes).toBe(0);
    rig.clock.advance(4999);
    expect(await rig.queue.takeDue(1)).toEqual([]);
    expect(await rig.queue.show('later')).toMatchObject({ nextAttemptAtMs: rig.clock.nowMs + 1 });
    rig.clock.advance(1);
    expect(rig.wakes).toBe(1);
    expect((await rig.queue.takeDue(1))[0]).toMatchObject({ due: [0, 1], state: undefined });
    expect(rig.store.reads).toBe(2);
  });

  test('is held again after a restart, and due at once when its time passed meanwhile', async () => {
    await rig.accept('a', 1, rig.heldFor(5000));
    await rig.accept('b', 1, rig.heldFor(9000));
    await rig.restart(6000);
    expect(idsOf(await rig.queue.takeDue(5))).toEqual(['a']);
    expect(rig.queue.retry('all')).toBe(0);
    rig.clock.advance(3000);
    expect(idsOf(await rig.queue.takeDue(5))).toEqual(['b']);
  });

  test('is let go by the operator who names it, and not by one who wants all', async () => {
    for (const id of ['a', 'b']) await rig.accept(id, 1, rig.heldFor(5000));
    await rig.accept('c');
    expect(rig.queue.retry('all')).toBe(1);
    expect(rig.queue.retry('b')).toBe(1);
    expect(idsOf(await rig.queue.takeDue(5)).sort()).toEqual(['b', 'c']);
    // Given back untried it is no longer held.
    rig.queue.release('b', 100);
    rig.clock.advance(100);
    expect(idsOf(await rig.queue.takeDue(5))).toEqual(['b']);
    await rig.queue.settle('b', [rig.defer(0, 200)]);
    rig.clock.advance(200);
    expect(idsOf(await rig.queue.takeDue(5))).toEqual(['b']);
  });

  test('is given up so long after its release, not after its reception', async () => {
    await rig.accept('a', 1, rig.heldFor(90_000));
    rig.clock.advance(90_000);
    const [due] = await rig.queue.takeDue(1);
    rig.clock.advance(99_999);
    expect(rig.queue.nextAttempt(due!.envelope, 1)).toBe(rig.clock.nowMs + 1);
    rig.clock.advance(1);
    expect(rig.queue.nextAttempt(due!.envelope, 2)).toBeUndefined();
  });

  test('a time that is past holds nothing', async () => {
    await rig.accept('a', 1, rig.heldFor(-5000));
    expect(idsOf(await rig.queue.takeDue(1))).toEqual(['a']);
    expect(rig.store.reads).toBe(0);
  });
});

describe('priority (RFC 6710)', () => {
  async function acceptAll(): Promise<void> {
    await rig.accept('ordinary');
    await rig.accept('least', 1, { priority: -9 });
    rig.clock.advance(1500);
    await rig.accept('urgent', 1, { priority: 2 });
    await rig.accept('a little urgent', 1, { priority: 1 });
  }

  test('is the order among what is due, each step worth so much waiting', async () => {
    await acceptAll();
    expect(idsOf(await rig.queue.takeDue(9))).toEqual(['urgent', 'ordinary', 'a little urgent', 'least']);
  });

  test('is kept by a restart, by a deferral and when a message is given back', async () => {
    await acceptAll();
    await rig.restart();
    const expected = ['urgent', 'ordinary', 'a little urgent', 'least'];
    expect(idsOf(await rig.queue.takeDue(9))).toEqual(expected);
    for (const id of expected.toReversed()) await rig.queue.settle(id, [rig.defer(0, 100)]);
    rig.clock.advance(100);
    const steps = ['urgent', 'a little urgent', 'ordinary', 'least'];
    expect(idsOf(await rig.queue.takeDue(9))).toEqual(steps);
    for (const id of steps.toReversed()) rig.queue.release(id, 100);
    rig.clock.advance(100);
    expect(idsOf(await rig.queue.takeDue(9))).toEqual(steps);
  });

  test('does not outlast the waiting of the others', async () => {
    await rig.accept('least', 1, { priority: -9 });
    rig.clock.advance(18_001);
    await rig.accept('most', 1, { priority: 9 });
    expect(idsOf(await rig.queue.takeDue(1))).toEqual(['least']);
  });
});

describe('a message that is to be delivered by some time (RFC 2852)', () => {
  test('is handed out when that is over, also when it gets no turn: it waited for ever where nothing was taken', async () => {
    await rig.accept('a', 1, rig.by(5000));
    await rig.accept('b', 1, rig.by(9000));
    await rig.accept('c');
    const before = rig.wakes;
    rig.clock.advance(4999);
    expect([rig.wakes, idsOf(await rig.queue.takeLate(10))]).toEqual([before, []]);
    rig.clock.advance(1);
    expect(rig.wakes).toBe(before + 1);
    // Who takes them was busy.
    rig.clock.advance(1000);
    expect(rig.wakes).toBe(before + 2);
    expect(idsOf(await rig.queue.takeLate(10))).toEqual(['a']);
    expect(await rig.queue.takeLate(10)).toEqual([]);
    await rig.queue.settle('a', [deliver(0)]);
    rig.clock.advance(3000);
    expect(idsOf(await rig.queue.takeLate(10))).toEqual(['b']);
    // Told of once: from here on it has a turn like others.
    rig.queue.release('b', 1000);
    rig.clock.advance(1000);
    expect(await rig.queue.takeLate(10)).toEqual([]);
    expect(idsOf(await rig.queue.takeDue(10))).toEqual(['c', 'b']);
  });

  test('is so after a restart and while it waits for its next attempt, and not when it was handed out or removed, nor before its release', async () => {
    for (const [id, over] of Object.entries({ waits: {}, out: {}, gone: {}, held: rig.heldFor(40_000) })) {
      await rig.accept(id, 1, { ...rig.by(20_000), ...over });
      rig.clock.advance(1);
    }
    await rig.restart();
    const taken = idsOf(await rig.queue.takeDue(2));
    expect(taken).toEqual(['waits', 'out']);
    await rig.queue.settle('waits', [rig.defer(0, 50_000)]);
    await rig.queue.remove('gone');
    rig.clock.advance(20_000);
    expect(idsOf(await rig.queue.takeLate(10))).toEqual(['waits']);
    rig.clock.advance(20_000);
    expect(idsOf(await rig.queue.takeLate(10))).toEqual(['held']);
  });

  test('is so at the start, when its time passed meanwhile: its sender heard of it only at its next attempt', async () => {
    await rig.accept('told', 2, rig.by(5000, 'notify'));
    for (const id of ['waits', 'two']) await rig.accept(id, 2, rig.by(6000, 'notify'));
    await rig.accept('returned', 1, rig.by(7000));
    await rig.accept('held', 1, { ...rig.by(9000), ...rig.heldFor(8000) });
    expect(idsOf(await rig.queue.takeDue(10)).sort()).toEqual(['returned', 'told', 'two', 'waits']);
    await rig.queue.settle('told', [deliver(0), { ...rig.defer(1, 90_000), late: true }]);
    await rig.queue.settle('waits', [deliver(0), rig.defer(1, 90_000)]);
    await rig.queue.settle('two', [{ ...rig.defer(0, 90_000), late: true }, rig.defer(1, 90_000)]);
    await rig.queue.settle('returned', [rig.defer(0, 90_000)]);
    await rig.restart(10_000);
    expect(rig.wakes).toBe(1);
    rig.clock.advance(100);
    expect(rig.wakes).toBe(2);
    expect(idsOf(await rig.queue.takeLate(10)).sort()).toEqual(['held', 'returned', 'two', 'waits']);
    expect(await rig.queue.takeDue(10)).toEqual([]);
  });
});

describe('a notice that was stored before a crash, and the message it is about', () => {
  const state = (over: Partial<RecipientState> = {}): RecipientState => ({
    status: 'failed',
    attempts: 1,
    nextAttemptAtMs: 0,
    reply: '550 5.1.1 nobody',
    ...over,
  });
  const notice = (...recipients: [number, RecipientState][]): Partial<Envelope> =>
    ({ settles: { id: 'a', recipients } }) as never;

  test('its recipients are not tried again, those it does not tell of are', async () => {
    await rig.accept('a', 3);
    rig.clock.advance(1);
    await rig.accept(
      'n',
      1,
      notice([0, state()], [2, state({ status: 'pending', nextAttemptAtMs: rig.clock.nowMs + 9000, warned: 1 })]),
    );
    await rig.restart();
    expect((await rig.queue.takeDue(10)).map(({ envelope: { id }, due }) => [id, due])).toEqual([
      ['a', [1]],
      ['n', [0]],
    ]);
    expect(rig.logged).toContain('queue.caught-up');
    await rig.queue.settle('a', [deliver(1)]);
    expect(rig.store.held.get('a')?.state?.recipients).toMatchObject([
      { status: 'failed' },
      { status: 'delivered' },
      { status: 'pending', warned: 1 },
    ]);
  });

  test('it is forgotten when that was all', async () => {
    await rig.accept('a');
    await rig.accept('n', 1, notice([0, state()]));
    await rig.restart();
    expect([[...rig.store.held.keys()], rig.queue.sizes().waiting]).toEqual([['n'], 1]);
  });

  test('a message that is damaged does not stop the start: with a notice of it in the queue nothing opened any more', async () => {
    await rig.accept('a');
    rig.clock.advance(1);
    await rig.accept('n', 1, notice([0, state()]));
    rig.store.damaged.add('a');
    await rig.restart();
    expect(rig.logged).toContain('queue.unreadable');
    expect(idsOf(await rig.queue.takeDue(10))).toEqual(['n']);
  });

  test('nothing of a message that was tried since is changed by an old notice, nor where there is none', async () => {
    await rig.accept('a');
    await rig.accept('n', 1, notice([0, state({ status: 'pending', nextAttemptAtMs: rig.clock.nowMs + 9000 })]));
    await rig.queue.takeDue(1);
    await rig.queue.settle('a', [rig.defer(0, 1000)]);
    const before = rig.store.held.get('a')?.state;
    await rig.restart();
    expect(rig.store.held.get('a')?.state).toBe(before);
    await rig.queue.remove('a');
    await rig.restart();
    expect([...rig.store.held.keys()]).toEqual(['n']);
  });
});
