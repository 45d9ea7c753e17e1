/**
 * What an attempt came to, made lasting: the queue is told, the sender gets a notice where he is to have one (notice/),
 * hooks, log and counters hear of it. Called by delivery/loop with the results of a message, all at once or in parts.
 * The order is what makes it safe: a notice is on disk before the queue forgets the recipient it is about, and says itself
 * what became of him (queue/told), so that a crash in between repeats nothing that was told. When it cannot be stored,
 * the recipients stay pending, those that were delivered as `owed`: they are told of later and not delivered again. When
 * the queue cannot be told, the message is tried again. So a crash before a notice is stored, or a full disk, may repeat a
 * delivery, and loses nothing.
 */
import type { DeliveryFacts } from '../hook/contract.ts';
import type { Envelope, Recipient } from '../mail/envelope.ts';
import type { Attempt, Settled } from './attempt.ts';
import { MAX_TOLD } from './notice/build.ts';
import { delay, failure, type NoticePolicy, success, warnsAt } from './notice/events.ts';
import { expansion, expansionOf, toldBefore } from './notice/expansions.ts';
import { createSendNotice } from './notice/send.ts';
import type { Told } from './notice/told.ts';
import { mayNotify } from './notice/wishes.ts';
import { stateAfter } from '../queue/active.ts';
import type { DeliveryPorts, Outcome } from './ports.ts';

export type Settle = (attempt: Attempt, settled: readonly Settled[]) => Promise<void>;

/** Recipients whose notice could not be stored are looked at again after this. */
const BOUNCE_RETRY_MS = 300_000;

/** Somebody to tell of, with what the queue is told of him, or of those he stands for: the notice says both. */
interface Item {
  readonly told: Told;
  readonly outcomes: readonly Outcome[];
}

interface Decided {
  readonly one: Settled;
  readonly outcome: Outcome;
  /** Why a deferred recipient failed. */
  readonly ended: 'expired' | 'late' | undefined;
}

type Unstored = 'delivery.bounce.unstored' | 'delivery.notice.unstored';

const NOBODY: ReadonlySet<Item> = new Set();
const NOTHING_EXPANDED: ReadonlyMap<string, Item> = new Map();

const reasonOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));

const hasFailed = ({ outcome }: Decided): boolean => outcome.outcome === 'failed';
const isDeferred = ({ outcome }: Decided): boolean => outcome.outcome === 'deferred';

