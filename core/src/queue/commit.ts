/**
 * Group commit: everything that is accepted while one write to the disk is under way goes into the next one.
 * Called by queue.ts with whole batches, as they come from session threads; a batch is one callback, not one promise for
 * each message. A batch is never split over two groups, so it is stored whole or not at all.
 * When the store fails a group, each batch of it gets the store's error and the next group is tried as if nothing had
 * happened. What waits is bounded in bytes and messages; beyond that a batch is refused at once with PH_STORE_BUSY.
 */
import { type NewMessage, type QueueStore, StoreError } from './store.ts';

export interface CommitLimits {
  /** A group takes further batches until it has this many bytes … */
  readonly maxGroupBytes: number;
  /** … or this many messages. */
  readonly maxGroupMessages: number;
  /** Bytes in memory that may wait for the disk, the running group included; a spool file's bytes do not count. */
  readonly maxWaitingBytes: number;
  readonly maxWaitingMessages: number;
}

export const defaultCommitLimits: CommitLimits = {
  maxGroupBytes: 8 * 1024 * 1024,
  maxGroupMessages: 1000,
  maxWaitingBytes: 128 * 1024 * 1024,
  maxWaitingMessages: 50_000,
};

/** Told once for each batch: undefined when every byte of it is on disk. Must not throw. */
export type Committed = (failure: StoreError | undefined) => void;

export interface Committer {
  /** Stores a batch; `done` is never called before this returns, except for a refusal. Buffers belong to the committer until then. */
  acceptBatch(messages: readonly NewMessage[], done: Committed): void;
  /** Resolves when all that was accepted so far has its answer. */
  idle(): Promise<void>;
  readonly waitingMessages: number;
  readonly waitingBytes: number;
}

interface Batch {
  readonly messages: readonly NewMessage[];
  readonly bytes: number;
  readonly done: Committed;
}

function bytesOf(messages: readonly NewMessage[]): number {
  let bytes = 0;
  for (const message of messages) {
    bytes += message.envelope.length;
    for (const piece of message.pieces) bytes += piece.length;
  }
  return bytes;
}

/** Any failure as the store's own. */
export function toStoreError(cause: unknown): StoreError {
  if (cause instanceof StoreError) return cause;
  return new StoreError('PH_STORE_FAILED', cause instanceof Error ? cause.message : String(cause), { cause });
}

/** A committer over an open store; the store is added to by nobody else. */
export function createCommitter(store: Pick<QueueStore, 'add'>, limits: CommitLimits = defaultCommitLimits): Committer {
  let gathered: Batch[] = [];
  let running = false;
  let waitingMessages = 0;
  let waitingBytes = 0;
  let idlers: (() => void)[] = [];

  /** The batches of the next group, taken from the front of what was gathered. */
  function nextGroup(): Batch[] {
    let bytes = 0;
    let messages = 0;
    let count = 0;
    while (count < gathered.length) {
      const batch = gathered[count]!;
      bytes += batch.bytes;
      messages += batch.messages.length;
      if (count > 0 && (bytes > limits.maxGroupBytes || messages > limits.maxGroupMessages)) break;
      count++;
    }
    if (count === gathered.length) {
      const all = gathered;
      gathered = [];
      return all;
    }
    return gathered.splice(0, count);
  }

  function answer(group: readonly Batch[], failure: StoreError | undefined): void {
    for (const batch of group) {
      waitingMessages -= batch.messages.length;
      waitingBytes -= batch.bytes;
    }
    // The next group starts before this one is told, so that the disk never waits for callbacks.
    running = false;
    if (gathered.length > 0) commit();
    for (const batch of group) batch.done(failure);
    if (!running && idlers.length > 0) {
      const waiting = idlers;
      idlers = [];
      for (const resolve of waiting) resolve();
    }
  }

  function commit(): void {
    running = true;
    const group = nextGroup();
    const messages = group.length === 1 ? group[0]!.messages : group.flatMap((batch) => batch.messages);
    store.add(messages).then(
      () => answer(group, undefined),
      (cause: unknown) => answer(group, toStoreError(cause)),
    );
  }

  return {
    acceptBatch(messages, done) {
      const bytes = bytesOf(messages);
      // A batch that is too large by itself is let through when nothing else waits: refused, it would never get in.
      const over = waitingMessages + messages.length > limits.maxWaitingMessages || waitingBytes + bytes > limits.maxWaitingBytes;
      if (over && waitingMessages > 0) {
        done(new StoreError('PH_STORE_BUSY', `${waitingMessages} messages, ${waitingBytes} bytes wait for the disk`));
        return;
      }
      waitingMessages += messages.length;
      waitingBytes += bytes;
      gathered.push({ messages, bytes, done });
      if (!running) commit();
    },
    idle() {
      if (!running) return Promise.resolve();
      return new Promise((resolve) => idlers.push(resolve));
    },
    get waitingMessages() {
      return waitingMessages;
    },
    get waitingBytes() {
      return waitingBytes;
    },
  };
}
