/** The queue with a clock turned by hand and a store in memory that can be told to fail. */
import { beforeEach, describe, expect, test } from 'vitest';
import type { Clock } from '../mail/clock.ts';
import type { Envelope } from '../mail/envelope.ts';
import type { Log } from '../observe/log.ts';
import { createQueue, type DueMessage, type Queue } from './queue.ts';
import {
  type DeliveryState,
  type ListedMessage,
  type NewMessage,
  type QueueStore,
  type RecipientState,
  StoreError,
  type StoredMessage,
} from './store.ts';

class HandClock implements Clock {
  nowMs = 1_000_000;
  #timers: { atMs: number; run: () => void }[] = [];
  now(): number {
    return this.nowMs;
  }
  monotonic(): number {
    return this.nowMs;
  }
  after(delayMs: number, then: () => void): () => void {
    const timer = { atMs: this.nowMs + delayMs, run: then };
    this.#timers.push(timer);
    return () => {
      this.#timers = this.#timers.filter((one) => one !== timer);
    };
  }
  get timers(): number {
    return this.#timers.length;
  }
  advance(byMs: number): void {
    this.nowMs += byMs;
    const due = this.#timers.filter((one) => one.atMs <= this.nowMs);
    this.#timers = this.#timers.filter((one) => one.atMs > this.nowMs);
    for (const one of due) one.run();
  }
}

/** As much of a store as the queue needs; counts reads. */
class TinyStore implements QueueStore {
  readonly held = new Map<string, { envelope: Envelope; state: DeliveryState | undefined }>();
  readonly damaged = new Set<string>();
  reads = 0;
  failing: StoreError | undefined;
  async open(): Promise<void> {}
  async close(): Promise<void> {}
  async freeBytes(): Promise<number> {
    return 1;
  }
  async add(group: readonly NewMessage[]): Promise<void> {
    if (this.failing !== undefined) throw this.failing;
    for (const one of group)
      this.held.set(one.id, { envelope: JSON.parse(Buffer.from(one.envelope).toString()) as Envelope, state: undefined });
  }
  async read(id: string): Promise<StoredMessage | undefined> {
    this.reads++;
    if (this.failing !== undefined) throw this.failing;
    if (this.damaged.has(id)) throw new StoreError('PH_STORE_DAMAGED', 'not what was stored');
    return this.held.get(id);
  }
  async *body(id: string): AsyncIterable<Uint8Array> {
    yield Buffer.from(id);
  }
  async settle(id: string, state: DeliveryState): Promise<void> {
    if (this.failing !== undefined) throw this.failing;
    const one = this.held.get(id);
    if (one !== undefined) one.state = state;
  }
  async remove(id: string): Promise<void> {
    if (this.failing !== undefined) throw this.failing;
    this.held.delete(id);
  }
  async *list(): AsyncIterable<ListedMessage> {
    for (const [id, message] of this.held) yield { kind: 'message', id, message };
    for (const where of this.damaged) yield { kind: 'damaged', where, reason: 'flipped' };
  }
}

let clock: HandClock;
let store: TinyStore;
let queue: Queue;
let logged: string[];
let wakes: number;

function makeQueue(): Queue {
  const note = (event: string): void => void logged.push(event);
  const log: Log = { debug: note, info: note, warn: note, error: note, with: () => log };
  const retry = { waitsMs: [1000, 5000], giveUpAfterMs: 100_000 };
  const priorityStepMs = 1000;
  return createQueue({ store, clock, log, retry, priorityStepMs, counters: { add: () => undefined }, random: () => 0.5 });
}

function envelope(id: string, recipients = 1, asks: Partial<Envelope> = {}): Envelope {
  const origin = { listener: 'mx', clientAddress: '', clientPort: 0, helo: '', protocol: 'ESMTP', sessionId: 's' };
  const all = Array.from({ length: recipients }, (_, index) => ({ address: `r${index}@example.net` }));
  return { id, receivedAtMs: clock.nowMs, reversePath: '', recipients: all, origin, sizeBytes: 0, body: '7bit', ...asks };
}

