/**
 * What an attempt came to, made lasting: the queue is told, the sender gets a bounce, hooks, log and counters hear of it.
 * Called by delivery/loop with the results of a message, all at once or in parts.
 * The order is what makes it safe: a bounce is on disk before the queue forgets the recipient it is about. When the bounce
 * cannot be stored, the recipients stay pending; when the queue cannot be told, the message is tried again. So a crash or
 * a full disk may repeat a delivery or a bounce, and loses neither.
 */
import type { DeliveryFacts } from '../hook/contract.ts';
import type { Envelope, Recipient } from '../mail/envelope.ts';
import type { Attempt, Settled } from './attempt.ts';
import { buildBounce, type Failure, MAX_HEADER_BYTES, mayBounce } from './bounce.ts';
import type { DeliveryPorts, Outcome } from './ports.ts';

export type Settle = (attempt: Attempt, settled: readonly Settled[]) => Promise<void>;

/** Recipients whose bounce could not be stored are tried again after this. */
const BOUNCE_RETRY_MS = 300_000;

interface Decided {
  readonly one: Settled;
  readonly outcome: Outcome;
  readonly expired: boolean;
}

const reasonOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));

/** Peers are named with an address; a hop nobody was reached at is not one who said something. */
const isPeer = (nextHop: string): boolean => nextHop.includes('[');

export function createSettle(ports: DeliveryPorts, hostname: string): Settle {
  const { queue, clock, hooks, counters, directory } = ports;
  const log = ports.log;

  function decide(attempt: Attempt, one: Settled): Decided {
    const { index, result } = one;
    const { outcome, reply } = result;
    if (outcome !== 'deferred') return { one, outcome: { index, outcome, reply }, expired: false };
    const nextAttemptAtMs = queue.nextAttempt(attempt.envelope, attempt.count(index));
    if (nextAttemptAtMs !== undefined) return { one, outcome: { index, outcome, reply, nextAttemptAtMs }, expired: false };
    return { one, outcome: { index, outcome: 'failed', reply: `451 4.4.7 given up, at last: ${reply}` }, expired: true };
  }

  /** The beginning of a message, enough for its header. */
  async function headerOf(id: string): Promise<Uint8Array> {
    const chunks: Uint8Array[] = [];
    let size = 0;
    for await (const chunk of queue.body(id)) {
      chunks.push(Uint8Array.from(chunk));
      size += chunk.length;
      if (size >= MAX_HEADER_BYTES) break;
    }
    return Buffer.concat(chunks);
  }

  /** Where a bounce goes; empty when the sender is an address of ours that nobody has. */
  function bounceRecipients(reversePath: string): Recipient[] {
    const found = directory.resolve(reversePath);
    if (found.is === 'unknown') return [];
    if (found.is !== 'known') return [{ address: reversePath }];
    return found.targets.map((target) =>
      target.to === 'mailbox' ? { address: target.address, mailbox: target.mailbox } : { address: target.address },
    );
  }

  /** @throws StoreError when the bounce could not be stored */
  async function bounce(envelope: Envelope, all: readonly Decided[]): Promise<void> {
    const failed = all.filter(({ one }) => mayBounce(one.envelope));
    if (failed.length === 0) {
      counters.add('delivery.bounce.withheld');
      return;
    }
    const recipients = bounceRecipients(envelope.reversePath);
    if (recipients.length === 0) {
      counters.add('delivery.bounce.withheld');
      log.warn('delivery.bounce.nobody', { message: envelope.id, reversePath: envelope.reversePath });
      return;
    }
    const failures = failed.map(({ one, expired }): Failure => {
      const { reply } = one.result;
      return { recipient: envelope.recipients[one.index]!, reply, peer: isPeer(one.nextHop) ? one.nextHop : undefined, expired };
    });
    const id = ports.newId();
    const nowMs = clock.now();
    const bytes = buildBounce({ envelope, failures, header: await headerOf(envelope.id), hostname, id, nowMs });
    await ports.submitBounce(
      {
        id,
        receivedAtMs: nowMs,
        reversePath: '',
        recipients,
        origin: {
          listener: 'internal',
          clientAddress: '',
          clientPort: 0,
          helo: hostname,
          protocol: 'SMTP',
          sessionId: envelope.origin.sessionId,
        },
        sizeBytes: bytes.length,
        body: '7bit',
        // RFC 6710 §4.6: as urgent as what it is about.
        // RFC 8689 §5: it tells of what was to stay secret.
        ...(envelope.requireTls === true ? { requireTls: true } : {}),
        ...(envelope.priority === undefined ? {} : { priority: envelope.priority }),
      },
      bytes,
    );
    counters.add('delivery.bounce.sent');
    log.info('delivery.bounce', { message: envelope.id, bounce: id, to: envelope.reversePath });
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
        if (hooks.bounced !== null) report('bounced', () => hooks.bounced?.(facts()));
    }
  }

  /** A failed recipient whose sender cannot be told yet. */
  function putOff(attempt: Attempt, { one }: Decided): Decided {
    const { index, result } = one;
    const nextAttemptAtMs =
      queue.nextAttempt(attempt.envelope, attempt.count(index), BOUNCE_RETRY_MS) ?? clock.now() + BOUNCE_RETRY_MS;
    return { one, outcome: { index, outcome: 'deferred', reply: result.reply, nextAttemptAtMs }, expired: false };
  }

  return async (attempt, settled) => {
    const { envelope } = attempt;
    let decided = settled.map((one) => decide(attempt, one));
    const failed = decided.filter(({ outcome }) => outcome.outcome === 'failed');
    if (failed.length > 0) {
      try {
        await bounce(envelope, failed);
      } catch (error) {
        counters.add('delivery.bounce.unstored');
        log.error('delivery.bounce.unstored', { message: envelope.id, reason: reasonOf(error) });
        decided = decided.map((one) => (one.outcome.outcome === 'failed' ? putOff(attempt, one) : one));
      }
    }
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
