/** What a sender is told of (RFC 3461 §4.1): what NOTIFY said, and what is told where it said nothing. Pure. */
import type { Envelope, Notify, Recipient } from '../../mail/envelope.ts';

/** False where an answer would loop, or hit somebody who sent nothing. */
export function mayNotify(envelope: Envelope): boolean {
  if (envelope.reversePath === '') return false;
  // Quarantined mail mostly has a forged sender; only one we know is told that it was not relayed.
  return envelope.quarantine === undefined || envelope.origin.user !== undefined;
}

/** Failures and delays are told unless NOTIFY left them out, success only when it is named. */
export function wants({ notify }: Recipient, what: Notify): boolean {
  return notify === undefined ? what !== 'success' : notify.includes(what);
}

/**
 * What the next hops are asked to tell. Where one address became several, its success was told when that happened
 * (RFC 3461 §5.2.7.3 c).
 */
export function passedOn({ notify, expanded }: Recipient): readonly Notify[] | undefined {
  return expanded === true ? notify?.filter((what) => what !== 'success') : notify;
}
