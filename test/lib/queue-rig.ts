/** A queue with a clock turned by hand and a store in memory that can be told to fail. */
import type { Clock } from '@posthorn/core/mail/clock';
import type { Envelope } from '@posthorn/core/mail/envelope';
import type { Log } from '@posthorn/core/observe/log';
import { createQueue, type DueMessage, type Outcome, type Queue } from '@posthorn/core/queue/queue';
import type { Recovered } from '@posthorn/core/queue/recover';
import {
  type DeliveryState,
  type ListedMessage,
  type NewMessage,
  type QueueStore,
  StoreError,
  type StoredMessage,
} from '@posthorn/core/queue/store';

/** A clock that is turned by hand. */
export class HandClock implements Clock {
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
export class TinyStore implements QueueStore {
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

/** Open, and listened to. */
export class QueueRig {
  readonly clock = new HandClock();
  readonly store = new TinyStore();
  readonly logged: string[] = [];
  /** How often the listener was told of something due or late. */
  wakes = 0;
  queue = this.#makeQueue();

  static async start(): Promise<QueueRig> {
    const rig = new QueueRig();
    await rig.#open();
    return rig;
  }

  #makeQueue(): Queue {
    const { store, clock } = this;
    const note = (event: string): void => void this.logged.push(event);
    const log: Log = { debug: note, info: note, warn: note, error: note, with: () => log };
    const retry = { waitsMs: [1000, 5000], giveUpAfterMs: 100_000 };
    const counters = { add: () => undefined };
    return createQueue({ store, clock, log, retry, priorityStepMs: 1000, counters, random: () => 0.5 });
  }

  async #open(): Promise<Recovered> {
    const recovered = await this.queue.open();
    this.queue.onDue(() => this.wakes++);
    return recovered;
  }

  /** Another queue over the same store. @param whileDownMs the time that goes by in between */
  async restart(whileDownMs = 0): Promise<Recovered> {
    await this.queue.close();
    this.clock.advance(whileDownMs);
    this.queue = this.#makeQueue();
    this.wakes = 0;
    return this.#open();
  }

  envelope(id: string, recipients = 1, asks: Partial<Envelope> = {}): Envelope {
    const origin = { listener: 'mx', clientAddress: '', clientPort: 0, helo: '', protocol: 'ESMTP', sessionId: 's' };
    const all = Array.from({ length: recipients }, (_, index) => ({ address: `r${index}@example.net` }));
    const receivedAtMs = this.clock.nowMs;
    return { id, receivedAtMs, reversePath: '', recipients: all, origin, sizeBytes: 0, body: '7bit', ...asks };
  }

  accept(id: string, recipients = 1, asks: Partial<Envelope> = {}): Promise<void> {
    const { priority, hold, deliverBy } = asks;
    return this.queue.accept({
      id,
      envelope: Buffer.from(JSON.stringify(this.envelope(id, recipients, asks))),
      pieces: [],
      ...(priority === undefined ? {} : { priority }),
      ...(hold === undefined ? {} : { holdUntilMs: hold.untilMs }),
      ...(deliverBy === undefined ? {} : { deliverByMs: deliverBy.atMs }),
    });
  }

  heldFor(delayMs: number): Partial<Envelope> {
    return { hold: { untilMs: this.clock.nowMs + delayMs, request: `for;${delayMs / 1000}` } };
  }

  by(delayMs: number, mode: 'return' | 'notify' = 'return'): Partial<Envelope> {
    return { deliverBy: { atMs: this.clock.nowMs + delayMs, mode, trace: false } };
  }

  defer(index: number, delayMs: number): Extract<Outcome, { outcome: 'deferred' }> {
    return { index, outcome: 'deferred', reply: '451 4.3.0 later', nextAttemptAtMs: this.clock.nowMs + delayMs };
  }
}

export const deliver = (index: number): Outcome => ({ index, outcome: 'delivered', reply: '250 2.0.0 ok' });
export const idsOf = (due: readonly DueMessage[]): string[] => due.map((one) => one.envelope.id);