/** @param policy as the configuration has it now */
export function createSettle(ports: DeliveryPorts, hostname: string, policy: () => NoticePolicy): Settle {
  const { queue, clock, hooks, counters } = ports;
  const sendNotice = createSendNotice(ports, hostname, policy);
  const log = ports.log;

  function decide(attempt: Attempt, one: Settled): Decided {
    const { index, result } = one;
    const { outcome, reply } = result;
    if (outcome !== 'deferred') return { one, outcome: { index, outcome, reply }, ended: undefined };
    const { deliverBy } = attempt.envelope;
    if (deliverBy?.mode === 'return' && clock.now() >= deliverBy.atMs) {
      return {
        one,
        outcome: { index, outcome: 'failed', reply: `554 5.4.7 its time is over, at last: ${reply}` },
        ended: 'late',
      };
    }
    const next = queue.nextAttempt(attempt.envelope, attempt.count(index));
    if (next !== undefined) {
      const nextAttemptAtMs = Math.min(next, warnsAt(attempt.envelope, recipientOf(attempt, one), policy(), clock.now()));
      return { one, outcome: { index, outcome, reply, nextAttemptAtMs }, ended: undefined };
    }
    return { one, outcome: { index, outcome: 'failed', reply: `451 4.4.7 given up, at last: ${reply}` }, ended: 'expired' };
  }

  const recipientOf = (attempt: Attempt, { index }: Settled): Recipient => attempt.envelope.recipients[index]!;

  /**
   * Tells of all of them, in as many notices as that takes.
   * @returns those whose notice could not be stored, with what comes after it: their sender is told later
   */
  async function notify(attempt: Attempt, items: readonly Item[], event: Unstored): Promise<ReadonlySet<Item>> {
    for (let at = 0; at < items.length; at += MAX_TOLD) {
      try {
        await notifyOnce(attempt, items.slice(at, at + MAX_TOLD));
      } catch (error) {
        counters.add(event);
        log.error(event, { message: attempt.envelope.id, reason: reasonOf(error) });
        return new Set(items.slice(at));
      }
    }
    return NOBODY;
  }

  /** @throws StoreError when the notice could not be stored */
  async function notifyOnce({ envelope, due }: Attempt, items: readonly Item[]): Promise<void> {
    const told = items.map((one) => one.told);
    const kind = told[0]!.action === 'failed' ? 'bounce' : 'notice';
    const recipients = items
      .flatMap(({ outcomes }) => outcomes)
      .map((outcome) => [outcome.index, stateAfter(due.state?.recipients[outcome.index], outcome)] as const);
    const id = await sendNotice(envelope, told, { id: envelope.id, recipients });
    counters.add(`delivery.${kind}.${id === undefined ? 'withheld' : 'sent'}`);
    if (id === undefined) return;
    if (kind === 'bounce') log.info('delivery.bounce', { message: envelope.id, bounce: id, to: envelope.reversePath });
    else log.info('delivery.notice', { message: envelope.id, notice: id, to: envelope.reversePath, action: told[0]!.action });
  }

  /** Tells of failures. @returns what the queue is told: as decided, or put off where the sender cannot be told yet */
  async function bounce(attempt: Attempt, decided: readonly Decided[]): Promise<readonly Decided[]> {
    const items = new Map<Decided, Item>();
    // Of what the operator removed its sender is told no more, but of those who have it.
    const isHeard = mayNotify(attempt.envelope) && !attempt.due.removed;
    for (const each of isHeard ? decided.filter(hasFailed) : []) {
      const told = failure(recipientOf(attempt, each.one), each.one.result, each.ended);
      if (told !== undefined) items.set(each, { told, outcomes: [each.outcome] });
    }
    if (items.size === 0) counters.add('delivery.bounce.withheld');
    const unstored = await notify(attempt, [...items.values()], 'delivery.bounce.unstored');
    if (unstored.size === 0) return decided;
    const isUntold = (each: Decided): boolean => unstored.has(items.get(each)!);
    return decided.map((each) => (isUntold(each) ? putOff(attempt, each) : each));
  }

  /** Tells of what was delivered, where that was asked for, and of addresses that became several. */
  async function confirm(attempt: Attempt, decided: readonly Decided[]): Promise<readonly Decided[]> {
    const { envelope } = attempt;
    const items = new Map<Decided, Item>();
    for (const each of decided) {
      const told = successOf(envelope, each);
      if (told !== undefined) items.set(each, { told, outcomes: [each.outcome] });
    }
    const expanded = mayNotify(envelope) ? expansionsOf(attempt, decided) : NOTHING_EXPANDED;
    const unstored = await notify(attempt, [...items.values(), ...expanded.values()], 'delivery.notice.unstored');
    for (const [alias, item] of expanded) if (!unstored.has(item)) attempt.expansionsTold?.add(alias);
    if (unstored.size === 0) return decided;
    return decided.map((each) => {
      if (each.outcome.outcome !== 'delivered') return each;
      const alias = expansionOf(recipientOf(attempt, each.one));
      const isUntold = unstored.has(items.get(each)!) || (alias !== undefined && unstored.has(expanded.get(alias)!));
      return isUntold ? owe(each) : each;
    });
  }

  /** What is told now of addresses that became several, by address. */
  function expansionsOf(attempt: Attempt, decided: readonly Decided[]): ReadonlyMap<string, Item> {
    const found = new Map<string, Item>();
    for (const { one, outcome } of decided) {
      const alias = untoldAlias(attempt, one);
      // What the operator removed is passed on to those alone who have it.
      const isPassedOn = outcome.outcome === 'delivered' || (outcome.outcome === 'deferred' && !attempt.due.removed);
      if (alias === undefined || !isPassedOn || one.result.untried === true) continue;
      const before = found.get(alias);
      const told = before?.told ?? expansion(recipientOf(attempt, one), alias);
      const delivered = before?.outcomes.filter((each) => each.outcome === 'delivered') ?? [];
      // One who waits says enough, where nobody has it: what else he is told of may change what is noted of him.
      if (outcome.outcome !== 'delivered') found.set(alias, before ?? { told, outcomes: [outcome] });
      else if (delivered.length < MAX_TOLD) found.set(alias, { told, outcomes: [...delivered, outcome] });
    }
    return found;
  }

  /** @returns the address that this one is one of several for, where its sender has still to be told of that */
  function untoldAlias(attempt: Attempt, one: Settled): string | undefined {
    const alias = expansionOf(recipientOf(attempt, one));
    if (alias === undefined) return undefined;
    attempt.expansionsTold ??= toldBefore(attempt.envelope, attempt.due.state);
    return attempt.expansionsTold.has(alias) ? undefined : alias;
  }

  /** Notes of who is still to be reached that it has to be told yet that he is one of several. */
  function noteUntold(attempt: Attempt, decided: readonly Decided[]): readonly Decided[] {
    return decided.map((each) => {
      const { one, outcome } = each;
      if (outcome.outcome !== 'deferred' || untoldAlias(attempt, one) === undefined) return each;
      return { ...each, outcome: { ...outcome, unexpanded: true } };
    });
  }

  function successOf(envelope: Envelope, { one }: Decided): Told | undefined {
    const { outcome, handover } = one.result;
    if (outcome !== 'delivered' || !mayNotify(envelope)) return undefined;
    return success(envelope, envelope.recipients[one.index]!, one.result, handover, clock.now());
  }

  /** Whether there may be a success to tell of: most mail asks for none, and is not looked at any further. */
  const asksForMore = ({ envelope }: Attempt): boolean =>
    envelope.deliverBy !== undefined || envelope.recipients.some(({ notify: asked }) => asked !== undefined);

  /** Warns of what has to wait, where it is time to. What was not stored is told after the next attempt. */
  async function warn(attempt: Attempt, decided: readonly Decided[]): Promise<readonly Decided[]> {
    const { envelope, due } = attempt;
    if (!mayNotify(envelope) || due.removed) return decided;
    const delays = new Map<Decided, Item>();
    for (const each of decided) {
      const { one, outcome } = each;
      if (outcome.outcome !== 'deferred' || one.result.outcome !== 'deferred') continue;
      const state = due.state?.recipients[one.index];
      const found = delay(envelope, recipientOf(attempt, one), one.result, state, policy(), clock.now());
      if (found === undefined) continue;
      const { told, ...noted } = found;
      delays.set(each, { told, outcomes: [{ ...outcome, ...noted }] });
    }
    if (delays.size === 0) return decided;
    const unstored = await notify(attempt, [...delays.values()], 'delivery.notice.unstored');
    return decided.map((each) => {
      const item = delays.get(each);
      const [outcome] = item === undefined || unstored.has(item) ? [] : item.outcomes;
      return outcome === undefined ? each : { ...each, outcome };
    });
  }

  /** Delivered, and its sender has still to be told: the queue keeps it, and nobody delivers it again. */
  function owe({ one, outcome }: Decided): Decided {
    const { peer, handover } = one.result;
    const owed = {
      nextHop: one.nextHop,
      ...(peer === undefined ? {} : { peer }),
      ...(handover === undefined ? {} : { handover }),
    };
    const { index, reply } = outcome;
    const nextAttemptAtMs = clock.now() + BOUNCE_RETRY_MS;
    return { one, outcome: { index, outcome: 'deferred', reply, nextAttemptAtMs, owed }, ended: undefined };
  }

  /** Report stages never delay anything; a failure in one is the plugin's, and only told. */
  function report(stage: string, run: () => unknown): void {
    try {
      const ran = run();
      if (ran instanceof Promise) ran.catch((error: unknown) => log.error('delivery.report', { stage, reason: reasonOf(error) }));
    } catch (error) {
      log.error('delivery.report', { stage, reason: reasonOf(error) });
    }
  }

  function tell(attempt: Attempt, { one, outcome }: Decided): void {
    const { envelope } = attempt;
    const recipient = envelope.recipients[one.index]?.address ?? '';
    const { nextHop } = one;
    const { reply } = outcome;
    const attempts = attempt.count(one.index);
    counters.add(`delivery.${outcome.outcome}`);
    const fields = { message: envelope.id, recipient, nextHop, attempt: attempts, reply };
    const facts = (): DeliveryFacts => ({ envelope, recipient, nextHop, attempt: attempts, reply });
    switch (outcome.outcome) {
      case 'delivered':
        log.info('delivery.delivered', { ...fields, delayMs: clock.now() - envelope.receivedAtMs });
        if (hooks.delivered !== null) report('delivered', () => hooks.delivered?.(facts()));
        return;
      case 'deferred': {
        const { nextAttemptAtMs } = outcome;
        log.info('delivery.deferred', { ...fields, nextAttemptAtMs });
        if (hooks.deferred !== null) report('deferred', () => hooks.deferred?.({ ...facts(), nextAttemptAtMs }));
        return;
      }
      case 'failed':
        log.warn('delivery.failed', fields);
        // Nobody is told of a notice, so the operator has to be: its reader waits for nothing else.
        if (envelope.reversePath === '' && envelope.origin.listener === 'internal') {
          counters.add('delivery.notice.lost');
          log.error('delivery.notice.lost', fields);
        }
        if (hooks.bounced !== null) report('bounced', () => hooks.bounced?.(facts()));
    }
  }

  /** A failed recipient whose sender cannot be told yet. */
  function putOff(attempt: Attempt, { one }: Decided): Decided {
    const { index, result } = one;
    const nextAttemptAtMs =
      queue.nextAttempt(attempt.envelope, attempt.count(index), BOUNCE_RETRY_MS) ?? clock.now() + BOUNCE_RETRY_MS;
    return { one, outcome: { index, outcome: 'deferred', reply: result.reply, nextAttemptAtMs }, ended: undefined };
  }

  return async (attempt, settled) => {
    const { envelope } = attempt;
    let decided: readonly Decided[] = settled.map((one) => decide(attempt, one));
    const asks = asksForMore(attempt);
    if (asks) decided = await confirm(attempt, decided);
    if (decided.some(hasFailed)) decided = await bounce(attempt, decided);
    if (asks) decided = noteUntold(attempt, decided);
    if (decided.some(isDeferred)) decided = await warn(attempt, decided);
    try {
      await queue.settle(
        envelope.id,
        decided.map(({ outcome }) => outcome),
      );
    } catch (error) {
      counters.add('delivery.unsettled');
      log.error('delivery.unsettled', { message: envelope.id, reason: reasonOf(error) });
    }
    for (const one of decided) tell(attempt, one);
  };
}
