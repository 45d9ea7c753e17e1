/** The embedded queue store. Chosen by `queue.store: level`, which is the default. */
import type { QueueStorePlugin } from '@posthorn/sdk';
import { createLevelStore } from './store.ts';

export { createLevelStore, type LevelQueueStore, type LevelStoreOptions } from './store.ts';
export { type FileOps, nodeFileOps } from './file-ops.ts';

export const queuePlugin: QueueStorePlugin = {
  name: 'level',
  kind: 'queue-store',
  create: ({ directory, report }) => createLevelStore(report === undefined ? { directory } : { directory, report }),
};
export default queuePlugin;
