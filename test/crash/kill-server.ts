/**
 * Kills the server process (the child of the supervisor) with SIGKILL at random moments under load, again and again,
 * then lets everything be delivered: each number that got a 250 must have come to the sink. Duplicates are counted,
 * and so is the time until the port greets again. `npm run test:kill -- [--kills 200] [--rate 1000] [--seed N]`;
 * a short form of it runs with the tests.
 */
import { parseArgs } from 'node:util';
import { waitForPort } from '../lib/process.ts';
import { type Posthorn, startPosthorn } from '../lib/server.ts';
import { type NumberedSink, startNumberedSink, startSender } from './numbered-mail.ts';

export interface KillOptions {
  readonly kills: number;
  /** Messages a second at the most. */
  readonly rate: number;
  readonly seed: number;
  /** A life between two kills, from its first greeting: from, to. */
  readonly lifeMs: readonly [number, number];
  readonly onKill?: (kill: number, backMs: number) => void;
}

export interface KillOutcome {
  readonly kills: number;
  readonly acknowledged: number;
  /** Acknowledged, and never came. */
  readonly missing: readonly number[];
  /** Copies beyond the first. */
  readonly duplicates: number;
  /** Came without an acknowledgement: the kill fell between the sync and the 250. */
  readonly unacknowledged: number;
  /** Until the port greeted again, for each kill. */
  readonly backMs: readonly number[];
  readonly refused: readonly (readonly [string, number])[];
}

/** A random number in [0, 1) that the seed decides: mulberry32. */
function random(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** Who the server processes are, from the supervisor's log. */
class Pids {
  #current: number | undefined;
  #waiting: ((pid: number) => void) | undefined;

  /** Takes a line of the log. */
  read(line: string): void {
    const pid = /"serverPid":(\d+)/.exec(line)?.[1];
    if (pid === undefined || !line.includes('server-process-ready')) return;
    this.#current = Number(pid);
    this.#waiting?.(this.#current);
    this.#waiting = undefined;
  }

  /** The process that is there now, or the next one; not given twice. */
  take(): Promise<number> {
    const pid = this.#current;
    this.#current = undefined;
    return pid === undefined
      ? new Promise(
          (resolve) =>
            (this.#waiting = (next) => {
              this.#current = undefined;
              resolve(next);
            }),
        )
      : Promise.resolve(pid);
  }
}

/** @throws Error when the server does not come back, or stops delivering while messages are missing. */
export async function killRepeatedly(options: KillOptions): Promise<KillOutcome> {
  const sink = await startNumberedSink();
  const pids = new Pids();
  const server = await startPosthorn({
    onLog: (line) => pids.read(line),
    config: {
      relay: { from: ['127.0.0.0/8'], tls: 'never', via: `smtp://127.0.0.1:${sink.port}` },
      queue: { retry: ['1s'] },
      throughput: { processes: 1 },
    },
  });
  try {
    return await killAndCount(options, server, sink, pids);
  } finally {
    await server.stop();
    server.remove();
    await sink.close();
  }
}

async function killAndCount(options: KillOptions, server: Posthorn, sink: NumberedSink, pids: Pids): Promise<KillOutcome> {
  const next = random(options.seed);
  const [from, to] = options.lifeMs;
  const sender = startSender({ port: server.ports.smtp, connections: 10, rate: options.rate, bodyBytes: 4000 });
  const backMs: number[] = [];
  for (let kill = 0; kill < options.kills; kill++) {
    const pid = await pids.take();
    // The moment is what is tested; there is no event to wait for.
    await new Promise((resolve) => setTimeout(resolve, from + next() * (to - from)));
    const killedAt = performance.now();
    process.kill(pid, 'SIGKILL');
    await waitForPort(server.ports.smtp, { running: server.running, everyMs: 5, timeoutMs: 60_000 });
    backMs.push(performance.now() - killedAt);
    options.onKill?.(kill, backMs.at(-1)!);
  }
  await sender.stop();
  const missing = await untilDelivered(sender.acknowledged, sink.came);
  let copies = 0;
  for (const count of sink.came.values()) copies += count;
  return {
    kills: options.kills,
    acknowledged: sender.acknowledged.size,
    missing,
    duplicates: copies - sink.came.size,
    unacknowledged: sink.came.size - (sender.acknowledged.size - missing.length),
    backMs,
    refused: [...sender.refused],
  };
}

const SILENCE_MS = 20_000;

/** Waits while messages keep coming. @returns what is missing when all came, or when none came for a while. */
async function untilDelivered(wanted: ReadonlySet<number>, came: ReadonlyMap<number, number>): Promise<number[]> {
  let before = came.size;
  let heardAt = performance.now();
  for (;;) {
    const missing = [...wanted].filter((number) => !came.has(number));
    if (missing.length === 0 || performance.now() - heardAt > SILENCE_MS) return missing;
    await new Promise((resolve) => setTimeout(resolve, 100));
    if (came.size > before) heardAt = performance.now();
    before = came.size;
  }
}

/** One line for the log of a run. */
export function summarize(outcome: KillOutcome): string {
  const sorted = outcome.backMs.toSorted((a, b) => a - b);
  const ms = (value: number | undefined) => `${Math.round(value ?? 0)} ms`;
  return [
    `${outcome.kills} kills`,
    `${outcome.acknowledged} acknowledged`,
    `${outcome.missing.length} missing`,
    `${outcome.duplicates} duplicates`,
    `${outcome.unacknowledged} delivered without an acknowledgement`,
    `back after ${ms(sorted[sorted.length >> 1])} (median), ${ms(sorted.at(-1))} (longest)`,
    ...outcome.refused.map(([line, count]) => `${count} times "${line}"`),
  ].join(', ');
}

if (import.meta.main) {
  const { values } = parseArgs({
    options: {
      kills: { type: 'string', default: '200' },
      rate: { type: 'string', default: '1000' },
      seed: { type: 'string', default: String(Date.now() % 1_000_000) },
      'life-from': { type: 'string', default: '50' },
      'life-to': { type: 'string', default: '1500' },
    },
  });
  console.log(`seed ${values.seed}`);
  const outcome = await killRepeatedly({
    kills: Number(values.kills),
    rate: Number(values.rate),
    seed: Number(values.seed),
    lifeMs: [Number(values['life-from']), Number(values['life-to'])],
    onKill: (kill, backMs) => console.log(`kill ${kill + 1}: back after ${Math.round(backMs)} ms`),
  });
  console.log(`test:kill: ${summarize(outcome)}`);
  const late = outcome.backMs.filter((ms) => ms >= 2000).length;
  if (late > 0) console.log(`${late} times it took 2 s or longer`);
  process.exitCode = outcome.missing.length > 0 || late > 0 ? 1 : 0;
}
