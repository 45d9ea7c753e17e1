/**
 * Takes messages that are due, finds their next hops, has them delivered, and sees each attempt settled. One for each
 * shard, in the process that owns it; made in wiring.
 * It takes no more at once than it may hold in flight; when a slow destination fills that, its messages are given back
 * untried for a while, so that it does not stop the others. What becomes of a message is `settle`'s; what cannot be
 * tried is released to the queue. Nothing here throws after the start.
 */
import { isDeepStrictEqual } from 'node:util';
import { askDeliverStage } from './ask.ts';
import { askedOf } from './asked.ts';
import { Attempt, groupByHop } from './attempt.ts';
import { sortOut } from './beforehand.ts';
import { failDamaged, noticing } from './damage.ts';
import { createLocalLane } from './local.ts';
import type { NoticePolicy } from './notice/events.ts';
import type { DeliveryPorts, DueMessage } from './ports.ts';
import type { ClientTimeouts } from './remote/connection.ts';
import type { Job } from './remote/job.ts';
import { createPool, type Pool } from './remote/pool.ts';
import type { Result } from './reply.ts';
import { makeRouter, type NextHop, type RemoteHop, type Router, type RouteRules } from './route.ts';
import { createSettle } from './settle.ts';
import { isAscii } from '../wire/address.ts';

/** The parts of the configuration that delivery reads. */
export interface DeliveryConfig extends RouteRules {
  readonly throughput: { readonly deliveryConcurrency: number; readonly deliveryConcurrencyPerDestination: number };
  readonly queue: { readonly priorityStep: number } & NoticePolicy;
}

export interface DeliveryOptions {
  readonly config: DeliveryConfig;
  readonly hostname: string;
  /** Other waits than the standard's; for tests. */
  readonly timeouts?: Partial<ClientTimeouts>;
  /** For tests: `Math.random` when absent. */
  readonly random?: () => number;
}

export interface Delivery {
  /** From now on mail goes out. */
  start(): void;
  /**
   * New routes and limits: what is under way ends as it began, and counts; connections are kept where nothing changed.
   * @throws TypeError for routes that are none
   */
  reload(config: DeliveryConfig): void;
  /** Begins nothing more; resolves when all that runs has ended, or was ended after `graceMs`. */
  drain(graceMs: number): Promise<void>;
  sizes(): { readonly inFlight: number; readonly connections: number; readonly idle: number; readonly destinations: number };
}

/** Messages in flight for each connection allowed: those being sent, and some ready behind them. */
const IN_FLIGHT_PER_CONNECTION = 4;
const MIN_IN_FLIGHT = 100;
const MAX_IN_FLIGHT = 2000;
/** Taken from the queue in one go. */
const BATCH = 200;
/** Deliveries into mailboxes at once: each syncs a file, and more would only wait for the disk. */
const MAX_LOCAL = 32;
/** When nothing more could be taken and little ended for this long, the destination with most waiting is shed. */
const STUCK_MS = 1_000;
/** How long a destination is shed for; its messages come back after this. */
const CONGESTED_MS = 5_000;
const CONGESTED_PAUSE_MS = 250;
/** Results of a message with a slow recipient are settled without it after this. */
const PARTIAL_MS = 10_000;
const HELD: Result = { outcome: 'deferred', reply: '451 4.3.2 deliveries are held here', untried: true };
const NO_PLACE: Result = {
  outcome: 'deferred',
  reply: '451 4.4.7 no connection was free for it by its time',
  untried: true,
};
/** What is left after everything was ended gets this long to settle. */
const LAST_MS = 2_000;

/** What the connections of a pool rest on: while that is the same they are kept. */
const basisOf = ({ throughput, relay, domains }: DeliveryConfig): unknown => ({
  connections: [throughput.deliveryConcurrency, throughput.deliveryConcurrencyPerDestination],
  relay,
  domains: Object.entries(domains).map(([domain, { deliver }]) => [domain, deliver]),
});

const sumOf = (pools: Iterable<Pool>, count: (pool: Pool) => number): number => {
  let sum = 0;
  for (const one of pools) sum += count(one);
  return sum;
};

