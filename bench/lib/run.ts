/**
 * A run of a bench: which machine and which commit, rounds that alternate between the sides, and the record of it all as
 * JSON lines under bench/results/ (one for each round, one for the summary). Every bench here goes through it.
 */
import { appendFileSync, mkdirSync } from 'node:fs';
import { availableParallelism, cpus, release, totalmem } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { run } from '../../test/lib/process.ts';
import { type CpuGroup, openCpuGroup } from './cpu.ts';

const BENCH = fileURLToPath(new URL('../', import.meta.url));

export interface Facts {
  readonly cores: number;
  readonly cpu: string;
  readonly memoryMiB: number;
  readonly kernel: string;
  readonly node: string;
  readonly commit: string;
  /** Files differ from that commit. */
  readonly dirty: boolean;
  readonly startedAt: string;
}

/** What the figures hold for. */
export async function facts(): Promise<Facts> {
  const git = async (...args: string[]) => (await run(['git', ...args], { cwd: BENCH, mayFail: true })).stdout.trim();
  return {
    cores: availableParallelism(),
    cpu: cpus()[0]?.model ?? 'unknown',
    memoryMiB: Math.round(totalmem() / 2 ** 20),
    kernel: release(),
    node: process.version,
    commit: (await git('rev-parse', '--short', 'HEAD')) || 'unknown',
    dirty: (await git('status', '--porcelain', '--untracked-files=no')) !== '',
    startedAt: new Date().toISOString(),
  };
}

/** Where a bench writes: a line is an object, written at once, so that a run that is broken off keeps its rounds. */
export class Recorder {
  readonly file: string;
  readonly #bench: string;

  private constructor(bench: string, file: string) {
    this.#bench = bench;
    this.file = file;
  }

  /** Opens the file of this run and writes the facts into it. */
  static async open(bench: string, settings: Readonly<Record<string, unknown>>): Promise<Recorder> {
    const found = await facts();
    const folder = join(BENCH, 'results');
    mkdirSync(folder, { recursive: true });
    const recorder = new Recorder(bench, join(folder, `${bench}-${found.startedAt.replaceAll(/[:.]/g, '-')}.jsonl`));
    recorder.write('run', { ...found, ...settings });
    console.log(
      `${bench}: ${found.cores} cores, ${found.memoryMiB} MiB, Linux ${found.kernel}, Node ${found.node}, commit ${found.commit}${found.dirty ? ' with changes' : ''}`,
    );
    return recorder;
  }

  write(kind: 'run' | 'round' | 'summary', data: Readonly<Record<string, unknown>>): void {
    appendFileSync(this.file, `${JSON.stringify({ bench: this.#bench, kind, ...data })}\n`);
  }

  /** Prints what a reader wants to see last, and where the lines are. */
  finish(table: string): void {
    console.log(`\n${table}\n\n${this.file}`);
  }
}

/**
 * Runs every side once in each round; odd rounds in the opposite order, so that neither always has the fresher disk.
 * @returns for each side its results, round by round.
 */
export async function alternate<Side extends string, Result>(
  sides: readonly Side[],
  rounds: number,
  measure: (side: Side, round: number) => Promise<Result>,
): Promise<Record<Side, Result[]>> {
  const results = Object.fromEntries(sides.map((side) => [side, [] as Result[]])) as Record<Side, Result[]>;
  for (let round = 0; round < rounds; round++) {
    for (const side of round % 2 === 0 ? sides : sides.toReversed()) results[side].push(await measure(side, round));
  }
  return results;
}

/** Wall-clock and CPU seconds of the servers in `cpu` while `work` runs. */
export async function measured(cpu: CpuGroup, work: () => Promise<void>): Promise<{ seconds: number; cpuSeconds: number }> {
  const cpuBefore = cpu.cpuSeconds();
  const begun = performance.now();
  await work();
  const seconds = (performance.now() - begun) / 1000;
  return { seconds, cpuSeconds: cpu.cpuSeconds() - cpuBefore };
}

/** Runs `use` with a server whose CPU is counted apart; stops it and gives the group up, whatever happens. */
export async function withServer<Server extends { readonly pid: number; stop(): Promise<unknown> }, Result>(
  name: string,
  start: (wrap: CpuGroup['wrap']) => Promise<Server>,
  use: (server: Server, cpu: CpuGroup) => Promise<Result>,
): Promise<Result> {
  const cpu = openCpuGroup(name);
  try {
    const server = await start((command) => cpu.wrap(command));
    cpu.watch(server.pid);
    try {
      return await use(server, cpu);
    } finally {
      await server.stop();
    }
  } finally {
    cpu.close();
  }
}
