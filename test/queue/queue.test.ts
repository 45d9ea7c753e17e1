/** The queue, with a store in memory that can be told to fail: what it hands out, when, and what it keeps. */
import { StoreError } from '@posthorn/core/queue/store';
import { beforeEach, expect, test, vi } from 'vitest';
import { deliver, idsOf, QueueRig } from '../lib/queue-rig.ts';

let rig: QueueRig;

beforeEach(async () => {
  rig = await QueueRig.start();
});

test('an accepted message is due at once, and handed out without reading it back', async () => {
  await rig.accept('a', 2);
  expect(rig.wakes).toBe(1);
  const [due] = await rig.queue.takeDue(10);
  expect(due).toEqual({ envelope: rig.store.held.get('a')!.envelope, state: undefined, due: [0, 1] });
  expect(rig.store.reads).toBe(0);
  expect(await rig.queue.takeDue(10)).toEqual([]);
});

test('hands out no more than asked for, the longest due first', async () => {
  for (const id of ['a', 'b', 'c']) {
    await rig.accept(id);
    rig.clock.advance(1);
  }
  expect(idsOf(await rig.queue.takeDue(2))).toEqual(['a', 'b']);
  expect(rig.queue.sizes()).toEqual({ waiting: 1, active: 2, committing: 0 });
  expect(idsOf(await rig.queue.takeDue(2))).toEqual(['c']);
});

test('a message without pending recipients is forgotten, whatever the parts it was settled in', async () => {
  await rig.accept('a', 3);
  await rig.queue.takeDue(1);
  await rig.queue.settle('a', [deliver(1)]);
  await rig.queue.settle('a', [{ index: 0, outcome: 'failed', reply: '550 5.1.1 no' }]);
  expect(rig.store.held.get('a')!.state!.recipients.map((one) => one.status)).toEqual(['failed', 'delivered', 'pending']);
  await rig.queue.settle('a', [deliver(2)]);
  expect(rig.store.held.size).toBe(0);
  expect(rig.queue.sizes()).toEqual({ waiting: 0, active: 0, committing: 0 });
});

test('deferred recipients come back each in their time, by one timer', async () => {
  await rig.accept('a', 3);
  await rig.queue.takeDue(1);
  await rig.queue.settle('a', [rig.defer(0, 9000), deliver(1), rig.defer(2, 3000)]);
  expect(rig.clock.timers).toBe(1);
  rig.wakes = 0;
  rig.clock.advance(2999);
  expect(rig.wakes).toBe(0);
  rig.clock.advance(1);
  expect(rig.wakes).toBe(1);
  const [first] = await rig.queue.takeDue(1);
  expect(first!.due).toEqual([2]);
  expect(first!.state!.recipients[2]).toEqual({
    status: 'pending',
    attempts: 1,
    nextAttemptAtMs: rig.clock.nowMs,
    reply: '451 4.3.0 later',
  });
  await rig.queue.settle('a', [deliver(2)]);
  rig.clock.advance(6000);
  expect((await rig.queue.takeDue(1))[0]!.due).toEqual([0]);
});

test('recipients that were deferred in one attempt are handed out together: each came alone, as a copy of its own', async () => {
  await rig.accept('a', 3);
  const [due] = await rig.queue.takeDue(1);
  for (const index of [0, 1, 2]) {
    const nextAttemptAtMs = rig.queue.nextAttempt(due!.envelope, 1)!;
    await rig.queue.settle('a', [{ ...rig.defer(index, 0), nextAttemptAtMs }]);
    // In parts, and while the clock goes on.
    rig.clock.advance(100);
  }
  rig.clock.advance(700);
  expect((await rig.queue.takeDue(1))[0]!.due).toEqual([0, 1, 2]);
});

