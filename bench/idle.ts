/**
 * What an idle SMTP session costs in memory: 5,000 connections that have said EHLO and then nothing, the resident memory
 * of all server processes before and after. `npm run bench:idle -- [--sessions 5000]`. Kernel buffers are not in it.
 */
import { type Socket, createConnection } from 'node:net';
import { parseArgs } from 'node:util';
import { run } from '../test/lib/process.ts';
import { startPosthorn } from '../test/lib/server.ts';
import type { CpuGroup } from './lib/cpu.ts';
import { Recorder, withServer } from './lib/run.ts';
import { formatTable } from './lib/table.ts';

const { values } = parseArgs({ options: { sessions: { type: 'string', default: '5000' } } });
const sessions = Number(values.sessions);

/** Opens a session up to the reply to EHLO. */
function openSession(port: number): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = createConnection({ port, host: '127.0.0.1' });
    let heard = '';
    const fail = (error: Error) => reject(new Error(`${error.message} after ${JSON.stringify(heard)}`));
    const closed = () => fail(new Error('closed'));
    socket.once('error', fail).once('close', closed);
    socket.on('data', (data: Buffer) => {
      const greeted = heard.startsWith('220');
      heard += data.toString('latin1');
      if (!greeted && /^220 .*\r\n$/s.test(heard)) socket.write('EHLO idle.test\r\n');
      if (!/^250 .*\r\n/m.test(heard)) return;
      socket.removeAllListeners('data').off('close', closed);
      resolve(socket);
    });
  });
}

/** Resident memory when it has not fallen for a while: what a garbage collection would give back is not a session's. */
async function settledBytes(cpu: CpuGroup): Promise<number> {
  let lowest = Infinity;
  for (let unchanged = 0; unchanged < 6;) {
    await new Promise((resolve) => setTimeout(resolve, 500));
    const now = cpu.rssBytes();
    unchanged = now < lowest - 1_000_000 ? 0 : unchanged + 1;
    lowest = Math.min(lowest, now);
  }
  return lowest;
}

/** Opens sessions in batches that fit the backlog. */
async function openMany(port: number, count: number): Promise<Socket[]> {
  const sockets: Socket[] = [];
  while (sockets.length < count) {
    const batch = Math.min(100, count - sockets.length);
    sockets.push(...(await Promise.all(Array.from({ length: batch }, () => openSession(port)))));
  }
  return sockets;
}

async function closeAll(sockets: readonly Socket[]): Promise<void> {
  await Promise.all(sockets.map((socket) => new Promise((resolve) => socket.once('close', resolve).destroy())));
}

async function limitOfFiles(): Promise<number> {
  const { stdout } = await run(['/bin/sh', '-c', 'ulimit -n']);
  return stdout.trim() === 'unlimited' ? Infinity : Number(stdout);
}

const limit = await limitOfFiles();
if (limit < sessions + 200)
  throw new Error(`${sessions} sessions need as many open files, the limit is ${limit}: ulimit -n 20000`);
const recorder = await Recorder.open('idle', values);
const config = { throughput: { maxConnections: sessions + 1000, maxConnectionsPerClient: sessions + 1000 } };
const posthorn = await withServer(
  'posthorn',
  (wrap) => startPosthorn({ config, wrap, logFile: 'log.jsonl' }),
  async (server, cpu) => {
    // Sessions before the measured ones, so that code and pools are there.
    await closeAll(await openMany(server.ports.smtp, 200));
    const before = await settledBytes(cpu);
    const sockets = await openMany(server.ports.smtp, sessions);
    const after = await settledBytes(cpu);
    const alive = sockets.filter((socket) => !socket.destroyed).length;
    if (alive !== sessions) throw new Error(`${sessions - alive} sessions were closed`);
    await closeAll(sockets);
    const bytesPerSession = (after - before) / sessions;
    recorder.write('summary', { sessions, before, after, bytesPerSession });
    const mib = (bytes: number) => (bytes / 2 ** 20).toFixed(1);
    recorder.finish(
      formatTable(
        ['idle sessions', 'MiB before', 'MiB with them', 'KB a session'],
        [[sessions, mib(before), mib(after), (bytesPerSession / 1000).toFixed(2)]],
      ),
    );
    return server;
  },
);
posthorn.remove();
