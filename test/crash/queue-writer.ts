/**
 * The child of queue-kill.test.ts: adds groups to a shard for ever, settles and removes some, and prints what was
 * acknowledged: `+id` for each message, `-id` before a removal is asked for. Ends by being killed.
 */
import { writeSync } from 'node:fs';
import { createLevelStore } from '@posthorn/queue-level';
import { messageOf } from '../lib/queue-messages.ts';

const [directory = '', prefix = ''] = process.argv.slice(2);
const store = createLevelStore({ directory, segmentBytes: 200_000, flushMs: 20 });
await store.open();
const waiting: string[] = [];
for (let round = 0; ; round++) {
  const ids = Array.from({ length: 1 + (round % 7) }, (_, index) => `${prefix}.${String(round).padStart(6, '0')}.${index}`);
  await store.add(ids.map((id) => messageOf(id, `${id} `.repeat(1 + ((round * 37) % 900)))));
  // At once and by itself, so that a kill takes nothing back that was said.
  writeSync(1, ids.map((id) => `+${id}\n`).join(''));
  waiting.push(...ids);
  while (waiting.length > 40) {
    const id = waiting.shift()!;
    if (round % 3 === 0) await store.settle(id, { recipients: [{ status: 'pending', attempts: round, nextAttemptAtMs: round }] });
    writeSync(1, `-${id}\n`);
    await store.remove(id);
  }
}
