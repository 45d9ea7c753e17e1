/**
 * What a start does with what the last run left: every message of the store goes into the schedule.
 * Called by queue.ts when it opens. One message is in memory at a time. A damaged record is logged and left where the
 * store set it aside; the start goes on. Throws only when the store cannot be listed at all.
 */
import { releasedAtMs } from '../mail/envelope.ts';
import type { Log } from '../observe/log.ts';
import { toStoreError } from './commit.ts';
import type { Deadlines } from './deadlines.ts';
import { type Schedule, type Wish, wishFor } from './schedule.ts';
import type { QueueStore, StoredMessage } from './store.ts';
import { type NoticeEnvelope, type Settles, unsettled } from './told.ts';

export interface Recovered {
  readonly messages: number;
  readonly damaged: number;
}

/** Damaged records that get a log line of their own; the rest only count. */
const LOGGED_DAMAGE = 20;

/** When the first pending recipient is due; the time of release before the first attempt, undefined when none is pending. */
export function firstDueAtMs({ envelope, state }: StoredMessage): number | undefined {
  if (state === undefined) return releasedAtMs(envelope);
  let first: number | undefined;
  for (const recipient of state.recipients) {
    if (recipient.status !== 'pending') continue;
    if (first === undefined || recipient.nextAttemptAtMs < first) first = recipient.nextAttemptAtMs;
  }
  return first;
}

/** What a message that is in the store asks of its turn; one that was tried is no longer held. */
export function wishOf({ envelope, state }: StoredMessage): Wish {
  return wishFor(envelope.priority, state === undefined && envelope.hold !== undefined);
}

/**
 * The time of BY (RFC 2852), over or not, where the sender has not been told that it is: of a message that is to be returned
 * then he is told by its end, of others it is noted.
 */
function untoldDeadline({ envelope, state }: StoredMessage): number | undefined {
  const { deliverBy } = envelope;
  if (deliverBy?.mode !== 'notify' || state === undefined) return deliverBy?.atMs;
  return state.recipients.some(({ status, late }) => status === 'pending' && late !== true) ? deliverBy.atMs : undefined;
}

/**
 * Fills schedule and deadlines from an open store.
 * @returns how many messages wait and how many records are set aside
 */
export async function recover(store: QueueStore, schedule: Schedule, deadlines: Deadlines, log: Log): Promise<Recovered> {
  let messages = 0;
  let damaged = 0;

  /** A message that cannot be read stays as it is: the start goes on without it. */
  async function unsettledOf(settles: Settles): Promise<StoredMessage | undefined> {
    try {
      return await unsettled(store, settles);
    } catch (error) {
      const { code, message: reason } = toStoreError(error);
      log.error('queue.unreadable', { message: settles.id, code, reason });
      return undefined;
    }
  }

  function wait(id: string, message: StoredMessage, dueAtMs: number): void {
    const wish = wishOf(message);
    schedule.add(id, dueAtMs, wish);
    const deadlineMs = untoldDeadline(message);
    if (deadlineMs !== undefined) deadlines.recall(id, wish.held ? Math.max(deadlineMs, dueAtMs) : deadlineMs);
  }

  /** Older than the notice, so it is in the schedule by now. @returns true when that was the end of it */
  async function catchUp(settles: Settles): Promise<boolean> {
    const about = await unsettledOf(settles);
    if (about?.state === undefined) return false;
    const { id } = settles;
    log.info('queue.caught-up', { message: id });
    const wasWaiting = schedule.remove(id);
    deadlines.remove(id);
    const dueAtMs = firstDueAtMs(about);
    if (dueAtMs === undefined) {
      await store.remove(id);
      return wasWaiting;
    }
    await store.settle(id, about.state);
    if (wasWaiting) wait(id, about, dueAtMs);
    return false;
  }

  for await (const listed of store.list()) {
    if (listed.kind === 'damaged') {
      damaged++;
      if (damaged <= LOGGED_DAMAGE) log.error('queue.damaged', { where: listed.where, reason: listed.reason });
      continue;
    }
    const dueAtMs = firstDueAtMs(listed.message);
    // Nothing pending: the last run ended between the last outcome and the removal.
    if (dueAtMs === undefined) {
      await store.remove(listed.id);
      continue;
    }
    wait(listed.id, listed.message, dueAtMs);
    messages++;
    const { settles } = listed.message.envelope as NoticeEnvelope;
    if (settles !== undefined && (await catchUp(settles))) messages--;
  }
  if (damaged > LOGGED_DAMAGE) log.error('queue.damaged', { more: damaged - LOGGED_DAMAGE });
  log.info('queue.recovered', { messages, damaged });
  return { messages, damaged };
}
