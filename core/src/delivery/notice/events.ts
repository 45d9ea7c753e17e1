/**
 * What the sender of a message is told after an attempt (RFC 3461 §5.2, RFC 2852 §4.1). Called by delivery/settle for
 * each recipient with what became of it; most mail asks for nothing, and delivered so leaves nothing to tell. Pure.
 */
import { type Envelope, type Recipient, releasedAtMs } from '../../mail/envelope.ts';
import type { RecipientState } from '../../queue/store.ts';
import { type Handover, type Result, statusOf } from '../reply.ts';
import type { Told } from './told.ts';
import { mayNotify, wants } from './wishes.ts';

/** The parts of the configuration that say when a sender is told of what. */
export interface NoticePolicy {
  /** Ages at which the sender is warned; null: never. */
  readonly warnAfter: readonly number[] | null;
  readonly giveUpAfter: number;
  readonly maxReturnBytes: number;
}

/** A reply, and who said it. */
export type Said = Pick<Result, 'reply' | 'peer'>;

/** Success of a recipient, where somebody wants to know; undefined otherwise. */
export function success(
  { deliverBy }: Envelope,
  recipient: Recipient,
  said: Said,
  handover: Handover | undefined,
  nowMs: number,
): Told | undefined {
  if (handover === undefined || (recipient.notify === undefined && deliverBy === undefined)) return undefined;
  const wanted = wants(recipient, 'success') && recipient.expanded !== true;
  const what = { recipient, reply: said.reply, peer: said.peer };
  if (handover.to === 'mailbox') {
    return wanted && !handover.reports ? { ...what, action: 'delivered', status: successOf(said.reply) } : undefined;
  }
  if (wanted && !handover.reports) return { ...what, action: 'relayed', status: successOf(said.reply) };
  if (deliverBy === undefined || recipient.notify?.length === 0) return undefined;
  // RFC 2852 §4.1.4: the time is kept no further, while there is one, or each server on the way was asked to tell.
  if (!handover.keepsTime && nowMs < deliverBy.atMs) {
    const why = 'The next server does not know until when it was to be delivered.';
    return { ...what, action: 'relayed', status: successOf(said.reply), why };
  }
  return deliverBy.trace ? { ...what, action: 'relayed', status: successOf(said.reply) } : undefined;
}

const successOf = (reply: string): string => {
  const status = statusOf(reply);
  return status.startsWith('2.') ? status : '2.0.0';
};

/**
 * A recipient that does not get the message.
 * @param ended `expired`: tried until the time was over; `late`: the time of BY was over.
 */
export function failure(recipient: Recipient, said: Said, ended?: 'expired' | 'late'): Told | undefined {
  if (!wants(recipient, 'failure')) return undefined;
  const what = { recipient, reply: said.reply, peer: said.peer, action: 'failed' } as const;
  const status = statusOf(said.reply);
  // The status of an expired recipient is that of the time that ran out (RFC 3463 §3.5); its last reply is the diagnostic.
  if (ended === 'expired') return { ...what, status: '4.4.7', why: 'Not delivered in time (4.4.7). At the last attempt:' };
  if (ended === 'late')
    return { ...what, status: '5.4.7', why: 'Not delivered by the time that you set (5.4.7). The last answer:' };
  return { ...what, status: status.startsWith('5.') ? status : '5.0.0' };
}

/** A recipient that is still to be reached: what its sender is told now, and what is noted of that. */
export interface Delay {
  readonly told: Told;
  readonly warned?: number;
  readonly late?: true;
}

/** @param state of the recipient before this attempt */
export function delay(
  envelope: Envelope,
  recipient: Recipient,
  said: Said,
  state: RecipientState | undefined,
  { warnAfter, giveUpAfter }: NoticePolicy,
  nowMs: number,
): Delay | undefined {
  const { deliverBy } = envelope;
  const age = nowMs - releasedAtMs(envelope);
  const passed = warnAfter === null ? 0 : warnAfter.filter((ms) => age >= ms).length;
  const isWarning = passed > (state?.warned ?? 0);
  const isLate = deliverBy?.mode === 'notify' && nowMs >= deliverBy.atMs && state?.late !== true;
  if ((!isWarning && !isLate) || !wants(recipient, 'delay')) return undefined;
  const status = statusOf(said.reply);
  const told: Told = {
    action: 'delayed',
    recipient,
    reply: said.reply,
    peer: said.peer,
    status: isLate ? '4.4.7' : status.startsWith('4.') ? status : '4.0.0',
    why: isLate ? 'Not delivered by the time that you set (4.4.7). The last answer:' : 'At the last attempt:',
    retryUntilMs: releasedAtMs(envelope) + giveUpAfter,
  };
  return { told, ...(isWarning ? { warned: passed } : {}), ...(isLate ? { late: true } : {}) };
}

/** When its sender is to be warned next: an attempt is made then, since it is what tells him. Infinity: not again. */
export function warnsAt(envelope: Envelope, recipient: Recipient, { warnAfter }: NoticePolicy, nowMs: number): number {
  if (warnAfter === null || !mayNotify(envelope) || !wants(recipient, 'delay')) return Infinity;
  return Math.min(...warnAfter.map((ms) => releasedAtMs(envelope) + ms).filter((atMs) => atMs > nowMs));
}
