/**
 * POP3 sessions a second: the same clients and the same maildrops against Posthorn and against Dovecot, alternating.
 * `npm run bench:pop3 -- [--rounds 5] [--sessions 3000]`; docs/bench.md says why it is fair.
 */
import { fileURLToPath } from 'node:url';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { writeMaildir } from '../test/lib/maildir.ts';
import { startDovecot } from '../test/lib/peers/dovecot.ts';
import { install } from '../test/lib/peers/install.ts';
import { run } from '../test/lib/process.ts';
import { type Posthorn, startPosthorn } from '../test/lib/server.ts';
import { type Rate, compare, rateOf, tellRate } from './lib/compare.ts';
import type { CpuGroup } from './lib/cpu.ts';
import { Recorder, alternate, withServer } from './lib/run.ts';
import type { Pop3Done, Pop3Load } from './load/pop3.ts';

const { values } = parseArgs({
  options: { rounds: { type: 'string', default: '5' }, sessions: { type: 'string', default: '3000' } },
});
const SIDES = ['posthorn', 'dovecot'] as const;
type Side = (typeof SIDES)[number];

const PASSWORD = 'correct horse';
/** 10 KB with the header, lines of 78 characters. */
const MESSAGE = Buffer.from(`Subject: a message to fetch\r\n\r\n${`${'x'.repeat(76)}\r\n`.repeat(131)}`);

interface Load {
  readonly name: string;
  readonly users: readonly string[];
  readonly maildropMessages: number;
  readonly concurrency: number;
  readonly sessions: number;
}

const named = (prefix: string, count: number) => Array.from({ length: count }, (_, index) => `${prefix}${index}`);
const small = named('small', 50);
const large = named('large', 20);
const sessions = Number(values.sessions);
const LOADS: readonly Load[] = [
  { name: '10 messages, 20 clients', users: small, maildropMessages: 10, concurrency: 20, sessions },
  { name: '10 messages, 50 clients', users: small, maildropMessages: 10, concurrency: 50, sessions },
  {
    name: '1,000 messages, 20 clients',
    users: large,
    maildropMessages: 1000,
    concurrency: 20,
    sessions: Math.ceil(sessions / 2),
  },
];
const users = [...small, ...large];
const mailOf = (user: string) => Array.from({ length: large.includes(user) ? 1000 : 10 }, () => MESSAGE);

/** The clients are a process of their own: their CPU is nobody's. */
async function runLoad(load: Load, port: number): Promise<void> {
  const { concurrency, sessions, users } = load;
  const told: Pop3Load = { port, sessions, concurrency, users, password: PASSWORD, retrieveBytes: MESSAGE.length };
  const script = fileURLToPath(new URL('./load/pop3.ts', import.meta.url));
  const { stdout } = await run([process.execPath, script, JSON.stringify(told)], { timeoutMs: 600_000 });
  const done = JSON.parse(stdout) as Pop3Done;
  if (done.sessions !== sessions || done.bytes !== sessions * MESSAGE.length) throw new Error(`not all was fetched: ${stdout}`);
}

async function startPop3(wrap: CpuGroup['wrap']): Promise<Posthorn> {
  const posthorn = await startPosthorn({
    users: Object.fromEntries(users.map((user) => [user, PASSWORD])),
    passwordMemoryKiB: 19_456, // As `posthorn user add` hashes.
    listener: { plaintextLogin: 'always' },
    logFile: 'log.jsonl',
    wrap,
  });
  for (const user of users) writeMaildir(join(posthorn.dataFolder, 'mail', user, 'Maildir'), mailOf(user));
  return posthorn;
}

async function measureBoth(ports: Record<Side, number>, cpus: Record<Side, CpuGroup>): Promise<void> {
  // Just in time compiled, indexes written, logins verified once.
  for (const side of SIDES) for (const load of LOADS) await runLoad({ ...load, sessions: 2000 }, ports[side]);
  const recorder = await Recorder.open('pop3', values);
  const groups: Record<string, Record<Side, Rate[]>> = {};
  for (const load of LOADS) {
    groups[load.name] = await alternate(SIDES, Number(values.rounds), async (side, round) => {
      const rate = await rateOf(cpus[side], load.sessions, () => runLoad(load, ports[side]));
      recorder.write('round', { round, side, load: load.name, ...rate });
      console.log(`round ${round + 1} ${side}, ${load.name}: ${tellRate(rate)}`);
      return rate;
    });
  }
  recorder.finish(compare(recorder, 'sessions', 'dovecot', groups));
}

await install(['dovecot-pop3d']);
let posthorn: Posthorn | undefined;
try {
  await withServer(
    'posthorn',
    async (wrap) => (posthorn = await startPop3(wrap)),
    (ours, ourCpu) =>
      withServer(
        'dovecot',
        (wrap) => startDovecot({ users, password: PASSWORD, mail: mailOf, wrap }),
        (theirs, theirCpu) =>
          measureBoth({ posthorn: ours.ports.pop3, dovecot: theirs.port }, { posthorn: ourCpu, dovecot: theirCpu }),
      ),
  );
} finally {
  posthorn?.remove();
}
