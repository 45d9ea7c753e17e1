/** Answers what `posthorn queue` and `posthorn status` ask of one server process, part by part. */
import type { AdmissionControl } from '@posthorn/core/dispatch/admission';
import type { CountedCounters } from '@posthorn/core/observe/count';
import type { ServerQuestion } from '../ipc.ts';
import type { SessionThreads } from './session-threads.ts';
import type { Shard } from './shard.ts';

export interface Asked {
  readonly slot: number;
  readonly shards: readonly Shard[];
  readonly threads: SessionThreads;
  readonly admission: AdmissionControl;
  readonly counters: CountedCounters;
}

/** State of one server process, for `posthorn status`. */
export interface ServerStatus {
  readonly slot: number;
  readonly pid: number;
  readonly connections: number;
  readonly rssBytes: number;
  /** Shared memory held for messages. */
  readonly messageBytes: number;
  readonly waiting: number;
  readonly active: number;
  readonly counts: Record<string, number>;
}

/** @throws what the store throws. */
export async function* answerQuestion(question: ServerQuestion, about: Asked): AsyncIterable<unknown> {
  switch (question.ask) {
    case 'queue.list':
      for (const shard of about.shards) yield* shard.queue.list();
      break;
    case 'queue.show':
      for (const shard of about.shards) {
        const message = await shard.queue.show(question.id);
        if (message !== undefined) yield { kind: 'message', id: question.id, message };
      }
      break;
    case 'queue.retry':
      yield about.shards.reduce((sum, shard) => sum + shard.queue.retry(question.id ?? 'all'), 0);
      break;
    case 'queue.remove':
      for (const shard of about.shards) {
        const removal = await shard.queue.remove(question.id);
        if (removal !== undefined) yield removal;
      }
      break;
    case 'status':
      yield await statusOf(about);
      break;
  }
}

async function statusOf(about: Asked): Promise<ServerStatus> {
  const counts = about.counters.snapshot();
  let messageBytes = 0;
  for (const thread of await about.threads.counts()) {
    messageBytes += thread.heldBytes;
    for (const [name, count] of Object.entries(thread.counts)) counts[name] = (counts[name] ?? 0) + count;
  }
  const sizes = about.shards.map((shard) => shard.queue.sizes());
  return {
    slot: about.slot,
    pid: process.pid,
    connections: about.admission.connections(),
    rssBytes: process.memoryUsage.rss(),
    messageBytes,
    waiting: sizes.reduce((sum, one) => sum + one.waiting, 0),
    active: sizes.reduce((sum, one) => sum + one.active, 0),
    counts,
  };
}
