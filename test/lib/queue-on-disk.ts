/** Looks into the queue of a Posthorn that does not run: what a start would find on disk. For counts that must hold. */
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { createLevelStore } from '@posthorn/queue-level';

/** @returns messages in all shards, and the reasons of records that cannot be read. */
export async function countQueued(dataFolder: string): Promise<{ messages: number; damaged: string[] }> {
  const queue = join(dataFolder, 'queue');
  const damaged: string[] = [];
  let messages = 0;
  for (const shard of existsSync(queue) ? readdirSync(queue) : []) {
    const store = createLevelStore({ directory: join(queue, shard) });
    await store.open();
    try {
      for await (const listed of store.list()) {
        if (listed.kind === 'message') messages++;
        else damaged.push(`${listed.where}: ${listed.reason}`);
      }
    } finally {
      await store.close();
    }
  }
  return { messages, damaged };
}
