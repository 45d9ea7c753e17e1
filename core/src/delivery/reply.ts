/**
 * Replies as one line of text, `550 5.1.1 no such user`: read for outcomes, states and bounces. Pure.
 * A reply of a peer comes as it was sent; our own reasons are written in the same form.
 */

/**
 * Who has a message now, and what of its sender's wishes went along.
 * `mailbox`: it is where it was to go. `hop`: another server has it.
 */
export interface Handover {
  readonly to: 'mailbox' | 'hop';
  /** The hop tells the sender what he asked to be told (DSN). */
  readonly reports: boolean;
  /** The hop knows until when it is to be delivered (DELIVERBY). */
  readonly keepsTime: boolean;
}

/** What one try came to for one recipient, before the schedule is asked. */
export interface Result {
  readonly outcome: 'delivered' | 'deferred' | 'failed';
  readonly reply: string;
  /** Who said it: `mx.example.org[192.0.2.1]:25`. Absent for our own reasons, whoever we were connected to. */
  readonly peer?: string | undefined;
  /** It waits, and nobody was asked to take it. */
  readonly untried?: true;
  /** Of what was delivered where its sender may have asked to be told; not of what was discarded. */
  readonly handover?: Handover;
}

/** Placed in a mailbox, here or by LMTP. */
export const IN_MAILBOX: Handover = { to: 'mailbox', reports: false, keepsTime: true };

/** @returns the enhanced status code (RFC 3463) of a reply; where there is none, the one its class allows. */
export function statusOf(reply: string): string {
  const match = /^([245])\d\d(?:[ -]([245]\.\d{1,3}\.\d{1,3})(?= |$))?/.exec(reply);
  if (match === null) return '4.0.0';
  const [, kind, enhanced] = match;
  return enhanced !== undefined && enhanced.startsWith(kind!) ? enhanced : `${kind}.0.0`;
}

/** What the reply of a peer stands for, by its code (RFC 5321 §4.2.1). Codes that make no sense where they came defer. */
export function resultOf(code: number, reply: string, peer: string): Result {
  if (code >= 200 && code < 300) return { outcome: 'delivered', reply, peer };
  return { outcome: code >= 500 && code < 600 ? 'failed' : 'deferred', reply, peer };
}
