/**
 * What a 50 MB message costs in memory on its way through the virus scanner and into the queue: the highest resident
 * memory of all server processes while it comes in, over that before. A clamd that finds nothing stands in for the real
 * one, in this process. `npm run bench:large -- [--size 50000000] [--at-once 1]`.
 */
import { createServer } from 'node:net';
import { parseArgs } from 'node:util';
import { freePorts } from '../test/lib/process.ts';
import { countQueued } from '../test/lib/queue-on-disk.ts';
import { type Posthorn, startPosthorn } from '../test/lib/server.ts';
import type { CpuGroup } from './lib/cpu.ts';
import { Recorder, withServer } from './lib/run.ts';
import { formatTable } from './lib/table.ts';
import { sendLarge } from './load/large-message.ts';

const { values } = parseArgs({
  options: { size: { type: 'string', default: '50000000' }, 'at-once': { type: 'string', default: '1' } },
});
const sizeBytes = Number(values.size);
const atOnce = Number(values['at-once']);
const SPILL_BYTES = 1024 * 1024;
const MEMORY_BYTES = 64 * 1024 * 1024;

/** INSTREAM: chunks with a length of four bytes before each, none ends it; the answer says how much was read. */
async function startClamd(): Promise<{ port: number; scannedBytes: () => number; close: () => void }> {
  const [port] = (await freePorts(1)) as [number];
  let scanned = 0;
  const server = createServer((socket) => {
    let left = 0;
    let head = Buffer.alloc(0);
    let inStream = false;
    socket.on('error', () => socket.destroy());
    socket.on('data', (chunk: Buffer) => {
      let data = head.length > 0 ? Buffer.concat([head, chunk]) : chunk;
      head = Buffer.alloc(0);
      while (data.length > 0) {
        if (left > 0) {
          const part = Math.min(left, data.length);
          scanned += part;
          left -= part;
          data = data.subarray(part);
        } else if (inStream) {
          if (data.length < 4) break;
          left = data.readUInt32BE();
          data = data.subarray(4);
          if (left === 0) {
            inStream = false;
            socket.write('stream: OK\0');
          }
        } else {
          const end = data.indexOf(0);
          if (end < 0) break;
          const command = data.toString('latin1', 0, end);
          data = data.subarray(end + 1);
          if (command === 'zINSTREAM') inStream = true;
          else socket.write(command === 'zPING' ? 'PONG\0' : 'UNKNOWN COMMAND\0');
        }
      }
      head = Buffer.from(data);
    });
  });
  await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve));
  return { port, scannedBytes: () => scanned, close: () => server.close() };
}

/** Highest memory seen while `work` runs; looked at each 10 ms. */
async function peakDuring(cpu: CpuGroup, work: () => Promise<void>): Promise<number> {
  let peak = 0;
  const timer = setInterval(() => (peak = Math.max(peak, cpu.rssBytes())), 10);
  try {
    await work();
  } finally {
    clearInterval(timer);
  }
  return Math.max(peak, cpu.rssBytes());
}

const clamd = await startClamd();
const recorder = await Recorder.open('large', { ...values, spillBytes: SPILL_BYTES, messageMemoryBytes: MEMORY_BYTES });
let posthorn: Posthorn | undefined;
try {
  const found = await withServer(
    'posthorn',
    async (wrap) =>
      (posthorn = await startPosthorn({
        config: {
          relay: { from: ['127.0.0.0/8'], via: 'smtp://127.0.0.1:9' },
          plugins: [{ clamav: { address: `tcp://127.0.0.1:${clamd.port}`, maxScanBytes: sizeBytes + 1_000_000 } }],
          throughput: { deliveryConcurrency: 0, spillBytes: SPILL_BYTES, messageMemoryBytes: MEMORY_BYTES },
        },
        listener: { maxMessageBytes: sizeBytes + 1_000_000 },
        logFile: 'log.jsonl',
        wrap,
      })),
    async (server, cpu) => {
      const port = server.ports.smtp;
      for (let i = 0; i < 20; i++) await sendLarge(port, 100_000);
      const before = cpu.rssBytes();
      const peak = await peakDuring(cpu, async () => {
        await Promise.all(Array.from({ length: atOnce }, () => sendLarge(port, sizeBytes)));
      });
      return { before, peak };
    },
  );
  const queued = await countQueued(posthorn!.dataFolder);
  if (queued.messages !== 20 + atOnce)
    throw new Error(`${20 + atOnce} messages were acknowledged, ${queued.messages} are queued`);
  const least = 20 * 100_000 + atOnce * sizeBytes;
  if (clamd.scannedBytes() < least) throw new Error(`the scanner saw ${clamd.scannedBytes()} of ${least} bytes`);
  const rise = found.peak - found.before;
  recorder.write('summary', { sizeBytes, atOnce, ...found, rise, bound: MEMORY_BYTES });
  const mib = (bytes: number) => (bytes / 2 ** 20).toFixed(1);
  recorder.finish(
    formatTable(
      ['messages at once', 'MiB each', 'MiB before', 'MiB at the most', 'MiB more', 'bound (messageMemoryBytes)'],
      [[atOnce, mib(sizeBytes), mib(found.before), mib(found.peak), mib(rise), mib(MEMORY_BYTES)]],
    ),
  );
} finally {
  clamd.close();
  posthorn?.remove();
}