test('what came due while others were read is told of at once: its timer was set to a time in the past', async () => {
  for (const id of ['a', 'b']) await rig.accept(id);
  await rig.queue.takeDue(2);
  rig.queue.release('a', 0);
  rig.queue.release('b', 5);
  const after = vi.spyOn(rig.clock, 'after');
  vi.spyOn(rig.store, 'read').mockImplementationOnce(async (id) => {
    rig.clock.nowMs += 10;
    return rig.store.held.get(id);
  });
  expect(idsOf(await rig.queue.takeDue(5))).toEqual(['a']);
  expect(after.mock.calls.map(([delayMs]) => delayMs)).toEqual([0]);
  rig.wakes = 0;
  rig.clock.advance(0);
  expect(rig.wakes).toBe(1);
});

test('a recipient cannot be settled twice, nor one that was not due', async () => {
  await rig.accept('a', 2);
  await rig.queue.takeDue(1);
  await rig.queue.settle('a', [deliver(0), rig.defer(0, 1), deliver(7)]);
  expect(rig.store.held.get('a')!.state!.recipients.map((one) => one.status)).toEqual(['delivered', 'pending']);
  await expect(rig.queue.settle('nobody', [])).rejects.toThrow('not handed out');
});

test('what is released is due again later, untried', async () => {
  await rig.accept('a');
  await rig.queue.takeDue(1);
  rig.queue.release('a', 500);
  expect(await rig.queue.takeDue(1)).toEqual([]);
  rig.clock.advance(500);
  expect((await rig.queue.takeDue(1))[0]!.state).toBeUndefined();
});

test('a listener that comes late is told of what is due already', async () => {
  rig = new QueueRig();
  await rig.accept('a');
  let told = 0;
  rig.queue.onDue(() => told++);
  expect(told).toBe(1);
});

test('a restart schedules what is pending, removes what is finished and logs what is damaged', async () => {
  await rig.accept('pending', 2);
  await rig.accept('finished');
  await rig.accept('fresh');
  await rig.queue.takeDue(3);
  await rig.queue.settle('pending', [deliver(0), rig.defer(1, 50_000)]);
  rig.store.held.get('finished')!.state = { recipients: [{ status: 'delivered', attempts: 1, nextAttemptAtMs: 0 }] };
  rig.store.damaged.add('segment 3');
  expect(await rig.restart()).toEqual({ messages: 2, damaged: 1 });
  expect(rig.logged).toContain('queue.damaged');
  expect(idsOf(await rig.queue.takeDue(10))).toEqual(['fresh']);
  expect([...rig.store.held.keys()]).toEqual(['pending', 'fresh']);
});

test('a refused batch is not scheduled, and its error reaches the caller', async () => {
  rig.store.failing = new StoreError('PH_STORE_FULL', 'full');
  await expect(rig.accept('a')).rejects.toMatchObject({ code: 'PH_STORE_FULL' });
  rig.store.failing = undefined;
  expect(await rig.queue.takeDue(1)).toEqual([]);
});

test('a message that cannot be read is put off; a damaged one is left to the operator', async () => {
  await rig.accept('a');
  await rig.accept('b');
  await rig.queue.takeDue(2);
  for (const id of ['a', 'b']) rig.queue.release(id, 0);
  rig.store.damaged.add('b');
  expect(idsOf(await rig.queue.takeDue(5))).toEqual(['a']);
  rig.queue.release('a', 0);
  rig.store.failing = new StoreError('PH_STORE_FAILED', 'disk');
  expect(await rig.queue.takeDue(5)).toEqual([]);
  rig.store.failing = undefined;
  rig.clock.advance(60_000);
  expect(idsOf(await rig.queue.takeDue(5))).toEqual(['a']);
  expect(rig.logged.filter((event) => event === 'queue.unreadable')).toHaveLength(2);
  expect(await rig.queue.remove('b')).toBe('removed');
});

test('when an outcome cannot be recorded the message is due again', async () => {
  await rig.accept('a');
  await rig.queue.takeDue(1);
  rig.store.failing = new StoreError('PH_STORE_FAILED', 'disk');
  await expect(rig.queue.settle('a', [rig.defer(0, 100)])).rejects.toThrow('disk');
  rig.store.failing = undefined;
  rig.clock.advance(100);
  expect(idsOf(await rig.queue.takeDue(1))).toEqual(['a']);
});

