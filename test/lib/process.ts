/**
 * Processes that tests and benches start: own children only, found and ended by their id, never by name.
 * Waits are for events (a port that answers, an exit), each with a deadline and a reason when it passes.
 * Used by test/lib/server.ts, test/peers, test/crash and bench.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, mkdtempSync, openSync, rmSync } from 'node:fs';
import { createConnection, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** A child process with what it printed (the last 64 KiB of each stream) and its exit. */
export interface Running {
  readonly child: ChildProcess;
  readonly pid: number;
  readonly exited: Promise<number>;
  stdout(): string;
  stderr(): string;
}

const KEPT_CHARS = 64 * 1024;

/**
 * Starts a program; rejects when it cannot be started.
 * @param options.onOut gets each piece of standard output as it comes, beside the kept tail.
 * @param options.outFile standard output goes into this file instead, without passing through here.
 */
export async function start(
  command: readonly string[],
  options: {
    cwd?: string;
    env?: NodeJS.ProcessEnv;
    input?: string | Uint8Array;
    onOut?: (text: string) => void;
    outFile?: string;
  } = {},
): Promise<Running> {
  const out = options.outFile === undefined ? 'pipe' : openSync(options.outFile, 'a');
  const child = spawn(command[0]!, command.slice(1), {
    stdio: ['pipe', out, 'pipe'],
    ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
    ...(options.env === undefined ? {} : { env: options.env }),
  });
  if (typeof out === 'number') closeSync(out); // The child has its own copy.
  const kept = { out: '', err: '' };
  child.stdout?.setEncoding('utf8').on('data', (text: string) => {
    kept.out = (kept.out + text).slice(-KEPT_CHARS);
    options.onOut?.(text);
  });
  child.stderr?.setEncoding('utf8').on('data', (text: string) => {
    kept.err = (kept.err + text).slice(-KEPT_CHARS);
  });
  const exited = new Promise<number>((resolve) => child.once('close', (code, signal) => resolve(code ?? (signal ? 128 : 1))));
  await new Promise<void>((resolve, reject) => child.once('spawn', resolve).once('error', reject));
  // A program that ends without reading its input breaks the pipe: its exit code tells the story.
  child.stdin?.on('error', (cause: NodeJS.ErrnoException) => {
    kept.err += `[input: ${cause.code}]`;
  });
  child.stdin?.end(options.input ?? '');
  return { child, pid: child.pid!, exited, stdout: () => kept.out, stderr: () => kept.err };
}

/** Runs a program to its end; throws with its output when it fails or takes longer than `timeoutMs`. */
export async function run(
  command: readonly string[],
  options: Parameters<typeof start>[1] & { timeoutMs?: number; mayFail?: boolean } = {},
): Promise<{ code: number; stdout: string; stderr: string }> {
  const running = await start(command, options);
  const timeoutMs = options.timeoutMs ?? 60_000;
  let late = false;
  const timer = setTimeout(() => {
    late = true;
    running.child.kill('SIGKILL');
  }, timeoutMs);
  const code = await running.exited;
  clearTimeout(timer);
  const result = { code, stdout: running.stdout(), stderr: running.stderr() };
  if (late) throw new Error(`${command[0]} did not end within ${timeoutMs} ms\n${result.stdout}\n${result.stderr}`);
  if (code !== 0 && options.mayFail !== true) {
    throw new Error(`${command.join(' ')} ended with ${code}\n${result.stdout}\n${result.stderr}`);
  }
  return result;
}

/** SIGTERM, then SIGKILL after `graceMs`; resolves with the exit code. */
export async function stop(running: Running, graceMs = 15_000): Promise<number> {
  if (running.child.exitCode === null && running.child.signalCode === null) running.child.kill('SIGTERM');
  const timer = setTimeout(() => running.child.kill('SIGKILL'), graceMs);
  const code = await running.exited;
  clearTimeout(timer);
  return code;
}

/**
 * Ports below those that the system gives out by itself, for whoever listens on a port of its choice or connects could
 * get one that was named and is not listened on yet. Test processes beside each other have a stretch each.
 */
const STRETCH = 2500;
const FIRST_PORT = 10_000 + (Number(process.env.VITEST_POOL_ID ?? 0) % 8) * STRETCH;
let nextPort = Math.floor(Math.random() * STRETCH);

function isFree(port: number): Promise<boolean> {
  const server = createServer();
  return new Promise((resolve) => {
    server.once('error', () => resolve(false));
    server.listen(port, '127.0.0.1', () => server.close(() => resolve(true)));
  });
}

/** Ports nobody listens on, on loopback; none is named twice. */
export async function freePorts(count: number): Promise<number[]> {
  const ports: number[] = [];
  while (ports.length < count) {
    const port = FIRST_PORT + (nextPort++ % STRETCH);
    if (await isFree(port)) ports.push(port);
  }
  return ports;
}

/** One connection; resolves with the first bytes the server says (a greeting), or '' when it said nothing and closed. */
function greeting(port: number, timeoutMs: number): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = createConnection({ port, host: '127.0.0.1' });
    socket.setTimeout(timeoutMs, () => socket.destroy(new Error('no greeting')));
    socket.once('data', (data) => {
      socket.destroy();
      resolve(data.toString('latin1'));
    });
    socket.once('error', reject);
    socket.once('close', () => resolve(''));
  });
}

/**
 * Waits until a server on `port` greets (SMTP `220`, POP3 `+OK`); for a port with implicit TLS until it accepts.
 * @returns ms waited.
 */
export async function waitForPort(
  port: number,
  options: { timeoutMs?: number; greets?: boolean; running?: Running; everyMs?: number } = {},
): Promise<number> {
  const begun = performance.now();
  const timeoutMs = options.timeoutMs ?? 30_000;
  let last = 'nothing tried';
  while (performance.now() - begun < timeoutMs) {
    if (options.running && (options.running.child.exitCode !== null || options.running.child.signalCode !== null)) {
      throw new Error(`the server ended\n${options.running.stdout()}\n${options.running.stderr()}`);
    }
    try {
      if (options.greets === false) {
        await accepts(port);
        return performance.now() - begun;
      }
      // Longer than any listener of a test holds its banner back: a wait as long as that is a race.
      const said = await greeting(port, 10_000);
      if (/^(220|\+OK)/.test(said)) return performance.now() - begun;
      last = `it said ${JSON.stringify(said)}`;
    } catch (error) {
      last = String(error);
    }
    await new Promise((resolve) => setTimeout(resolve, options.everyMs ?? 20));
  }
  const printed = options.running ? `\n${options.running.stdout()}\n${options.running.stderr()}` : '';
  throw new Error(`port ${port} did not answer within ${timeoutMs} ms: ${last}${printed}`);
}

function accepts(port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    const socket = createConnection({ port, host: '127.0.0.1' });
    socket.once('connect', () => {
      socket.destroy();
      resolve();
    });
    socket.once('error', reject);
  });
}

/** A new folder under the system's temporary one (POSTHORN_BENCH_DIR when set, to choose the disk), and the way to remove it. */
export function tempFolder(name: string): { path: string; remove: () => void } {
  const path = mkdtempSync(join(process.env['POSTHORN_BENCH_DIR'] ?? tmpdir(), `posthorn-${name}-`));
  return { path, remove: () => rmSync(path, { recursive: true, force: true }) };
}
