/**
 * The queue: what reception puts mail into, what delivery takes it out of, and what `posthorn queue` looks at.
 * It decides *when* a message is tried; where and how is delivery's. One for each shard, in the process that owns it.
 * A message is accepted when its bytes and envelope are on disk, and leaves only when no recipient is pending or the
 * operator removes it. A failure of the store is told to the caller; a message that cannot be read is logged and put off
 * or, when its record is damaged, left to the operator. Wake-ups come from acceptance and one timer; nothing polls.
 */
import type { Clock } from '../mail/clock.ts';
import { type Envelope, releasedAtMs } from '../mail/envelope.ts';
import type { Counters } from '../observe/counters.ts';
import type { Log } from '../observe/log.ts';
import {
  type Active,
  applyOutcomes,
  type DueMessage,
  dueRecipients,
  isPending,
  type Outcome,
  type Reason,
  stateRemoved,
} from './active.ts';
import { type CommitLimits, type Committed, createCommitter, defaultCommitLimits, toStoreError } from './commit.ts';
import { createDeadlines } from './deadlines.ts';
import { createRecentEnvelopes } from './recent.ts';
import { firstDueAtMs, recover, type Recovered, wishOf } from './recover.ts';
import { nextAttemptAt, notPast, type RetryPolicy } from './retry.ts';
import { createSchedule, FORCED_MS, NO_WISH, type Taken, type Wish, wishFor } from './schedule.ts';
import { type ListedMessage, type NewMessage, type QueueStore, type StoredMessage, StoreError } from './store.ts';

export type { DueMessage, Outcome } from './active.ts';
export type { Committed } from './commit.ts';

/** A message with what its envelope says of its turn, since its bytes are not looked into here. */
export interface QueuedMessage extends NewMessage {
  readonly priority?: number;
  readonly holdUntilMs?: number;
  /** The time of BY (RFC 2852). */
  readonly deliverByMs?: number;
}

export interface QueuePorts {
  /** Not open yet; the queue opens and closes it. */
  readonly store: QueueStore;
  readonly retry: RetryPolicy;
  /** How much waiting a step of priority is worth. */
  readonly priorityStepMs: number;
  readonly clock: Clock;
  readonly log: Log;
  readonly counters: Counters;
  /** In [0, 1); Math.random when absent. */
  readonly random?: () => number;
  readonly commit?: CommitLimits;
}

/** What `list` and `show` tell of a message beside what is stored. */
export type QueueEntry = StoredMessage & { readonly active: boolean; readonly nextAttemptAtMs: number };
export type QueueListed =
  | { readonly kind: 'message'; readonly id: string; readonly message: QueueEntry }
  | Extract<ListedMessage, { kind: 'damaged' }>;

/** `being-sent`: it may still reach those it is being sent to. */
export type Removal = 'removed' | 'being-sent';

