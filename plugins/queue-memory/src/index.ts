/** The queue in memory: for tests, benches and relays that may lose mail. Chosen by `queue.store: memory`. */
import type { QueueStorePlugin } from '@posthorn/sdk';
import { createMemoryStore } from './store.ts';

export { createMemoryStore, type MemoryStoreOptions } from './store.ts';

export const queuePlugin: QueueStorePlugin = { name: 'memory', kind: 'queue-store', create: () => createMemoryStore() };
export default queuePlugin;
