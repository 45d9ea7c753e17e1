/**
 * Fuzzes a protocol engine at length: `npm run test:fuzz -- smtp|pop3 [--inputs N] [--processes N] [--seed N]`.
 * One input is one session: a script of some ten to forty lines, damaged, fed with its events to the session's end.
 * Each process plays its own seeds. It ends with 1, and names the seed, when
 *   - a round breaks a promise of the engine (see `check` of the target), or something throws outside of it,
 *   - a round is not over in ROUND_DEADLINE_MS: the process is ended from outside, whatever it does,
 *   - memory grows: what is live after a full collection is more than at the beginning by MAX_GROWTH_BYTES.
 * `--inputs 1 --seed N` plays a round again.
 */
import { fork } from 'node:child_process';
import { availableParallelism } from 'node:os';
import { parseArgs } from 'node:util';
import type { FuzzTarget } from './target.ts';

const TARGETS: Readonly<Record<string, () => Promise<FuzzTarget>>> = {
  smtp: async () => (await import('./smtp.ts')).smtpTarget,
  pop3: async () => (await import('./pop3.ts')).pop3Target,
};

/** A round takes less than a millisecond. */
const ROUND_DEADLINE_MS = 20_000;
/** Rounds between two signs of life. */
const ROUNDS_A_REPORT = 100;
/** Rounds between two looks at the memory. By the first one everything is compiled that will be. */
const ROUNDS_A_LOOK = 20_000;
/** Compiled code comes and goes; a leak of four bytes a round is found in four million of them. */
const MAX_GROWTH_BYTES = 16 * 1024 * 1024;
const MAX_HEAP_MB = 512;

/** What a playing process says. `seed` is the next round's. */
interface Report {
  readonly inputs: number;
  readonly seed: number;
  /** Live after a full collection, and that of the first look. */
  readonly liveBytes: number | undefined;
  readonly firstLiveBytes: number | undefined;
  readonly failure?: string;
}

/** In the parent. */
async function runAll(target: string, inputs: number, processes: number, seed: number): Promise<void> {
  process.stdout.write(`${target}: ${inputs} inputs in ${processes} process(es) from seed ${seed}\n`);
  const begun = performance.now();
  const reports: Report[] = [];
  const tell = (): void => {
    const played = reports.reduce((sum, report) => sum + report.inputs, 0);
    const live = reports.map(({ liveBytes, firstLiveBytes }) =>
      liveBytes === undefined || firstLiveBytes === undefined ? '?' : `${mib(firstLiveBytes)}->${mib(liveBytes)}`,
    );
    const seconds = (performance.now() - begun) / 1000;
    process.stdout.write(
      `${played} inputs, ${seconds.toFixed(0)} s, ${(played / seconds).toFixed(0)}/s, live MiB ${live.join(' ')}\n`,
    );
  };
  const ticker = setInterval(tell, 10_000);
  const share = Math.ceil(inputs / processes);
  // A round is at least one input, so no two processes play the same seed.
  const runs = Array.from({ length: processes }, (_, index) =>
    runOne(target, share, seed + index * share, (report) => (reports[index] = report)),
  );
  const failures = (await Promise.all(runs)).filter((failure) => failure !== undefined);
  clearInterval(ticker);
  tell();
  for (const failure of failures) process.stdout.write(`FAILED: ${failure}\n`);
  process.exitCode = failures.length === 0 ? 0 : 1;
}

/** @returns what went wrong, if anything. */
function runOne(target: string, inputs: number, seed: number, onReport: (report: Report) => void): Promise<string | undefined> {
  return new Promise((resolve) => {
    const player = fork(import.meta.filename, [target, String(inputs), String(seed)], {
      execArgv: ['--expose-gc', `--max-old-space-size=${MAX_HEAP_MB}`],
      env: { ...process.env, POSTHORN_FUZZ_PLAYER: '1' },
    });
    let last = seed;
    let failure: string | undefined;
    let hung = false;
    const watch = setTimeout(() => {
      hung = true;
      player.kill('SIGKILL');
    }, ROUND_DEADLINE_MS);
    player.on('message', (report: Report) => {
      watch.refresh();
      last = report.seed;
      failure = report.failure;
      onReport(report);
    });
    player.on('exit', (code, signal) => {
      clearTimeout(watch);
      if (hung) resolve(`hangs in one of the ${ROUNDS_A_REPORT} rounds from seed ${last} on`);
      else if (failure !== undefined) resolve(failure);
      else resolve(code === 0 ? undefined : `crashed (${code ?? signal}) in one of the rounds from seed ${last} on`);
    });
  });
}

/** In a process that plays. */
async function play(target: FuzzTarget, inputs: number, seed: number): Promise<void> {
  let played = 0;
  let liveBytes: number | undefined;
  let firstLiveBytes: number | undefined;
  let round = 0;
  const report = (failure?: string): void => {
    const said: Report = {
      inputs: played,
      seed: seed + round,
      liveBytes,
      firstLiveBytes,
      ...(failure === undefined ? {} : { failure }),
    };
    process.send?.(said);
  };
  for (; played < inputs; round += 1) {
    if (round % ROUNDS_A_REPORT === 0) report();
    try {
      played += await target.playRound(seed + round);
    } catch (cause) {
      report(`seed ${seed + round}: ${stackOf(cause)}`);
      break;
    }
    if ((round + 1) % ROUNDS_A_LOOK !== 0 && played < inputs) continue;
    liveBytes = live();
    firstLiveBytes ??= liveBytes;
    const grownBytes = liveBytes - firstLiveBytes;
    if (grownBytes > MAX_GROWTH_BYTES) {
      report(
        `memory grows: ${mib(firstLiveBytes)} MiB were live, and ${mib(liveBytes)} MiB after ${round + 1} rounds from seed ${seed}`,
      );
      break;
    }
    report();
  }
  // Nothing else keeps this process.
  process.channel?.unref();
}

function live(): number {
  globalThis.gc?.();
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
}

function mib(bytes: number): string {
  return (bytes / 2 ** 20).toFixed(1);
}

function stackOf(cause: unknown): string {
  if (!(cause instanceof Error)) return String(cause);
  const text = cause.stack ?? cause.message;
  return cause.cause === undefined ? text : `${text}\ncaused by ${stackOf(cause.cause)}`;
}

function targetNamed(name: string): () => Promise<FuzzTarget> {
  const target = TARGETS[name];
  if (target === undefined)
    throw new Error(`usage: test:fuzz -- ${Object.keys(TARGETS).join('|')} [--inputs N] [--processes N] [--seed N]`);
  return target;
}

if (process.env['POSTHORN_FUZZ_PLAYER'] === undefined) {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: { inputs: { type: 'string' }, processes: { type: 'string' }, seed: { type: 'string' } },
  });
  const name = positionals[0] ?? '';
  targetNamed(name);
  const inputs = Number(values.inputs ?? 1_000_000);
  const processes = Math.min(inputs, Number(values.processes ?? availableParallelism()));
  await runAll(name, inputs, processes, Number(values.seed ?? Date.now() % 1e9));
} else {
  const [name = '', inputs, seed] = process.argv.slice(2);
  await play(await targetNamed(name)(), Number(inputs), Number(seed));
}
