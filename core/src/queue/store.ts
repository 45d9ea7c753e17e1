/**
 * The storage port of the queue. One suite (test/conformance/queue-store) holds every implementation to it.
 * A store is used by one owner at a time (a shard); it knows bytes and states, nothing of mail routing or time.
 */
import type { Envelope } from '../mail/envelope.ts';

/** What is told of a recipient that has the message: see delivery/settle. */
export interface Owed {
  readonly nextHop: string;
  /** The server that said the reply; absent when none did. */
  readonly peer?: string;
  readonly handover?: { readonly to: 'mailbox' | 'hop'; readonly reports: boolean; readonly keepsTime: boolean };
}

/** What became of one recipient so far; the index is that of `envelope.recipients`. */
export interface RecipientState {
  readonly status: 'pending' | 'delivered' | 'failed';
  readonly attempts: number;
  /** When to try next; for pending recipients only. */
  readonly nextAttemptAtMs: number;
  /** The last answer: the peer's reply or our own reason, with its enhanced code, for `queue list` and the bounce. */
  readonly reply?: string;
  /** How many of the ages of `queue.warnAfter` the sender was told of. */
  readonly warned?: number;
  /** The sender was told that the time of BY is over (RFC 2852). */
  readonly late?: true;
  /** It has the message, with `reply`, and its sender has still to be told so. */
  readonly owed?: Owed;
  /** The sender has still to be told of addresses of the message that became several. */
  readonly unexpanded?: true;
}

export interface DeliveryState {
  readonly recipients: readonly RecipientState[];
}

/** A message to be stored. The store takes `file` over (renames or copies it), the pieces it only reads. */
export interface NewMessage {
  /** 1 to 64 letters, digits, dots, underscores or dashes, the first a letter or digit; never used twice. */
  readonly id: string;
  /** The envelope as JSON in UTF-8, opaque to the store until it is read back. */
  readonly envelope: Uint8Array;
  /** The message in order: added headers and ranges of the received bytes; views of shared memory. */
  readonly pieces: readonly Uint8Array[];
  /** Ranges of a spool file that follow the pieces, for a message too large for memory. The file is synced by the store. */
  readonly file?: { readonly path: string; readonly from: number; readonly to: number };
}

export interface StoredMessage {
  readonly envelope: Envelope;
  /** Undefined until the first `settle`. */
  readonly state: DeliveryState | undefined;
}

/** What `list` yields: every message, and every record that could not be read, with its reason. */
export type ListedMessage =
  | { readonly kind: 'message'; readonly id: string; readonly message: StoredMessage }
  | { readonly kind: 'damaged'; readonly where: string; readonly reason: string };

/**
 * A failure of the store itself; the caller answers 4xx with `code` and goes on. FULL: no space. LOCKED: another process
 * owns it. BUSY: too much waits for the disk already (said by the committer). DAMAGED: this message's bytes are not what
 * was stored, trying again will not help. CLOSED: not open. FAILED: everything else the disk may say.
 */
export class StoreError extends Error {
  readonly code:
    | 'PH_STORE_FULL'
    | 'PH_STORE_LOCKED'
    | 'PH_STORE_FAILED'
    | 'PH_STORE_CLOSED'
    | 'PH_STORE_BUSY'
    | 'PH_STORE_DAMAGED';
  constructor(code: StoreError['code'], message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'StoreError';
    this.code = code;
  }
}

export interface QueueStore {
  /**
   * Opens the shard and recovers it: damaged records are set aside.
   * @throws StoreError PH_STORE_LOCKED when another process owns it.
   */
  open(): Promise<void>;
  /**
   * Stores a group of messages in one synced write: when it resolves each byte is on disk. All or none.
   * One call at a time: the caller (queue/commit.ts) gathers the next group meanwhile.
   * @throws StoreError PH_STORE_FULL when the disk is full; nothing of the group is stored then.
   */
  add(group: readonly NewMessage[]): Promise<void>;
  /** The envelope and state, or undefined when there is no such message. @throws StoreError PH_STORE_DAMAGED */
  read(id: string): Promise<StoredMessage | undefined>;
  /** The message's bytes in order, in chunks of at most 64 KiB, each a buffer of its own or valid until the next is asked for. @throws StoreError PH_STORE_DAMAGED, before the last chunk at the latest; PH_STORE_FAILED, also when there is no such message. */
  body(id: string): AsyncIterable<Uint8Array>;
  /** Records what became of recipients. Written with the next group or within a second, not synced before it resolves: after a crash of the machine a message may be delivered again, never lost. */
  settle(id: string, state: DeliveryState): Promise<void>;
  /** Forgets a finished message and frees its space, with the same durability as `settle`. */
  remove(id: string): Promise<void>;
  /** Everything in the shard, oldest first; bounded memory. */
  list(): AsyncIterable<ListedMessage>;
  /** Free bytes on the device behind the store. */
  freeBytes(): Promise<number>;
  /** Writes what is pending and gives the shard up. */
  close(): Promise<void>;
}
