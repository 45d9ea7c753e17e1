/**
 * What delivery needs from the rest of the house. Plugged together in wiring; tests bring their own.
 * Delivery never sees a store, a thread or a plugin: only these. The queue decides *when*, delivery decides *where* and
 * *how*, and tells the queue in one `settle` what became of each recipient it was handed.
 */
import type { Directory } from '../directory/directory.ts';
import type { Pipeline } from '../hook/contract.ts';
import type { Clock } from '../mail/clock.ts';
import type { Dns } from '../mail/dns.ts';
import type { Envelope } from '../mail/envelope.ts';
import type { LocalMailbox } from '../maildrop/mailbox.ts';
import type { Counters } from '../observe/counters.ts';
import type { Log } from '../observe/log.ts';
import type { DueMessage, Outcome } from '../queue/active.ts';
import type { NoticeEnvelope } from '../queue/told.ts';
import type { StsPolicies } from './sts.ts';

export type { DueMessage, Outcome } from '../queue/active.ts';

/** The queue as delivery sees it. */
export interface DueQueue {
  /** Up to `limit` messages that are due, those that go first first; empty when there are none. */
  takeDue(limit: number): Promise<readonly DueMessage[]>;
  /** Up to `limit` messages that wait, due or not, whose time of BY is over since they wait; handed out as the others. */
  takeLate(limit: number): Promise<readonly DueMessage[]>;
  /** Calls `then` whenever something became due or late, also when it was so before. One listener. */
  onDue(then: () => void): void;
  /** The message's bytes in order, CRLF line ends, chunks valid until the next is asked for. */
  body(id: string): AsyncIterable<Uint8Array>;
  /**
   * When to try again after `attempts` attempts, with jitter; undefined when the message is too old (`queue.giveUpAfter`).
   * @param retryAfterMs a wait that the reason of the deferral asks for, instead of the schedule's
   */
  nextAttempt(envelope: Envelope, attempts: number, retryAfterMs?: number): number | undefined;
  /** Records outcomes; may be called in parts. A message without pending recipients is forgotten. @throws StoreError */
  settle(id: string, outcomes: readonly Outcome[]): Promise<void>;
  /** Gives back what was taken and not settled, untried: due again in `delayMs`. Nothing is written. */
  release(id: string, delayMs: number): void;
}

/** Whether an address and port lead back to this server: its own interfaces and loopback, on port 25 or one it listens on. */
export type IsSelf = (address: string, port: number) => boolean;

export interface DeliveryPorts {
  readonly queue: DueQueue;
  readonly mailbox: LocalMailbox;
  readonly directory: Directory;
  readonly dns: Dns;
  readonly sts: StsPolicies;
  /** Only the stages deliver, delivered, deferred and bounced are used. */
  readonly hooks: Pick<Pipeline, 'deliver' | 'delivered' | 'deferred' | 'bounced'>;
  /** Stores a notice as a new message; resolves when it is on disk. @throws when it could not be stored. */
  readonly submitNotice: (envelope: NoticeEnvelope, bytes: Uint8Array) => Promise<void>;
  /** A new queue id, for notices. */
  readonly newId: () => string;
  readonly isSelf: IsSelf;
  readonly clock: Clock;
  readonly log: Log;
  readonly counters: Counters;
}