export interface Queue {
  /** Opens the store and schedules what it holds. @throws StoreError, PH_STORE_LOCKED among them */
  open(): Promise<Recovered>;
  /**
   * Stores messages of one batch, all or none; `done` is called once, when they are on disk (then due, at once or when
   * they are no longer to be held) or refused.
   */
  acceptBatch(messages: readonly QueuedMessage[], done: Committed): void;
  /** The same for one message. @throws StoreError when it was not stored */
  accept(message: QueuedMessage): Promise<void>;
  /** Up to `limit` messages that are due, in the order of schedule.ts, handed out until settled or released. */
  takeDue(limit: number): Promise<readonly DueMessage[]>;
  /** Up to `limit` messages that wait, due or not, whose time of BY is over since they wait; handed out as the others. */
  takeLate(limit: number): Promise<readonly DueMessage[]>;
  /** Calls `then` whenever something became due or late, also when it was so before. One listener. */
  onDue(then: () => void): void;
  /** The message's bytes in order, in chunks that are valid until the next is asked for. @throws StoreError */
  body(id: string): AsyncIterable<Uint8Array>;
  /**
   * When to try again after `attempts` attempts, with jitter; undefined when the message is too old (`queue.giveUpAfter`).
   * Recipients of a message that is handed out and that wait equally long come due together.
   * @param retryAfterMs a wait that the reason of the deferral asks for, instead of the list's
   */
  nextAttempt(envelope: Envelope, attempts: number, retryAfterMs?: number): number | undefined;
  /** Records outcomes of a message that is handed out; may be called in parts. @throws StoreError */
  settle(id: string, outcomes: readonly Outcome[]): Promise<void>;
  /** Gives back what was handed out and not settled, untried: due again in `delayMs`. Nothing is written. */
  release(id: string, delayMs: number): void;
  /** Everything in the store, oldest first, damaged records too. */
  list(): AsyncIterable<QueueListed>;
  show(id: string): Promise<QueueEntry | undefined>;
  /** Makes a waiting message due now, held or not, or with 'all' every one that is not held. @returns how many; one that is handed out does not count */
  retry(id: string): number;
  /**
   * Forgets a message without a bounce; one that is being sent at the end of its attempt, or at the next start.
   * @returns what became of it; undefined when there is none
   * @throws StoreError
   */
  remove(id: string): Promise<Removal | undefined>;
  /**
   * Calls `then` when a message that is handed out was removed, so that what is not being sent yet is released.
   * @param then returns whether some of it is being sent. One listener.
   */
  onRemove(then: (id: string) => boolean): void;
  /** Messages that wait and that are handed out. */
  sizes(): { readonly waiting: number; readonly active: number; readonly committing: number };
  freeBytes(): Promise<number>;
  /** Waits for running commits and gives the shard up. What is handed out is due again at the next start. */
  close(): Promise<void>;
}

/** A message that the store could not give is tried again after this. */
const UNREADABLE_DELAY_MS = 60_000;
/** The wall clock may be set while a timer runs: a far due time is looked at again after this. */
const LONGEST_SLEEP_MS = 600_000;
const RECENT_MESSAGES = 4096;
const RECENT_BYTES = 8 * 1024 * 1024;

