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
import { delay, expansions, failure, type NoticePolicy, success, warnsAt } from './notice/events.ts';
import { createSendNotice } from './notice/send.ts';
import type { Told } from './notice/told.ts';
import { mayNotify } from './notice/wishes.ts';
import { stateAfter } from '../queue/active.ts';
import type { DeliveryPorts, Outcome } from './ports.ts';

export type Settle = (attempt: Attempt, settled: readonly Settled[]) => Promise<void>;

/** Recipients whose notice could not be stored are looked at again after this. */
const BOUNCE_RETRY_MS = 300_000;

/** Somebody to tell of, with what the queue is told of him: the notice says both. */
interface Item {
  readonly told: Told;
  readonly outcome?: Outcome;
}

interface Decided {
  readonly one: Settled;
  readonly outcome: Outcome;
  /** Why a deferred recipient failed. */
  readonly ended: 'expired' | 'late' | undefined;
}

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

  /** @throws StoreError when the notice could not be stored */
  async function notify(attempt: Attempt, items: readonly Item[]): Promise<void> {
    for (let at = 0; at < items.length; at += MAX_TOLD) await notifyOnce(attempt, items.slice(at, at + MAX_TOLD));
  }

  async function notifyOnce({ envelope, due }: Attempt, items: readonly Item[]): Promise<void> {
    const told = items.map((one) => one.told);
    const kind = told[0]!.action === 'failed' ? 'bounce' : 'notice';
    const recipients = items
      .map(({ outcome }) => outcome)
      .filter((outcome) => outcome !== undefined)
      .map((outcome) => [outcome.index, stateAfter(due.state?.recipients[outcome.index], outcome)] as const);
    const id = await sendNotice(envelope, told, { id: envelope.id, recipients });
    counters.add(`delivery.${kind}.${id === undefined ? 'withheld' : 'sent'}`);
    if (id === undefined) return;
    if (kind === 'bounce') log.info('delivery.bounce', { message: envelope.id, bounce: id, to: envelope.reversePath });
    else log.info('delivery.notice', { message: envelope.id, notice: id, to: envelope.reversePath, action: told[0]!.action });
  }

  /** Tells of failures. @returns what the queue is told: as decided, or put off where the sender cannot be told yet */
  async function bounce(attempt: Attempt, decided: readonly Decided[]): Promise<readonly Decided[]> {
    const failed = decided.filter(hasFailed);
    // Of what the operator removed its sender is told no more, but of those who have it.
    const heard = mayNotify(attempt.envelope) && !attempt.due.removed ? failed : [];
    const items = heard.flatMap(({ one, outcome, ended }): Item[] => {
      const told = failure(recipientOf(attempt, one), one.result, ended);
      return told === undefined ? [] : [{ told, outcome }];
    });
    try {
      if (items.length === 0) counters.add('delivery.bounce.withheld');
      else await notify(attempt, items);
      return decided;
    } catch (error) {
      unstored(attempt, 'delivery.bounce.unstored', error);
      return decided.map((one) => (hasFailed(one) ? putOff(attempt, one) : one));
    }
  }

  /** Tells of what was delivered, where that was asked for, and of addresses that became several. */
  async function confirm(attempt: Attempt, decided: readonly Decided[]): Promise<readonly Decided[]> {
    const { envelope } = attempt;
    const told = new Map<Decided, Told>();
    for (const each of decided) {
      const found = successOf(envelope, each);
      if (found !== undefined) told.set(each, found);
    }
    const expanded = attempt.tellsExpansions && mayNotify(envelope) ? expansions(envelope.recipients) : [];
    try {
      const items = [...told].map(([{ outcome }, one]): Item => ({ told: one, outcome }));
      await notify(attempt, [...items, ...expanded.map((one): Item => ({ told: one }))]);
      attempt.tellsExpansions = false;
      return decided;
    } catch (error) {
      unstored(attempt, 'delivery.notice.unstored', error);
      const unexpanded = expanded.length > 0 ? ({ unexpanded: true } as const) : {};
      return decided.map((each) => {
        const { one, outcome } = each;
        const isOwed = told.has(each) || (outcome.outcome === 'delivered' && recipientOf(attempt, one).expanded === true);
        // Somebody has to stay for the expansion to be told with: a failure is then told later, too.
        const kept = isOwed ? owe(each) : hasFailed(each) && expanded.length > 0 ? putOff(attempt, each) : each;
        return kept.outcome.outcome === 'deferred' ? { ...kept, outcome: { ...kept.outcome, ...unexpanded } } : kept;
      });
    }
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
    const delays = new Map<Decided, Item & { readonly outcome: Outcome }>();
    for (const each of decided) {
      const { one, outcome } = each;
      if (outcome.outcome !== 'deferred' || one.result.outcome !== 'deferred') continue;
      const state = due.state?.recipients[one.index];
      const found = delay(envelope, recipientOf(attempt, one), one.result, state, policy(), clock.now());
      if (found === undefined) continue;
      const { told, ...noted } = found;
      delays.set(each, { told, outcome: { ...outcome, ...noted } });
    }
    if (delays.size === 0) return decided;
    try {
      await notify(attempt, [...delays.values()]);
      return decided.map((each) => ({ ...each, outcome: delays.get(each)?.outcome ?? each.outcome }));
    } catch (error) {
      unstored(attempt, 'delivery.notice.unstored', error);
      return decided;
    }
  }

  function unstored(attempt: Attempt, event: 'delivery.bounce.unstored' | 'delivery.notice.unstored', error: unknown): void {
    counters.add(event);
    log.error(event, { message: attempt.envelope.id, reason: reasonOf(error) });
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
    if (asksForMore(attempt)) decided = await confirm(attempt, decided);
    if (decided.some(hasFailed)) decided = await bounce(attempt, decided);
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