function accept(id: string, recipients = 1, asks: Partial<Envelope> = {}): Promise<void> {
  const { priority, hold, deliverBy } = asks;
  return queue.accept({
    id,
    envelope: Buffer.from(JSON.stringify(envelope(id, recipients, asks))),
    pieces: [],
    ...(priority === undefined ? {} : { priority }),
    ...(hold === undefined ? {} : { holdUntilMs: hold.untilMs }),
    ...(deliverBy === undefined ? {} : { deliverByMs: deliverBy.atMs }),
  });
}

const heldFor = (delayMs: number): Partial<Envelope> => ({
  hold: { untilMs: clock.nowMs + delayMs, request: `for;${delayMs / 1000}` },
});

const by = (delayMs: number): Partial<Envelope> => ({
  deliverBy: { atMs: clock.nowMs + delayMs, mode: 'return', trace: false },
});
const idsOf = (due: readonly DueMessage[]): string[] => due.map((one) => one.envelope.id);
const defer = (index: number, delayMs: number) =>
  ({ index, outcome: 'deferred', reply: '451 4.3.0 later', nextAttemptAtMs: clock.nowMs + delayMs }) as const;
const deliver = (index: number) => ({ index, outcome: 'delivered', reply: '250 2.0.0 ok' }) as const;

beforeEach(async () => {
  clock = new HandClock();
  store = new TinyStore();
  logged = [];
  wakes = 0;
  queue = makeQueue();
  await queue.open();
  queue.onDue(() => wakes++);
});

test('an accepted message is due at once, and handed out without reading it back', async () => {
  await accept('a', 2);
  expect(wakes).toBe(1);
  const [due] = await queue.takeDue(10);
  expect(due).toEqual({ envelope: store.held.get('a')!.envelope, state: undefined, due: [0, 1] });
  expect(store.reads).toBe(0);
  expect(await queue.takeDue(10)).toEqual([]);
});

test('hands out no more than asked for, the longest due first', async () => {
  for (const id of ['a', 'b', 'c']) {
    await accept(id);
    clock.advance(1);
  }
  expect(idsOf(await queue.takeDue(2))).toEqual(['a', 'b']);
  expect(queue.sizes()).toEqual({ waiting: 1, active: 2, committing: 0 });
  expect(idsOf(await queue.takeDue(2))).toEqual(['c']);
});

test('a message without pending recipients is forgotten, whatever the parts it was settled in', async () => {
  await accept('a', 3);
  await queue.takeDue(1);
  await queue.settle('a', [deliver(1)]);
  await queue.settle('a', [{ index: 0, outcome: 'failed', reply: '550 5.1.1 no' }]);
  expect(store.held.get('a')!.state!.recipients.map((one) => one.status)).toEqual(['failed', 'delivered', 'pending']);
  await queue.settle('a', [deliver(2)]);
  expect(store.held.size).toBe(0);
  expect(queue.sizes()).toEqual({ waiting: 0, active: 0, committing: 0 });
});

test('deferred recipients come back each in their time, by one timer', async () => {
  await accept('a', 3);
  await queue.takeDue(1);
  await queue.settle('a', [defer(0, 9000), deliver(1), defer(2, 3000)]);
  expect(clock.timers).toBe(1);
  wakes = 0;
  clock.advance(2999);
  expect(wakes).toBe(0);
  clock.advance(1);
  expect(wakes).toBe(1);
  const [first] = await queue.takeDue(1);
  expect(first!.due).toEqual([2]);
  expect(first!.state!.recipients[2]).toEqual({
    status: 'pending',
    attempts: 1,
    nextAttemptAtMs: clock.nowMs,
    reply: '451 4.3.0 later',
  });
  await queue.settle('a', [deliver(2)]);
  clock.advance(6000);
  expect((await queue.takeDue(1))[0]!.due).toEqual([0]);
});

test('a recipient cannot be settled twice, nor one that was not due', async () => {
  await accept('a', 2);
  await queue.takeDue(1);
  await queue.settle('a', [deliver(0), defer(0, 1), deliver(7)]);
  expect(store.held.get('a')!.state!.recipients.map((one) => one.status)).toEqual(['delivered', 'pending']);
  await expect(queue.settle('nobody', [])).rejects.toThrow('not handed out');
});

test('what is released is due again later, untried', async () => {
  await accept('a');
  await queue.takeDue(1);
  queue.release('a', 500);
  expect(await queue.takeDue(1)).toEqual([]);
  clock.advance(500);
  expect((await queue.takeDue(1))[0]!.state).toBeUndefined();
});

