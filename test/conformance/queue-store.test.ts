/** Holds the stores of this project to one suite; Level also with segments so small that each group begins a new one. */
import { createLevelStore } from '@posthorn/queue-level';
import { createMemoryStore } from '@posthorn/queue-memory';
import { queueStoreSuite } from './queue-store.ts';

queueStoreSuite('memory', () => createMemoryStore());
queueStoreSuite('level', (directory) => createLevelStore({ directory }));
queueStoreSuite('level in tiny segments', (directory) => createLevelStore({ directory, segmentBytes: 20_000, flushMs: 1 }));
