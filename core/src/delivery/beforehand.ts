/**
 * Recipients of a message that is due and that need no try: they have it already and only their sender is to be told, or
 * the time is over in which it was to be delivered (RFC 2852 §4.1.3). Called by delivery/loop before anything else.
 */
import type { Attempt } from './attempt.ts';

/** Puts their results into the attempt. @returns the indices of the others */
export function sortOut(attempt: Attempt, nowMs: number): readonly number[] {
  const { due, envelope } = attempt;
  const { deliverBy } = envelope;
  if (due.state === undefined && deliverBy === undefined) return due.due;
  const isLate = deliverBy?.mode === 'return' && nowMs >= deliverBy.atMs;
  const toTry: number[] = [];
  for (const index of due.due) {
    const { owed, reply } = due.state?.recipients[index] ?? {};
    if (owed !== undefined && reply !== undefined) {
      const { nextHop, peer, handover } = owed;
      attempt.add([index], [{ outcome: 'delivered', reply, peer, ...(handover === undefined ? {} : { handover }) }], nextHop);
    } else if (isLate) {
      const last = reply === undefined ? '' : `, at last: ${reply}`;
      attempt.add(
        [index],
        [{ outcome: 'failed', reply: `554 5.4.7 the time in which it was to be delivered is over${last}` }],
        'late',
      );
    } else {
      toTry.push(index);
    }
  }
  return toTry;
}
