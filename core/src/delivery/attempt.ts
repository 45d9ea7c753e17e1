/**
 * One attempt at one message: its recipients grouped by next hop, and the results as they come in. Made by
 * delivery/loop, which acts on what is gathered here. Pure bookkeeping: no socket, no queue.
 */
import type { Envelope } from '../mail/envelope.ts';
import type { DueMessage } from './ports.ts';
import type { Result } from './reply.ts';
import type { NextHop, Router } from './route.ts';

/** Recipients that go the same way. `indices` are those of the envelope. */
export interface Group {
  readonly hop: NextHop;
  readonly indices: readonly number[];
}

/** What became of one recipient in this attempt. */
export interface Settled {
  readonly index: number;
  readonly result: Result;
  /** `mx.example.org[192.0.2.1]:25`, `maildir:alice`, or the key of a hop nobody was reached at. */
  readonly nextHop: string;
}

/** RFC 5321 §4.5.3.1.8: every server takes 100 recipients; with more some have to wait for a second transaction. */
const RECIPIENTS_PER_TRANSACTION = 100;

/**
 * Groups recipients by next hop, in the order of the envelope.
 * @param indices of the recipients to try
 */
export function groupByHop(envelope: Envelope, indices: readonly number[], route: Router): Group[] {
  const only = indices.length === 1 ? envelope.recipients[indices[0]!] : undefined;
  if (only !== undefined) return [{ hop: route(only, envelope), indices }];
  const groups: { hop: NextHop; indices: number[] }[] = [];
  const open = new Map<string, { hop: NextHop; indices: number[] }>();
  for (const index of indices) {
    const recipient = envelope.recipients[index];
    if (recipient === undefined) continue;
    const hop = route(recipient, envelope);
    let group = open.get(hop.key);
    if (group === undefined || (group.indices.length >= RECIPIENTS_PER_TRANSACTION && hop.to !== 'mailbox')) {
      group = { hop, indices: [] };
      groups.push(group);
      open.set(hop.key, group);
    }
    group.indices.push(index);
  }
  return groups;
}

/** An attempt under way. */
export class Attempt {
  readonly due: DueMessage;
  /** Groups without results yet. */
  open = 0;
  /** Some group was given back untried. */
  untried = false;
  /** A part that is being settled. */
  settling: Promise<void> | undefined;
  /** Somebody looks at it again before long. */
  isWatched = false;
  /** Take back what waits for a connection; for messages that are to be delivered by some time. */
  readonly withdrawals: (() => void)[] = [];
  /** The time of BY is none to wait for: there is none, it was over before, or what waited was taken back. */
  #isTimeless: boolean;
  /** Addresses that became several, of which the sender was told; undefined until that is looked at. */
  expansionsTold: Set<string> | undefined;
  #settled: Settled[] = [];

  /** @param nowMs when it begins, which decides whether it is late already */
  constructor(due: DueMessage, nowMs: number) {
    this.due = due;
    const { deliverBy } = due.envelope;
    this.#isTimeless = deliverBy === undefined || deliverBy.atMs <= nowMs;
  }

  get envelope(): Envelope {
    return this.due.envelope;
  }

  add(indices: readonly number[], results: readonly Result[], nextHop: string): void {
    for (const [at, index] of indices.entries()) {
      const result = results[at];
      if (result !== undefined) this.#settled.push({ index, result, nextHop });
    }
  }

  /** The results since the last call. */
  take(): readonly Settled[] {
    const settled = this.#settled;
    this.#settled = [];
    return settled;
  }

  /** Until the time of BY, 0 when it is over; Infinity where there is none to wait for. */
  msLeft(nowMs: number): number {
    const { deliverBy } = this.envelope;
    return deliverBy === undefined || this.#isTimeless ? Infinity : Math.max(0, deliverBy.atMs - nowMs);
  }

  /** Takes back what waits for a connection, once. */
  withdraw(): void {
    this.#isTimeless = true;
    for (const withdraw of this.withdrawals) withdraw();
  }

  /** Attempts made for a recipient, with this one. */
  count(index: number): number {
    return (this.due.state?.recipients[index]?.attempts ?? 0) + 1;
  }
}