test('the operator can have one or all tried now, whoever is pending', async () => {
  for (const id of ['a', 'b']) await rig.accept(id, 2);
  await rig.queue.takeDue(2);
  for (const id of ['a', 'b']) await rig.queue.settle(id, [deliver(0), rig.defer(1, 50_000)]);
  expect(rig.queue.retry('nobody')).toBe(0);
  expect(rig.queue.retry('b')).toBe(1);
  const [due] = await rig.queue.takeDue(5);
  expect([due!.envelope.id, due!.due, due!.forced]).toEqual(['b', [1], true]);
  await rig.queue.settle('b', [rig.defer(1, 50_000)]);
  expect(rig.queue.retry('all')).toBe(2);
  expect(idsOf(await rig.queue.takeDue(5)).sort()).toEqual(['a', 'b']);
});

test('removes a waiting message at once and an active one after its attempt', async () => {
  for (const id of ['waiting', 'active', 'given back']) await rig.accept(id);
  rig.clock.advance(1);
  await rig.accept('late');
  await rig.queue.takeDue(3);
  expect(await rig.queue.remove('late')).toBe('removed');
  for (const id of ['active', 'given back']) expect(await rig.queue.remove(id)).toBe('being-sent');
  // It said that there was no such message.
  expect(await rig.queue.remove('active')).toBe('being-sent');
  expect(rig.store.held.has('active')).toBe(true);
  await rig.queue.settle('active', [rig.defer(0, 10)]);
  rig.queue.release('given back', 10);
  expect([...rig.store.held.keys()]).toEqual(['waiting']);
  expect(await rig.queue.remove('nobody')).toBeUndefined();
});

test('one that is handed out is taken back where nothing of it is being sent: it was said to be removed, and went out', async () => {
  await rig.accept('a');
  const [due] = await rig.queue.takeDue(1);
  rig.queue.onRemove((id) => {
    rig.queue.release(id, 0);
    return false;
  });
  expect(await rig.queue.remove('a')).toBe('removed');
  expect(due!.removed).toBe(true);
  expect(rig.store.held.size).toBe(0);
  expect(rig.queue.sizes()).toEqual({ waiting: 0, active: 0, committing: 0 });
});

test('one that was removed while it was sent does not come back after a crash', async () => {
  await rig.accept('a', 2);
  await rig.queue.takeDue(1);
  await rig.queue.settle('a', [rig.defer(0, 10)]);
  expect(await rig.queue.remove('a')).toBe('being-sent');
  expect((await rig.restart()).messages).toBe(0);
  expect(rig.store.held.size).toBe(0);
});

test('list and show tell what is active and when the next attempt is', async () => {
  await rig.accept('a');
  await rig.queue.takeDue(1);
  expect(await rig.queue.show('a')).toMatchObject({ active: true, nextAttemptAtMs: rig.clock.nowMs });
  await rig.queue.settle('a', [rig.defer(0, 77)]);
  const all = [];
  for await (const one of rig.queue.list()) all.push(one);
  expect(all).toMatchObject([{ kind: 'message', id: 'a', message: { active: false, nextAttemptAtMs: rig.clock.nowMs + 77 } }]);
  expect(await rig.queue.show('nobody')).toBeUndefined();
});

test('a far due time does not rest on one long timer, and close leaves none', async () => {
  await rig.accept('a');
  await rig.queue.takeDue(1);
  await rig.queue.settle('a', [rig.defer(0, 5_000_000)]);
  rig.wakes = 0;
  for (let hour = 0; hour < 9; hour++) rig.clock.advance(600_000);
  expect(rig.wakes).toBe(1);
  rig.queue.retry('a');
  await rig.queue.close();
  expect(rig.clock.timers).toBe(0);
});

// It waits for a plugin's answer, so that nothing of it is sent, and nothing is given back yet.
test('a message that was removed before it was sent to anybody is forgotten by a crash, too', async () => {
  await rig.accept('a');
  await rig.queue.takeDue(1);
  rig.queue.onRemove(() => false);
  expect(await rig.queue.remove('a')).toBe('removed');
  await rig.restart();
  expect(await rig.queue.takeDue(1)).toEqual([]);
  expect([...rig.store.held.keys()]).toEqual([]);
});