test('a listener that comes late is told of what is due already', async () => {
  queue = makeQueue();
  await accept('a');
  let told = 0;
  queue.onDue(() => told++);
  expect(told).toBe(1);
});

test('a restart schedules what is pending, removes what is finished and logs what is damaged', async () => {
  await accept('pending', 2);
  await accept('finished');
  await accept('fresh');
  await queue.takeDue(3);
  await queue.settle('pending', [deliver(0), defer(1, 50_000)]);
  store.held.get('finished')!.state = { recipients: [{ status: 'delivered', attempts: 1, nextAttemptAtMs: 0 }] };
  store.damaged.add('segment 3');
  queue = makeQueue();
  expect(await queue.open()).toEqual({ messages: 2, damaged: 1 });
  expect(logged).toContain('queue.damaged');
  expect(idsOf(await queue.takeDue(10))).toEqual(['fresh']);
  expect([...store.held.keys()]).toEqual(['pending', 'fresh']);
});

test('a refused batch is not scheduled, and its error reaches the caller', async () => {
  store.failing = new StoreError('PH_STORE_FULL', 'full');
  await expect(accept('a')).rejects.toMatchObject({ code: 'PH_STORE_FULL' });
  store.failing = undefined;
  expect(await queue.takeDue(1)).toEqual([]);
});

test('a message that cannot be read is put off; a damaged one is left to the operator', async () => {
  await accept('a');
  await accept('b');
  await queue.takeDue(2);
  for (const id of ['a', 'b']) queue.release(id, 0);
  store.damaged.add('b');
  expect(idsOf(await queue.takeDue(5))).toEqual(['a']);
  queue.release('a', 0);
  store.failing = new StoreError('PH_STORE_FAILED', 'disk');
  expect(await queue.takeDue(5)).toEqual([]);
  store.failing = undefined;
  clock.advance(60_000);
  expect(idsOf(await queue.takeDue(5))).toEqual(['a']);
  expect(logged.filter((event) => event === 'queue.unreadable')).toHaveLength(2);
  expect(await queue.remove('b')).toBe(true);
});

test('when an outcome cannot be recorded the message is due again', async () => {
  await accept('a');
  await queue.takeDue(1);
  store.failing = new StoreError('PH_STORE_FAILED', 'disk');
  await expect(queue.settle('a', [defer(0, 100)])).rejects.toThrow('disk');
  store.failing = undefined;
  clock.advance(100);
  expect(idsOf(await queue.takeDue(1))).toEqual(['a']);
});

test('the operator can have one or all tried now, whoever is pending', async () => {
  for (const id of ['a', 'b']) await accept(id, 2);
  await queue.takeDue(2);
  for (const id of ['a', 'b']) await queue.settle(id, [deliver(0), defer(1, 50_000)]);
  expect(queue.retry('nobody')).toBe(0);
  expect(queue.retry('b')).toBe(1);
  const [due] = await queue.takeDue(5);
  expect([due!.envelope.id, due!.due]).toEqual(['b', [1]]);
  await queue.settle('b', [defer(1, 50_000)]);
  expect(queue.retry('all')).toBe(2);
  expect(idsOf(await queue.takeDue(5)).sort()).toEqual(['a', 'b']);
});

test('removes a waiting message at once and an active one after its attempt', async () => {
  for (const id of ['waiting', 'active', 'given back']) await accept(id);
  clock.advance(1);
  await accept('late');
  await queue.takeDue(3);
  expect(await queue.remove('late')).toBe(true);
  for (const id of ['active', 'given back']) expect(await queue.remove(id)).toBe(true);
  expect(await queue.remove('active')).toBe(false);
  expect(store.held.has('active')).toBe(true);
  await queue.settle('active', [defer(0, 10)]);
  queue.release('given back', 10);
  expect([...store.held.keys()]).toEqual(['waiting']);
  expect(await queue.remove('nobody')).toBe(false);
});

test('list and show tell what is active and when the next attempt is', async () => {
  await accept('a');
  await queue.takeDue(1);
  expect(await queue.show('a')).toMatchObject({ active: true, nextAttemptAtMs: clock.nowMs });
  await queue.settle('a', [defer(0, 77)]);
  const all = [];
  for await (const one of queue.list()) all.push(one);
  expect(all).toMatchObject([{ kind: 'message', id: 'a', message: { active: false, nextAttemptAtMs: clock.nowMs + 77 } }]);
  expect(await queue.show('nobody')).toBeUndefined();
});

