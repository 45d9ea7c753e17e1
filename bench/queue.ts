/**
 * What the durable queue costs: 4 KB messages through group commit, by the number of messages that wait at once.
 * Run: `node bench/queue.ts [seconds] [rounds]`. `accept`: stored, nothing else. `flow`: stored, read back whole and
 * removed, as mail that is delivered at once. The sides alternate within a round: the store in segments and Level, the
 * one in memory (what the rest costs), and as a floor the bare bytes of each group in one write and one fdatasync.
 * CPU is that of this process, the load generator included.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createCommitter } from '@posthorn/core/queue/commit';
import type { NewMessage, QueueStore } from '@posthorn/core/queue/store';
import { createLevelStore } from '@posthorn/queue-level';
import { createMemoryStore } from '@posthorn/queue-memory';
import { alternate, Recorder } from './lib/run.ts';
import { median } from './lib/stats.ts';
import { formatTable } from './lib/table.ts';

const seconds = Number(process.argv[2] ?? 3);
const rounds = Number(process.argv[3] ?? 3);
const BODY_BYTES = 4096;
const MODES = ['accept', 'flow'] as const;
const LANES = [1, 20, 100] as const;

type Sides = Record<
  'level' | 'memory' | 'floor',
  (directory: string) => Pick<QueueStore, 'open' | 'add' | 'body' | 'remove' | 'close'>
>;

/** Only the bytes: what the disk and the system take for themselves. */
function createFloor(directory: string): ReturnType<Sides['floor']> {
  let file: FileHandle | undefined;
  return {
    async open() {
      file = await open(`${directory}-floor`, 'w+');
    },
    async add(group) {
      const bytes = Buffer.concat(group.flatMap((one) => [one.envelope, ...one.pieces]));
      await file!.write(bytes);
      await file!.datasync();
    },
    async *body() {
      yield (await file!.read(Buffer.allocUnsafe(BODY_BYTES), 0, BODY_BYTES, 0)).buffer;
    },
    async remove() {},
    async close() {
      await file!.close();
    },
  };
}

const sides: Sides = {
  level: (directory) => createLevelStore({ directory, report: (event, fields) => console.error(event, fields) }),
  memory: () => createMemoryStore({ maxBytes: 8 * 1024 ** 3 }),
  floor: createFloor,
};

const body = Buffer.alloc(BODY_BYTES, 'The quick brown fox jumps over the lazy dog, and that seventy times.\r\n');
let nextId = 0;

function nextMessage(): NewMessage {
  const id = `q${String(++nextId).padStart(12, '0')}`;
  const envelope = {
    id,
    receivedAtMs: Date.now(),
    reversePath: 'sender@client.example',
    recipients: [{ address: 'alice@example.org', mailbox: 'alice' }],
    origin: {
      listener: 'mx',
      clientAddress: '192.0.2.7',
      clientPort: 40_000,
      helo: 'client.example',
      protocol: 'ESMTP',
      sessionId: 's1',
    },
    sizeBytes: BODY_BYTES,
    body: '7bit',
  };
  return { id, envelope: Buffer.from(JSON.stringify(envelope)), pieces: [body] };
}

interface Result {
  readonly perSecond: number;
  readonly cpuPerThousand: number;
}

async function measure(side: keyof Sides, mode: (typeof MODES)[number], lanes: number): Promise<Result> {
  const root = mkdtempSync(join(tmpdir(), 'posthorn-bench-queue-'));
  const store = sides[side](join(root, 'shard'));
  try {
    await store.open();
    const committer = createCommitter(store);
    const accept = (message: NewMessage): Promise<void> =>
      new Promise((resolve, reject) =>
        committer.acceptBatch([message], (failure) => (failure === undefined ? resolve() : reject(failure))),
      );
    let count = 0;
    const end = performance.now() + seconds * 1000;
    const cpu = process.cpuUsage();
    const begun = performance.now();
    const lane = async (): Promise<void> => {
      while (performance.now() < end) {
        const message = nextMessage();
        await accept(message);
        count++;
        if (mode === 'accept') continue;
        let bytes = 0;
        for await (const chunk of store.body(message.id)) bytes += chunk.length;
        if (bytes !== BODY_BYTES) throw new Error(`${bytes} bytes came back`);
        await store.remove(message.id);
      }
    };
    await Promise.all(Array.from({ length: lanes }, lane));
    const elapsed = (performance.now() - begun) / 1000;
    const used = process.cpuUsage(cpu);
    return { perSecond: count / elapsed, cpuPerThousand: (used.user + used.system) / 1000 / count };
  } finally {
    await store.close();
    rmSync(root, { recursive: true, force: true });
  }
}

const recorder = await Recorder.open('queue', { seconds, rounds, bodyBytes: BODY_BYTES });
const rows: (string | number)[][] = [];
for (const mode of MODES) {
  for (const lanes of LANES) {
    const names = Object.keys(sides) as (keyof Sides)[];
    const results = await alternate(names, rounds, async (side, round) => {
      const result = await measure(side, mode, lanes);
      recorder.write('round', { mode, lanes, side, round, ...result });
      return result;
    });
    for (const side of names) {
      const perSecond = Math.round(median(results[side].map((one) => one.perSecond)));
      const cpuPerThousand = median(results[side].map((one) => one.cpuPerThousand));
      recorder.write('summary', { mode, lanes, side, perSecond, cpuPerThousand });
      rows.push([mode, lanes, side, perSecond, cpuPerThousand.toFixed(4)]);
    }
  }
}
recorder.finish(formatTable(['', 'lanes', 'store', 'messages/s', 'CPU s/1,000'], rows));
