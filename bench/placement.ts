/**
 * What it costs to place a connection on a thread: one thread alone, the accepted socket handed over, a listening
 * socket for each thread. Bare sessions (banner, QUIT, reply); CPU of the whole server process. See
 * docs/decisions/session-placement.md. Run: `node bench/placement.ts`.
 */
import { fork } from 'node:child_process';
import { connect, createServer, type AddressInfo, type Socket } from 'node:net';
import { fileURLToPath } from 'node:url';
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads';

const CONNECTIONS = 20_000;
const AT_ONCE = 50;
const self = fileURLToPath(import.meta.url);

interface ThreadData {
  readonly mode: 'transfer' | 'reuse';
  readonly index: number;
  readonly port: number;
  readonly loads: Int32Array;
}

function serve(socket: Socket): void {
  socket.on('error', (error) => console.error(error.message));
  socket.on('data', () => socket.end('221 bye\r\n'));
  socket.write('220 hi\r\n');
}

/** The load: a process of its own, so that its CPU is not counted. */
function runClient(port: number): void {
  let started = 0;
  let done = 0;
  const startedAtMs = performance.now();
  const next = (): void => {
    if (started++ >= CONNECTIONS) return;
    const socket = connect(port, '127.0.0.1');
    socket.once('data', () => socket.write('QUIT\r\n'));
    socket.on('data', () => {});
    socket.on('error', (error) => console.error(error.message));
    socket.on('close', () => {
      if (++done === CONNECTIONS) process.send?.(performance.now() - startedAtMs, () => process.exit());
      next();
    });
  };
  for (let i = 0; i < AT_ONCE; i++) next();
}

function runThread({ mode, index, port, loads }: ThreadData): void {
  const take = (socket: Socket): void => {
    Atomics.add(loads, index, 1);
    socket.on('close', () => Atomics.sub(loads, index, 1));
    serve(socket);
    socket.resume();
  };
  if (mode === 'transfer') {
    parentPort?.on('message', (socket: Socket) => take(socket));
    parentPort?.postMessage('ready');
  } else createServer({ noDelay: true }, take).listen({ port, reusePort: true }, () => parentPort?.postMessage('ready'));
}

async function runServer(mode: 'single' | 'transfer' | 'reuse', threads: number): Promise<void> {
  const loads = new Int32Array(new SharedArrayBuffer(4 * threads));
  const workers: Worker[] = [];
  const hand = (socket: Socket): void => {
    let least = 0;
    for (let i = 1; i < threads; i++) if (Atomics.load(loads, i) < Atomics.load(loads, least)) least = i;
    workers[least]?.postMessage(socket, [socket as never]);
  };
  const server = createServer({ pauseOnConnect: mode === 'transfer', noDelay: true }, mode === 'transfer' ? hand : serve);
  await new Promise<void>((resolve) => server.listen({ port: 0, reusePort: mode === 'reuse' }, resolve));
  const { port } = server.address() as AddressInfo;
  if (mode !== 'single') {
    for (let index = 0; index < threads; index++) {
      const worker = new Worker(self, { workerData: { mode, index, port, loads } satisfies ThreadData });
      await new Promise((resolve) => worker.once('message', resolve));
      workers.push(worker);
    }
  }
  if (mode === 'reuse') server.close();
  const before = process.cpuUsage();
  const client = fork(self, ['client', String(port)]);
  const tookMs = await new Promise<number>((resolve) => client.once('message', (ms) => resolve(Number(ms))));
  const used = process.cpuUsage(before);
  const cpuMicros = (used.user + used.system) / CONNECTIONS;
  console.log(
    JSON.stringify({
      bench: 'placement',
      mode,
      threads,
      cpuMicros: Math.round(cpuMicros),
      perSecond: Math.round((CONNECTIONS / tookMs) * 1000),
    }),
  );
  process.exit();
}

if (!isMainThread) runThread(workerData as ThreadData);
else if (process.argv[2] === 'client') runClient(Number(process.argv[3]));
else if (process.argv[2] !== undefined) await runServer(process.argv[2] as 'single', Number(process.argv[3]));
else {
  for (const [mode, threads] of [
    ['single', 1],
    ['transfer', 1],
    ['transfer', 2],
    ['reuse', 1],
    ['reuse', 2],
  ] as const) {
    const child = fork(self, [mode, String(threads)]);
    await new Promise((resolve) => child.once('exit', resolve));
  }
}
