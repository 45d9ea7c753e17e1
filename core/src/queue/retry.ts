/**
 * When a recipient that could not be reached is tried again, and when it is given up (RFC 5321 §4.5.4.1).
 * Called by delivery through queue.ts, once for each deferred recipient. Pure: time and chance come in.
 * The waits follow the configured list, the last one repeats; each is stretched or shortened by chance so that messages
 * that failed together do not come back together; the recipients of one do (`Agreed`). The last attempt is made when the
 * message is as old as it may become.
 */

import type { DeliverBy } from '../mail/envelope.ts';

export interface RetryPolicy {
  /** Waits after the first, second, … attempt, in milliseconds; the last one repeats. At least one. */
  readonly waitsMs: readonly number[];
  /** How old a message may become, counted from its reception, or from when it was no longer held. */
  readonly giveUpAfterMs: number;
}

/**
 * What the recipients of one attempt agreed on, by the wait they have in common: from when, and until when. Chance and time
 * count once for all of them, so that they go as one copy again (RFC 5321 §4.5.4.1), and fail in one notice.
 */
export type Agreed = Map<number, { readonly fromMs: number; readonly untilMs: number }>;

/** Each wait is multiplied by something between 1 - JITTER and 1 + JITTER. */
const JITTER = 0.1;

/**
 * The time of the next attempt.
 * @param releasedAtMs when the message came in, or was no longer held
 * @param attempts how many were made, the one that has just failed included
 * @param retryAfterMs a wait that the reason of the deferral asks for, instead of the list's; jitter only makes it longer
 * @param random in [0, 1), as Math.random
 * @param agreed of the attempt under way: what comes of it is added
 * @returns milliseconds since 1970, or undefined when the recipient is to be given up
 */
export function nextAttemptAt(
  policy: RetryPolicy,
  releasedAtMs: number,
  nowMs: number,
  attempts: number,
  random: () => number,
  retryAfterMs?: number,
  agreed?: Agreed,
): number | undefined {
  const expiresAtMs = releasedAtMs + policy.giveUpAfterMs;
  if (nowMs >= expiresAtMs) return undefined;
  const listed = policy.waitsMs[Math.min(Math.max(attempts, 1), policy.waitsMs.length) - 1]!;
  const waitMs = retryAfterMs ?? listed;
  const others = agreed?.get(waitMs);
  // An attempt may end for some much later than for others: those do not join in what is nearly over.
  if (others !== undefined && nowMs - others.fromMs <= (others.untilMs - others.fromMs) / 2) return others.untilMs;
  const jittered =
    retryAfterMs === undefined
      ? listed * (1 - JITTER + 2 * JITTER * random())
      : Math.max(0, retryAfterMs) * (1 + JITTER * random());
  const untilMs = Math.min(Math.round(nowMs + jittered), expiresAtMs);
  agreed?.set(waitMs, { fromMs: nowMs, untilMs });
  return untilMs;
}

/** An attempt is made when the time of BY is over (RFC 2852), however long the wait would be: it is what tells the sender. */
export function notPast(deliverBy: DeliverBy | undefined, nextAttemptAtMs: number, nowMs: number): number {
  return deliverBy === undefined || deliverBy.atMs <= nowMs ? nextAttemptAtMs : Math.min(nextAttemptAtMs, deliverBy.atMs);
}