export function createDelivery(ports: DeliveryPorts, options: DeliveryOptions): Delivery {
  const { queue, clock, hooks, counters } = ports;
  const { hostname } = options;
  const settle = createSettle(ports, hostname, () => noticePolicy);
  const local = createLocalLane(ports, () => Math.min(MAX_LOCAL, concurrency));
  let route: Router;
  const oldPools = new Set<Pool>();
  let concurrency = 0;
  let priorityStepMs = 0;
  let noticePolicy: NoticePolicy = options.config.queue;
  let maxInFlight = 0;
  const inFlight = new Set<Attempt>();
  let ended = 0;
  let cancelStuck: (() => void) | undefined;
  let taking = false;
  /** The queue may have more that is due than was taken. */
  let more = false;
  let started = false;
  let draining = false;
  let whenEmpty: (() => void) | undefined;

  function configure({ throughput, queue: { priorityStep, ...notices }, ...rules }: DeliveryConfig): void {
    route = makeRouter(rules);
    priorityStepMs = priorityStep;
    noticePolicy = notices;
    concurrency = throughput.deliveryConcurrency;
    maxInFlight = Math.min(MAX_IN_FLIGHT, Math.max(MIN_IN_FLIGHT, concurrency * IN_FLIGHT_PER_CONNECTION));
  }

  function makePool({ throughput, ...rules }: DeliveryConfig): Pool {
    const { timeouts, random } = options;
    const made = createPool(
      {
        hostname,
        concurrency: Math.max(1, concurrency),
        perDestination: throughput.deliveryConcurrencyPerDestination,
        convertsSealed: rules.relay.convertSigned,
        ...(timeouts === undefined ? {} : { timeouts }),
      },
      {
        dns: ports.dns,
        sts: rules.relay.mtaSts ? ports.sts : undefined,
        isSelf: ports.isSelf,
        random: random ?? Math.random,
        clock,
        log: ports.log,
        held: {
          inAll: () => sumOf(oldPools, (one) => one.sizes().connections),
          to: (key) => sumOf(oldPools, (one) => one.connectionsTo(key)),
        },
        freed() {
          if (oldPools.has(made)) pool.pump();
        },
      },
    );
    return made;
  }
  configure(options.config);
  let basis = basisOf(options.config);
  let pool = makePool(options.config);

  const mayTake = (): boolean => started && !draining && concurrency > 0 && inFlight.size < maxInFlight;

  /** Takes while there is room; one at a time. What is late needs none: mostly there is nothing to do but to tell. */
  async function take(): Promise<void> {
    more = true;
    if (inFlight.size >= maxInFlight) watchForStuck();
    const mayTakeLate = started && !draining && inFlight.size < maxInFlight + BATCH;
    if (taking || !mayTakeLate) return;
    taking = true;
    let congested = false;
    let pauseMs = CONGESTED_PAUSE_MS;
    try {
      const isHeld = concurrency === 0;
      for (const due of await queue.takeLate(BATCH)) begin(due, isHeld);
      while (more && !congested && mayTake()) {
        const limit = Math.min(BATCH, maxInFlight - inFlight.size);
        more = false;
        const batch = await queue.takeDue(limit);
        more ||= batch.length === limit;
        for (const due of batch) congested = begin(due) || congested;
      }
    } catch (error) {
      counters.add('delivery.take.failed');
      ports.log.error('delivery.take', { reason: String(error) });
      congested = true;
      pauseMs = CONGESTED_MS;
    } finally {
      taking = false;
    }
    if (more && inFlight.size >= maxInFlight) watchForStuck();
    if (congested) {
      more = false;
      clock.after(pauseMs, () => void take());
    }
  }

  /** Sheds the destination that holds everything up, if one does. */
  function watchForStuck(): void {
    if (cancelStuck !== undefined) return;
    const before = ended;
    cancelStuck = clock.after(STUCK_MS, () => {
      cancelStuck = undefined;
      if (draining || !more || ended - before >= maxInFlight / 4) return;
      counters.add('delivery.shed');
      pool.shed(CONGESTED_MS);
    });
  }

  /**
   * @param isHeld nothing goes out now: those who are told of its lateness are told, and no more
   * @returns true when its destination is congested and it was given back
   */
  function begin(due: DueMessage, isHeld = false): boolean {
    const nowMs = clock.now();
    const attempt = new Attempt(due, nowMs);
    inFlight.add(attempt);
    if (draining) {
      attempt.untried = true;
      void finish(attempt, 0);
      return false;
    }
    const indices = sortOut(attempt, nowMs);
    if (isHeld) {
      attempt.add(
        indices,
        indices.map(() => HELD),
        'held',
      );
      return dispatch(attempt, []);
    }
    if (hooks.deliver === null) return dispatch(attempt, indices);
    void askDeliverStage(hooks.deliver, attempt, indices, route, ports.log).then((passed) => dispatch(attempt, passed));
    return false;
  }

  /** Sends the groups on their ways. @returns true when one was given back for congestion */
  function dispatch(attempt: Attempt, indices: readonly number[]): boolean {
    if (attempt.due.removed) {
      attempt.untried = true;
      void finish(attempt, 0);
      return false;
    }
    let congested = false;
    const starts: (() => void)[] = [];
    for (const { hop, indices: group } of groupByHop(attempt.envelope, indices, route)) {
      if (isRemote(hop) && pool.isCongested(hop)) congested = attempt.untried = true;
      else starts.push(() => deliver(attempt, hop, group));
    }
    if (congested) counters.add('delivery.congested');
    if (starts.length === 0) {
      void finish(attempt, CONGESTED_MS);
      return congested;
    }
    attempt.open = starts.length;
    if (starts.length > 1 || attempt.msLeft(clock.now()) < Infinity) watch(attempt);
    for (const start of starts) start();
    return congested;
  }

  function isRemote(hop: NextHop): hop is RemoteHop {
    return hop.to === 'mx' || hop.to === 'host' || hop.to === 'literal';
  }

  function deliver(attempt: Attempt, hop: NextHop, indices: readonly number[]): void {
    const { envelope } = attempt;
    const done = (results: readonly Result[] | undefined, nextHop: string): void => groupDone(attempt, indices, results, nextHop);
    const all = (result: Result): void =>
      done(
        indices.map(() => result),
        hop.key,
      );
    const rank = clock.monotonic() - (envelope.priority ?? 0) * priorityStepMs;
    switch (hop.to) {
      case 'discard':
        return all({ outcome: 'delivered', reply: '250 2.0.0 discarded, as the route says' });
      case 'refused':
        return all({ outcome: 'failed', reply: hop.reply });
      case 'mailbox': {
        const recipient = envelope.recipients[indices[0]!]!.address;
        let damage: string | undefined;
        const body = (): AsyncIterable<Uint8Array> => noticing(queue.body(envelope.id), (found) => (damage = found));
        const ended = (result: Result): Result =>
          damage === undefined ? result : failDamaged(ports.log, envelope.id, damage, [result])[0]!;
        return local.submit({
          envelope,
          mailbox: hop.mailbox,
          recipient,
          rank,
          body,
          done: (result) => (result === undefined ? done(undefined, hop.key) : all(ended(result))),
        });
      }
      default:
        pool.submit(hop, makeJob(attempt, indices, rank, pool));
    }
  }

  /** These recipients of a message, for one next hop. @param into where it waits for a connection */
  function makeJob(attempt: Attempt, indices: readonly number[], rank: number, into: Pool): Job {
    const { envelope } = attempt;
    const recipients = indices.map((index) => envelope.recipients[index]!.address);
    // A bounce has no SMTPUTF8 of its own, and may go to an address that needs it.
    const smtpUtf8 = envelope.smtpUtf8 === true || !recipients.every(isAscii) || !isAscii(envelope.reversePath);
    const { priority = 0 } = envelope;
    const job: Job = {
      due: attempt.due,
      reversePath: envelope.reversePath,
      recipients,
      sizeBytes: envelope.sizeBytes,
      // A header in UTF-8 is 8-bit content, whatever BODY said.
      eightBit: envelope.body !== '7bit' || smtpUtf8,
      binary: envelope.body === 'binarymime',
      smtpUtf8,
      priority,
      requireTls: envelope.requireTls === true,
      asked: askedOf(envelope, indices, clock),
      rank,
      body: () => queue.body(envelope.id),
      done: (results, nextHop) => groupDone(attempt, indices, results, nextHop),
      split(parts) {
        watch(attempt);
        attempt.open += parts.length - 1;
        const indicesOf = (part: readonly number[]): number[] => part.map((at) => indices[at]!);
        return parts.map((part) => makeJob(attempt, indicesOf(part), rank, into));
      },
      tries: 0,
    };
    if (envelope.deliverBy !== undefined) attempt.withdrawals.push(() => into.withdraw(job, NO_PLACE));
    return job;
  }

  /** Releases what is not being sent yet of a message that was removed. @returns whether some of it is */
  function takeBack(id: string): boolean {
    local.takeBack(id);
    for (const one of [pool, ...oldPools]) one.takeBack(id);
    return inFlight.values().some((attempt) => attempt.envelope.id === id && attempt.open > 0);
  }

  function groupDone(
    attempt: Attempt,
    indices: readonly number[],
    results: readonly Result[] | undefined,
    nextHop: string,
  ): void {
    if (results === undefined) attempt.untried = true;
    else attempt.add(indices, results, nextHop);
    if (--attempt.open === 0) void finish(attempt, draining ? 0 : CONGESTED_MS);
  }

  /**
   * Settles what is there while other groups go on, so that a crash repeats little, and takes back what waits for a
   * connection still when its time is over (RFC 2852 §4.1).
   */
  function watch(attempt: Attempt): void {
    if (attempt.isWatched) return;
    attempt.isWatched = true;
    clock.after(Math.min(PARTIAL_MS, attempt.msLeft(clock.now())), () => {
      attempt.isWatched = false;
      // A timer may ring a little before the wall clock has come so far: then it is looked at once more.
      if (attempt.open > 0 && attempt.msLeft(clock.now()) === 0) attempt.withdraw();
      if (attempt.open === 0) return;
      const settled = attempt.take();
      if (settled.length > 0) attempt.settling = Promise.resolve(attempt.settling).then(() => settle(attempt, settled));
      watch(attempt);
    });
  }

  async function finish(attempt: Attempt, releaseMs: number): Promise<void> {
    await attempt.settling;
    const settled = attempt.take();
    if (settled.length > 0) await settle(attempt, settled);
    if (attempt.untried) queue.release(attempt.envelope.id, releaseMs);
    inFlight.delete(attempt);
    ended++;
    if (inFlight.size === 0) whenEmpty?.();
    if (more && maxInFlight - inFlight.size >= Math.min(BATCH, maxInFlight / 4)) void take();
  }

  function emptyWithin(waitMs: number): Promise<void> {
    return new Promise((resolve) => {
      if (inFlight.size === 0) return resolve();
      const cancel = clock.after(waitMs, resolve);
      whenEmpty = () => {
        cancel();
        resolve();
      };
    });
  }

  return {
    start() {
      started = true;
      queue.onRemove(takeBack);
      queue.onDue(() => void take());
    },
    reload(config) {
      configure(config);
      const newBasis = basisOf(config);
      if (!isDeepStrictEqual(newBasis, basis)) {
        basis = newBasis;
        for (const one of oldPools) if (one.sizes().connections === 0) oldPools.delete(one);
        const before = pool;
        oldPools.add(before);
        pool = makePool(config);
        before.drain();
      }
      local.pump();
      void take();
    },
    async drain(graceMs) {
      draining = true;
      local.drain();
      for (const one of [pool, ...oldPools]) one.drain();
      await emptyWithin(graceMs);
      for (const one of [pool, ...oldPools]) one.abort();
      await emptyWithin(LAST_MS);
    },
    sizes: () => ({ inFlight: inFlight.size, ...pool.sizes() }),
  };
}
