/**
 * The messages that are handed out: what delivery holds, and what became of their recipients so far in this attempt.
 * Called by queue.ts. As many are in here as delivery takes at once; a message leaves when each recipient that was due
 * has an outcome, or when it is released. Pure bookkeeping: the store is written to by the caller.
 */
import type { Envelope } from '../mail/envelope.ts';
import type { Agreed } from './retry.ts';
import type { DeliveryState, Owed, RecipientState } from './store.ts';
import { untried } from './told.ts';

/** A message whose time has come, handed out until every index of `due` was settled or the message was released. */
export interface DueMessage {
  readonly envelope: Envelope;
  /** What is known of earlier attempts; undefined before the first. */
  readonly state: DeliveryState | undefined;
  /** Indices of `envelope.recipients` to try now. */
  readonly due: readonly number[];
  /** The operator wants it tried now, whatever is known of its next hop. */
  readonly forced?: true;
  /** The operator removed it since: nothing more of it is to go out, and nobody is to be told of it. */
  removed?: true;
}

/** What one attempt came to for one recipient. `reply` is ASCII, one line, with an enhanced status code where one is known. */
export type Outcome =
  | { readonly index: number; readonly outcome: 'delivered' | 'failed'; readonly reply: string }
  | {
      readonly index: number;
      readonly outcome: 'deferred';
      readonly reply: string;
      readonly nextAttemptAtMs: number;
      /** As in RecipientState, when it changed. */
      readonly warned?: number;
      readonly late?: true;
      readonly owed?: Owed;
      readonly unexpanded?: true;
    };

export interface Active {
  readonly envelope: Envelope;
  state: DeliveryState | undefined;
  /** Indices that were due and have no outcome yet. */
  readonly open: Set<number>;
  /** As delivery has it; removed meanwhile it is forgotten instead of tried again. */
  readonly message: DueMessage;
  /** When those who are to wait are tried again; undefined while there are none. */
  agreed?: Agreed;
}

/** Why a message is handed out: its time has come, the time of BY is over, or the operator wants it tried. */
export type Reason = 'due' | 'late' | 'forced';

/** Which recipients to try now; where it is not their time that counts, everyone who is pending. */
export function dueRecipients(envelope: Envelope, state: DeliveryState | undefined, nowMs: number, reason: Reason): number[] {
  if (state === undefined) return envelope.recipients.map((_, index) => index);
  const due: number[] = [];
  for (const [index, recipient] of state.recipients.entries()) {
    if (recipient.status === 'pending' && (reason !== 'due' || recipient.nextAttemptAtMs <= nowMs)) due.push(index);
  }
  return due;
}

type Noted = Pick<RecipientState, 'warned' | 'late' | 'owed' | 'unexpanded'>;

/** What the sender of a recipient that is still pending was told so far. */
function toldOf(before: Noted, now: Noted): Noted {
  const warned = now.warned ?? before.warned;
  const late = now.late ?? before.late;
  return {
    ...(warned === undefined ? {} : { warned }),
    ...(late === undefined ? {} : { late }),
    ...(now.owed === undefined ? {} : { owed: now.owed }),
    ...(now.unexpanded === undefined ? {} : { unexpanded: now.unexpanded }),
  };
}

/** @param before undefined when it was never tried */
export function stateAfter(before: RecipientState | undefined, outcome: Outcome): RecipientState {
  const deferred = outcome.outcome === 'deferred';
  return {
    ...(deferred ? toldOf(before ?? {}, outcome) : {}),
    status: outcome.outcome === 'deferred' ? 'pending' : outcome.outcome,
    attempts: (before?.attempts ?? 0) + 1,
    nextAttemptAtMs: deferred ? outcome.nextAttemptAtMs : 0,
    reply: outcome.reply,
  };
}

/** Writes outcomes into an active message. An index that is not open (settled before, never due) is left as it is. */
export function applyOutcomes(active: Active, outcomes: readonly Outcome[]): void {
  const recipients = active.state === undefined ? untried(active.envelope) : [...active.state.recipients];
  for (const one of outcomes) {
    const before = recipients[one.index];
    if (before === undefined || !active.open.delete(one.index)) continue;
    recipients[one.index] = stateAfter(before, one);
  }
  active.state = { ...active.state, recipients };
}

/** What is kept of a message that is removed while it is sent: were that broken off by a crash, nothing is left to do. */
export function stateRemoved({ envelope, state }: Active): DeliveryState {
  const recipients = state?.recipients ?? untried(envelope);
  return {
    ...state,
    recipients: recipients.map((one) =>
      one.status === 'pending' ? { ...one, status: 'failed', nextAttemptAtMs: 0, reply: 'removed by the operator' } : one,
    ),
  };
}

/** Whether anybody is still to be reached, now or later. */
export function isPending(state: DeliveryState | undefined): boolean {
  return state === undefined || state.recipients.some((recipient) => recipient.status === 'pending');
}
