/**
 * What a package exports to be chosen as `queue.store`: a name and a function that makes the store. Wiring calls it once
 * for each shard; the contract itself is `QueueStore`, and test/conformance/queue-store.ts holds every one to it.
 */
import type { QueueStore } from '@posthorn/core/queue/store';

export interface QueueStoreOptions {
  /** The shard's own folder. */
  readonly directory: string;
  /** Told of damage and of trouble in the background, which no caller hears of; for the log. */
  readonly report?: (event: string, fields: Record<string, unknown>) => void;
}

export interface QueueStorePlugin {
  /** The value of `queue.store` in the configuration. */
  readonly name: string;
  readonly kind: 'queue-store';
  /** Makes the store of one shard; nothing is touched before its `open`. */
  create(options: QueueStoreOptions): QueueStore;
}
