/** What a notice says of one recipient. Made by notice/events, written by notice/build. */
import type { Recipient } from '../../mail/envelope.ts';

/** RFC 3464 §2.3.3. */
export type Action = 'failed' | 'delayed' | 'delivered' | 'relayed' | 'expanded';

export interface Told {
  readonly action: Action;
  readonly recipient: Recipient;
  /** The last reply of a peer, or our own reason. */
  readonly reply: string;
  /** Enhanced status code. */
  readonly status: string;
  /** Who said so: `mx.example.org[192.0.2.1]:25`; undefined when it is our own reason. */
  readonly peer: string | undefined;
  /** For people, where the reply does not say it all. */
  readonly why?: string;
  /** Until when a delayed message is tried. */
  readonly retryUntilMs?: number;
}