test('a far due time does not rest on one long timer, and close leaves none', async () => {
  await accept('a');
  await queue.takeDue(1);
  await queue.settle('a', [defer(0, 5_000_000)]);
  wakes = 0;
  for (let hour = 0; hour < 9; hour++) clock.advance(600_000);
  expect(wakes).toBe(1);
  queue.retry('a');
  await queue.close();
  expect(clock.timers).toBe(0);
});

describe('held mail (RFC 4865)', () => {
  test('is handed out when its time has come, not before, and takes no place among recent envelopes', async () => {
    await accept('later', 2, heldFor(5000));
    expect(wakes).toBe(0);
    clock.advance(4999);
    expect(await queue.takeDue(1)).toEqual([]);
    expect(await queue.show('later')).toMatchObject({ nextAttemptAtMs: clock.nowMs + 1 });
    clock.advance(1);
    expect(wakes).toBe(1);
    expect((await queue.takeDue(1))[0]).toMatchObject({ due: [0, 1], state: undefined });
    expect(store.reads).toBe(2);
  });

  test('is held again after a restart, and due at once when its time passed meanwhile', async () => {
    await accept('a', 1, heldFor(5000));
    await accept('b', 1, heldFor(9000));
    clock.advance(6000);
    queue = makeQueue();
    await queue.open();
    expect(idsOf(await queue.takeDue(5))).toEqual(['a']);
    expect(queue.retry('all')).toBe(0);
    clock.advance(3000);
    expect(idsOf(await queue.takeDue(5))).toEqual(['b']);
  });

  test('is let go by the operator who names it, and not by one who wants all', async () => {
    for (const id of ['a', 'b']) await accept(id, 1, heldFor(5000));
    await accept('c');
    expect(queue.retry('all')).toBe(1);
    expect(queue.retry('b')).toBe(1);
    expect(idsOf(await queue.takeDue(5)).sort()).toEqual(['b', 'c']);
    // Given back untried it is no longer held.
    queue.release('b', 100);
    clock.advance(100);
    expect(idsOf(await queue.takeDue(5))).toEqual(['b']);
    await queue.settle('b', [defer(0, 200)]);
    clock.advance(200);
    expect(idsOf(await queue.takeDue(5))).toEqual(['b']);
  });

  test('is given up so long after its release, not after its reception', async () => {
    await accept('a', 1, heldFor(90_000));
    clock.advance(90_000);
    const [due] = await queue.takeDue(1);
    clock.advance(99_999);
    expect(queue.nextAttempt(due!.envelope, 1)).toBe(clock.nowMs + 1);
    clock.advance(1);
    expect(queue.nextAttempt(due!.envelope, 2)).toBeUndefined();
  });

  test('a time that is past holds nothing', async () => {
    await accept('a', 1, heldFor(-5000));
    expect(idsOf(await queue.takeDue(1))).toEqual(['a']);
    expect(store.reads).toBe(0);
  });
});

describe('priority (RFC 6710)', () => {
  async function acceptAll(): Promise<void> {
    await accept('ordinary');
    await accept('least', 1, { priority: -9 });
    clock.advance(1500);
    await accept('urgent', 1, { priority: 2 });
    await accept('a little urgent', 1, { priority: 1 });
  }

  test('is the order among what is due, each step worth so much waiting', async () => {
    await acceptAll();
    expect(idsOf(await queue.takeDue(9))).toEqual(['urgent', 'ordinary', 'a little urgent', 'least']);
  });

  test('is kept by a restart, by a deferral and when a message is given back', async () => {
    await acceptAll();
    queue = makeQueue();
    await queue.open();
    const expected = ['urgent', 'ordinary', 'a little urgent', 'least'];
    expect(idsOf(await queue.takeDue(9))).toEqual(expected);
    for (const id of expected.toReversed()) await queue.settle(id, [defer(0, 100)]);
    clock.advance(100);
    const steps = ['urgent', 'a little urgent', 'ordinary', 'least'];
    expect(idsOf(await queue.takeDue(9))).toEqual(steps);
    for (const id of steps.toReversed()) queue.release(id, 100);
    clock.advance(100);
    expect(idsOf(await queue.takeDue(9))).toEqual(steps);
  });

  test('does not outlast the waiting of the others', async () => {
    await accept('least', 1, { priority: -9 });
    clock.advance(18_001);
    await accept('most', 1, { priority: 9 });
    expect(idsOf(await queue.takeDue(1))).toEqual(['least']);
  });
});

