/**
 * What delivery needs from the rest of the house. Plugged together in wiring; tests bring their own.
 * Delivery never sees a store, a thread or a plugin: only these. The queue decides *when*, delivery decides *where* and
 * *how*, and tells the queue in one `settle` what became of each recipient it was handed.
 */
import type { Directory } from '../directory/directory.ts';
import type { Pipeline } from '../hook/contract.ts';
import type { Clock } from '../mail/clock.ts';
import type { Dns } from '../mail/dns.ts';
import type { LocalMailbox } from '../maildrop/mailbox.ts';
import type { Counters } from '../observe/counters.ts';
import type { Log } from '../observe/log.ts';
import type { Queue } from '../queue/queue.ts';
import type { NoticeEnvelope } from '../queue/told.ts';
import type { StsPolicies } from './sts.ts';

export type { DueMessage, Outcome } from '../queue/active.ts';

/** The queue as delivery sees it. */
export type DueQueue = Pick<Queue, 'takeDue' | 'takeLate' | 'onDue' | 'onRemove' | 'body' | 'nextAttempt' | 'settle' | 'release'>;

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