/** A queue over a store. Nothing happens until `open`. */
export function createQueue(ports: QueuePorts): Queue {
  const { store, clock, log, counters } = ports;
  const random = ports.random ?? Math.random;
  const schedule = createSchedule(ports.priorityStepMs);
  const recent = createRecentEnvelopes(RECENT_MESSAGES, RECENT_BYTES);
  const committer = createCommitter(store, ports.commit ?? defaultCommitLimits);
  const active = new Map<string, Active>();
  /** Being read, to be handed out then: neither scheduled nor active. */
  const loading = new Map<string, { removed: boolean }>();
  let wake: (() => void) | undefined;
  let takeBack: ((id: string) => boolean) | undefined;
  let cancelTimer: (() => void) | undefined;
  let timerAtMs = Infinity;
  const life = { closed: false };
  const deadlines = createDeadlines(clock, () => {
    if (!life.closed) wake?.();
  });

  function disarm(): void {
    cancelTimer?.();
    cancelTimer = undefined;
    timerAtMs = Infinity;
  }

  /** Tells the listener when something is due now, else sleeps until something is. */
  function rouse(): void {
    const next = schedule.nextDueAtMs();
    if (life.closed || wake === undefined || next === undefined) return disarm();
    const nowMs = clock.now();
    if (next <= nowMs) {
      disarm();
      wake();
    } else {
      sleepUntil(next, nowMs);
    }
  }

  function sleepUntil(next: number, nowMs: number): void {
    if (timerAtMs === next) return;
    disarm();
    timerAtMs = next;
    // It may have come due while the others were read.
    cancelTimer = clock.after(Math.max(0, Math.min(next - nowMs, LONGEST_SLEEP_MS)), () => {
      disarm();
      rouse();
    });
  }

  function reschedule(id: string, dueAtMs: number, wish: Wish): void {
    schedule.add(id, dueAtMs, wish);
    rouse();
  }

  /** Of a message that was handed out: its time had come, or it was let go. */
  function waitAgain(id: string, dueAtMs: number, { priority, deliverBy }: Envelope): void {
    deadlines.add(id, deliverBy?.atMs);
    reschedule(id, dueAtMs, wishFor(priority, false));
  }

  /** Reads a message that was taken from the schedule and hands it out; undefined when there is nothing to deliver. */
  async function load({ id, wish }: Taken, reason: Reason, nowMs: number): Promise<DueMessage | undefined> {
    const reading = { removed: false };
    loading.set(id, reading);
    try {
      const stored = await store.read(id);
      if (reading.removed) return undefined;
      if (stored === undefined) log.warn('queue.vanished', { message: id });
      return stored && handOut(id, stored, reason, nowMs);
    } catch (error) {
      if (reading.removed) return undefined;
      const cause = toStoreError(error);
      log.error('queue.unreadable', { message: id, code: cause.code, reason: cause.message });
      counters.add('queue.unreadable');
      // A damaged record stays as it is: `queue list` shows it, and reading it again changes nothing.
      if (cause.code !== 'PH_STORE_DAMAGED' && !life.closed) reschedule(id, clock.now() + UNREADABLE_DELAY_MS, wish);
      return undefined;
    } finally {
      loading.delete(id);
    }
  }

  function handOut(id: string, stored: StoredMessage, reason: Reason, nowMs: number): DueMessage | undefined {
    const { envelope, state } = stored;
    const due = dueRecipients(envelope, state, nowMs, reason);
    deadlines.remove(id);
    if (due.length > 0) {
      const message: DueMessage = reason === 'forced' ? { envelope, state, due, forced: true } : { envelope, state, due };
      active.set(id, { envelope, state, open: new Set(due), message });
      return message;
    }
    const dueAtMs = firstDueAtMs(stored);
    if (dueAtMs !== undefined) {
      schedule.add(id, dueAtMs, wishOf(stored));
      deadlines.add(id, envelope.deliverBy?.atMs);
    }
    return undefined;
  }

  /** After an attempt: forgotten, or due again later. */
  function finish(id: string, entry: Active): void {
    active.delete(id);
    if (entry.message.removed) return;
    const dueAtMs = firstDueAtMs(entry);
    if (dueAtMs !== undefined) waitAgain(id, dueAtMs, entry.envelope);
  }

  async function record(id: string, entry: Active): Promise<void> {
    const last = entry.open.size === 0;
    if (!isPending(entry.state) || (entry.message.removed && last)) return store.remove(id);
    // Of one that is removed the store knows already that nobody is to be tried.
    if (entry.state !== undefined && !entry.message.removed) await store.settle(id, entry.state);
    // The operator may have removed it while that was written.
    if (entry.message.removed && last) await store.remove(id);
  }

  /** Whether the store has it, readable or not. */
  async function isStored(id: string): Promise<boolean> {
    try {
      return (await store.read(id)) !== undefined;
    } catch (error) {
      if (toStoreError(error).code === 'PH_STORE_DAMAGED') return true;
      throw error;
    }
  }

  function acceptBatch(messages: readonly QueuedMessage[], done: Committed): void {
    committer.acceptBatch(messages, (failure) => {
      if (failure === undefined) {
        const nowMs = clock.now();
        for (const { id, envelope, priority, holdUntilMs = 0, deliverByMs } of messages) {
          const held = holdUntilMs > nowMs;
          schedule.add(id, held ? holdUntilMs : nowMs, wishFor(priority, held));
          if (deliverByMs !== undefined) deadlines.add(id, Math.max(deliverByMs, holdUntilMs));
          if (!held) recent.put(id, envelope);
        }
        counters.add('queue.accepted', messages.length);
      } else {
        counters.add('queue.refused', messages.length);
      }
      // The answers to the clients go first, delivery afterwards.
      done(failure);
      if (failure === undefined) rouse();
    });
  }

  async function* list(): AsyncIterable<QueueListed> {
    for await (const one of store.list()) {
      yield one.kind === 'damaged' ? one : { kind: 'message', id: one.id, message: entryOf(one.id, one.message) };
    }
  }

  function entryOf(id: string, stored: StoredMessage): QueueEntry {
    const nextAttemptAtMs = firstDueAtMs(stored) ?? 0;
    return { ...stored, active: active.has(id), nextAttemptAtMs };
  }

  return {
    async open() {
      await store.open();
      return recover(store, schedule, deadlines, log);
    },
    acceptBatch,
    accept(message) {
      return new Promise((resolve, reject) => {
        acceptBatch([message], (failure) => (failure === undefined ? resolve() : reject(failure)));
      });
    },
    async takeDue(limit) {
      const nowMs = clock.now();
      const taken: DueMessage[] = [];
      while (taken.length < limit && !life.closed) {
        // What is at hand goes out at once; what must be read is read together.
        const reads: Promise<DueMessage | undefined>[] = [];
        while (taken.length + reads.length < limit) {
          const next = schedule.take(nowMs);
          if (next === undefined) break;
          const reason = next.dueAtMs === FORCED_MS ? 'forced' : 'due';
          const envelope = recent.take(next.id);
          if (envelope === undefined) {
            reads.push(load(next, reason, nowMs));
          } else {
            const message = handOut(next.id, { envelope, state: undefined }, reason, nowMs);
            if (message !== undefined) taken.push(message);
          }
        }
        if (reads.length === 0) break;
        for (const message of await Promise.all(reads)) if (message !== undefined) taken.push(message);
      }
      // Still something due: the limit was reached, and the caller comes back. Else sleep until something is.
      const next = schedule.nextDueAtMs();
      if (!life.closed && wake !== undefined && next !== undefined && next > nowMs) sleepUntil(next, clock.now());
      return taken;
    },
    async takeLate(limit) {
      const nowMs = clock.now();
      const ids = deadlines.takePassed(limit).filter((id) => schedule.remove(id));
      const late = await Promise.all(
        ids.map((id) => {
          recent.drop(id);
          return load({ id, dueAtMs: nowMs, wish: NO_WISH }, 'late', nowMs);
        }),
      );
      return late.filter((one) => one !== undefined);
    },
    onDue(then) {
      wake = then;
      rouse();
    },
    onRemove(then) {
      takeBack = then;
    },
    body: (id) => store.body(id),
    nextAttempt(envelope, attempts, retryAfterMs) {
      const nowMs = clock.now();
      const entry = active.get(envelope.id);
      const agreed = entry && (entry.agreed ??= new Map());
      const next = nextAttemptAt(ports.retry, releasedAtMs(envelope), nowMs, attempts, random, retryAfterMs, agreed);
      return next === undefined ? undefined : notPast(envelope.deliverBy, next, nowMs);
    },
    async settle(id, outcomes) {
      const entry = active.get(id);
      if (entry === undefined) throw new StoreError('PH_STORE_FAILED', `${id} is not handed out`);
      applyOutcomes(entry, outcomes);
      const last = entry.open.size === 0;
      try {
        await record(id, entry);
      } finally {
        // Also when nothing could be recorded: the message is due again, and may then be delivered twice, not lost.
        if (last) finish(id, entry);
      }
      if (last && !isPending(entry.state)) counters.add('queue.finished');
    },
    release(id, delayMs) {
      const entry = active.get(id);
      if (entry === undefined) return;
      active.delete(id);
      if (!entry.message.removed) waitAgain(id, clock.now() + delayMs, entry.envelope);
      else store.remove(id).catch((error: unknown) => log.error('queue.remove', { message: id, reason: String(error) }));
    },
    list,
    async show(id) {
      const stored = await store.read(id);
      return stored === undefined ? undefined : entryOf(id, stored);
    },
    retry(id) {
      const count = id === 'all' ? schedule.forceAll() : Number(schedule.force(id));
      if (count > 0) rouse();
      return count;
    },
    async remove(id) {
      const entry = active.get(id);
      if (entry !== undefined) {
        entry.message.removed = true;
        const isBeingSent = takeBack?.(id) !== false;
        // Also where a plugin is asked about it still: a crash before it answers would bring the message back.
        if (active.has(id)) await store.settle(id, stateRemoved(entry));
        return isBeingSent ? 'being-sent' : 'removed';
      }
      const reading = loading.get(id);
      if (reading !== undefined) reading.removed = true;
      const known = schedule.remove(id) || (await isStored(id));
      recent.drop(id);
      deadlines.remove(id);
      if (!known) return undefined;
      await store.remove(id);
      return 'removed';
    },
    sizes: () => ({ waiting: schedule.size, active: active.size, committing: committer.waitingMessages }),
    freeBytes: () => store.freeBytes(),
    async close() {
      await committer.idle();
      life.closed = true;
      disarm();
      deadlines.stop();
      await store.close();
    },
  };
}