describe('a message that is to be delivered by some time (RFC 2852)', () => {
  test('is handed out when that is over, also when it gets no turn: it waited for ever where nothing was taken', async () => {
    await accept('a', 1, by(5000));
    await accept('b', 1, by(9000));
    await accept('c');
    const before = wakes;
    clock.advance(4999);
    expect([wakes, idsOf(await queue.takeLate(10))]).toEqual([before, []]);
    clock.advance(1);
    expect(wakes).toBe(before + 1);
    // Who takes them was busy.
    clock.advance(1000);
    expect(wakes).toBe(before + 2);
    expect(idsOf(await queue.takeLate(10))).toEqual(['a']);
    expect(await queue.takeLate(10)).toEqual([]);
    await queue.settle('a', [deliver(0)]);
    clock.advance(3000);
    expect(idsOf(await queue.takeLate(10))).toEqual(['b']);
    // Told of once: from here on it has a turn like others.
    queue.release('b', 1000);
    clock.advance(1000);
    expect(await queue.takeLate(10)).toEqual([]);
    expect(idsOf(await queue.takeDue(10))).toEqual(['c', 'b']);
  });

  test('is so after a restart and while it waits for its next attempt, and not when it was handed out, removed, or held', async () => {
    for (const [id, over] of Object.entries({ waits: {}, out: {}, gone: {}, held: heldFor(40_000) })) {
      await accept(id, 1, { ...by(20_000), ...over });
      clock.advance(1);
    }
    await queue.close();
    queue = makeQueue();
    await queue.open();
    queue.onDue(() => wakes++);
    const taken = idsOf(await queue.takeDue(2));
    expect(taken).toEqual(['waits', 'out']);
    await queue.settle('waits', [defer(0, 50_000)]);
    await queue.remove('gone');
    clock.advance(20_000);
    expect(idsOf(await queue.takeLate(10))).toEqual(['waits']);
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

  async function restart(): Promise<void> {
    await queue.close();
    queue = makeQueue();
    await queue.open();
  }

  test('its recipients are not tried again, those it does not tell of are', async () => {
    await accept('a', 3);
    clock.advance(1);
    await accept('n', 1, notice([0, state()], [2, state({ status: 'pending', nextAttemptAtMs: clock.nowMs + 9000, warned: 1 })]));
    await restart();
    expect((await queue.takeDue(10)).map(({ envelope: { id }, due }) => [id, due])).toEqual([
      ['a', [1]],
      ['n', [0]],
    ]);
    expect(logged).toContain('queue.caught-up');
    await queue.settle('a', [deliver(1)]);
    expect(store.held.get('a')?.state?.recipients).toMatchObject([
      { status: 'failed' },
      { status: 'delivered' },
      { status: 'pending', warned: 1 },
    ]);
  });

  test('it is forgotten when that was all', async () => {
    await accept('a');
    await accept('n', 1, notice([0, state()]));
    await restart();
    expect([[...store.held.keys()], queue.sizes().waiting]).toEqual([['n'], 1]);
  });

  test('a message that is damaged does not stop the start: with a notice of it in the queue nothing opened any more', async () => {
    await accept('a');
    clock.advance(1);
    await accept('n', 1, notice([0, state()]));
    store.damaged.add('a');
    await restart();
    expect(logged).toContain('queue.unreadable');
    expect(idsOf(await queue.takeDue(10))).toEqual(['n']);
  });

  test('nothing of a message that was tried since is changed by an old notice, nor where there is none', async () => {
    await accept('a');
    await accept('n', 1, notice([0, state({ status: 'pending', nextAttemptAtMs: clock.nowMs + 9000 })]));
    await queue.takeDue(1);
    await queue.settle('a', [defer(0, 1000)]);
    const before = store.held.get('a')?.state;
    await restart();
    expect(store.held.get('a')?.state).toBe(before);
    await queue.remove('a');
    await restart();
    expect([...store.held.keys()]).toEqual(['n']);
  });
});
