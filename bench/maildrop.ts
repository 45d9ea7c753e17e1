/**
 * Large maildrops, fast retrieval and many sessions, against Dovecot where it says something:
 * login to STAT in a maildrop of 100,000 messages, cold and warm; RETR in MB/s; 1,000 sessions at once.
 * `npm run bench:maildrop -- [--rounds 5] [--messages 100000] [--sessions 1000] [--only login|retrieve|crowd]`; docs/bench.md.
 */
import { rmSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { writeMaildir } from '../test/lib/maildir.ts';
import { startDovecot } from '../test/lib/peers/dovecot.ts';
import { install } from '../test/lib/peers/install.ts';
import { run } from '../test/lib/process.ts';
import { maildirOf, type Posthorn, startPosthorn } from '../test/lib/server.ts';
import type { CpuGroup } from './lib/cpu.ts';
import { alternate, measured, Recorder, withServer } from './lib/run.ts';
import { median, pairRatios, spread } from './lib/stats.ts';
import { formatTable } from './lib/table.ts';
import type { MaildropDone, MaildropLoad } from './load/maildrop.ts';

const { values } = parseArgs({
  options: {
    rounds: { type: 'string', default: '5' },
    messages: { type: 'string', default: '100000' },
    sessions: { type: 'string', default: '1000' },
    only: { type: 'string' },
  },
});
const SIDES = ['posthorn', 'dovecot'] as const;
type Side = (typeof SIDES)[number];

const PASSWORD = 'correct horse';
const rounds = Number(values.rounds);
const LISTENER = { plaintextLogin: 'always' };
/** A warm login may meet a thread that has not seen the maildrop yet: so many go ahead, uncounted. */
const LOGINS_AHEAD = 6;

/** `bytes` with the header, lines of 78 characters. */
function message(bytes: number): Buffer {
  const head = 'Subject: a message to fetch\r\n\r\n';
  const body = `${'x'.repeat(76)}\r\n`.repeat(Math.ceil(bytes / 78)).slice(0, bytes - head.length - 2);
  return Buffer.from(`${head}${body}\r\n`);
}

function* copies(bytes: Buffer, count: number): Generator<Buffer> {
  for (let index = 0; index < count; index++) yield bytes;
}

/** The clients are a process of their own: their CPU is nobody's. */
async function load(told: MaildropLoad): Promise<MaildropDone> {
  const script = fileURLToPath(new URL('./load/maildrop.ts', import.meta.url));
  const { stdout } = await run([process.execPath, script, JSON.stringify(told)], { timeoutMs: 600_000 });
  return JSON.parse(stdout) as MaildropDone;
}

/** Names as Posthorn and Dovecot write them, and as other programs do: without sizes. */
const KINDS = ['sized', 'plain'] as const;
type Kind = (typeof KINDS)[number];

async function measureLogins(recorder: Recorder): Promise<string> {
  const messages = Number(values.messages);
  const small = message(500);
  const loginMs = async (port: number, kind: Kind) =>
    (await load({ what: 'login', port, user: kind, password: PASSWORD, messages })).loginMs!;
  const rows: string[][] = [];
  const tell = (side: Side, kind: Kind, how: string, ms: readonly number[]) => {
    recorder.write('summary', { group: 'login', side, names: kind, how, medianMs: median(ms), allMs: ms });
    rows.push([`${messages} messages, ${kind} names, ${how}`, side, spread(ms, 1)]);
  };
  const users = { sized: PASSWORD, plain: PASSWORD };
  let posthorn = await startPosthorn({ users, listener: LISTENER, logFile: 'log.jsonl' });
  try {
    for (const kind of KINDS) writeMaildir(maildirOf(posthorn, kind), copies(small, messages), undefined, kind === 'sized');
    for (const kind of KINDS) {
      const cold: number[] = [];
      for (let round = 0; round < rounds; round++) {
        await posthorn.stop();
        rmSync(join(maildirOf(posthorn, kind), 'posthorn-sizes'), { force: true });
        posthorn = await posthorn.restart();
        cold.push(await loginMs(posthorn.ports.pop3, kind));
      }
      tell('posthorn', kind, 'cold', cold);
      // The index is there, and the server has never read it.
      const restarted: number[] = [];
      for (let round = 0; round < rounds; round++) {
        await posthorn.stop();
        posthorn = await posthorn.restart();
        restarted.push(await loginMs(posthorn.ports.pop3, kind));
      }
      tell('posthorn', kind, 'after a restart', restarted);
      tell('posthorn', kind, 'warm', await warm(() => loginMs(posthorn.ports.pop3, kind)));
    }
  } finally {
    await posthorn.stop();
    posthorn.remove();
  }
  const dovecot = await startDovecot({
    users: KINDS,
    password: PASSWORD,
    mail: () => copies(small, messages),
    sizesInNames: (user) => user === 'sized',
  });
  try {
    for (const kind of KINDS) {
      tell('dovecot', kind, 'cold', [await loginMs(dovecot.port, kind)]);
      tell('dovecot', kind, 'warm', await warm(() => loginMs(dovecot.port, kind)));
    }
  } finally {
    await dovecot.stop();
  }
  return formatTable(['', 'server', 'PASS to STAT, ms'], rows);
}

async function warm(loginMs: () => Promise<number>): Promise<number[]> {
  for (let ahead = 0; ahead < LOGINS_AHEAD; ahead++) await loginMs();
  const ms: number[] = [];
  for (let round = 0; round < rounds; round++) ms.push(await loginMs());
  return ms;
}

interface Retrieval {
  readonly name: string;
  readonly users: readonly string[];
  readonly messages: number;
  readonly bytes: number;
}

/** So many at once that chance deals them out over all threads, or nearly. */
const clients = (name: string) => Array.from({ length: 6 }, (_, index) => `${name}${index}`);

/** Each client fetches its maildrop so many times over: a round is more than its beginning. */
const TIMES = 4;

const RETRIEVALS: readonly Retrieval[] = [
  { name: '100 of 1 MiB', users: clients('large'), messages: 100, bytes: 1024 * 1024 },
  { name: '4,000 of 10 KB', users: clients('usual'), messages: 4_000, bytes: 10 * 1024 },
  { name: '8,000 of 4 KB', users: clients('small'), messages: 8_000, bytes: 4096 },
];

async function measureRetrievals(recorder: Recorder): Promise<string> {
  const users = RETRIEVALS.flatMap((one) => one.users);
  const mailOf = (user: string) => {
    const { bytes, messages } = RETRIEVALS.find((one) => one.users.includes(user))!;
    return copies(message(bytes), messages);
  };
  let posthorn: Posthorn | undefined;
  const startOurs = async (wrap: CpuGroup['wrap']) => {
    posthorn = await startPosthorn({
      users: Object.fromEntries(users.map((user) => [user, PASSWORD])),
      listener: LISTENER,
      // No mail comes in: all cores are for sessions, as Dovecot's processes are.
      config: { throughput: { sessionThreads: availableParallelism() } },
      logFile: 'log.jsonl',
      wrap,
    });
    for (const user of users) writeMaildir(maildirOf(posthorn, user), mailOf(user));
    return posthorn;
  };
  try {
    return await withServer('posthorn', startOurs, (ours, ourCpu) =>
      withServer(
        'dovecot',
        (wrap) => startDovecot({ users, password: PASSWORD, mail: mailOf, wrap }),
        async (theirs, theirCpu) => {
          const ports = { posthorn: ours.ports.pop3, dovecot: theirs.port };
          const cpus = { posthorn: ourCpu, dovecot: theirCpu };
          const rows: string[][] = [];
          for (const one of RETRIEVALS) rows.push(...(await compareRetrieval(recorder, one, ports, cpus)));
          return formatTable(['RETR', 'server', 'MB/s', 'CPU s per GB', 'MB/s, times dovecot', 'CPU, dovecot times this'], rows);
        },
      ),
    );
  } finally {
    posthorn?.remove();
  }
}

async function compareRetrieval(
  recorder: Recorder,
  { name, users, messages, bytes: messageBytes }: Retrieval,
  ports: Record<Side, number>,
  cpus: Record<Side, CpuGroup>,
): Promise<string[][]> {
  const once = async (side: Side) => {
    let done: MaildropDone = {};
    const told = {
      what: 'retrieve',
      port: ports[side],
      users,
      password: PASSWORD,
      messages,
      messageBytes,
      times: TIMES,
    } as const;
    const { cpuSeconds } = await measured(cpus[side], async () => {
      done = await load(told);
    });
    return { perSecond: done.bytes! / 1e6 / done.seconds!, cpuPerGb: (cpuSeconds / done.bytes!) * 1e9 };
  };
  for (const side of SIDES) await once(side); // Compiled just in time, indexes written.
  const all = await alternate(SIDES, rounds, async (side, round) => {
    const rate = await once(side);
    recorder.write('round', { group: name, round, side, ...rate });
    return rate;
  });
  const rates = (side: Side) => all[side].map((one) => one.perSecond);
  const costs = (side: Side) => all[side].map((one) => one.cpuPerGb);
  return SIDES.map((side) => {
    const faster = pairRatios(rates(side), rates('dovecot'));
    const cheaper = pairRatios(costs('dovecot'), costs(side));
    const figures = { mbPerSecond: median(rates(side)), cpuPerGb: median(costs(side)) };
    recorder.write('summary', { group: name, side, ...figures, timesFaster: median(faster), timesCheaper: median(cheaper) });
    return [name, side, spread(rates(side), 0), spread(costs(side)), spread(faster), spread(cheaper)];
  });
}

async function measureCrowd(recorder: Recorder): Promise<string> {
  const users = Array.from({ length: Number(values.sessions) }, (_, index) => `user${index}`);
  const messages = 5;
  const posthorn = await startPosthorn({
    users: Object.fromEntries(users.map((user) => [user, PASSWORD])),
    listener: LISTENER,
    logFile: 'log.jsonl',
  });
  try {
    const mail = message(4096);
    for (const user of users) writeMaildir(maildirOf(posthorn, user), copies(mail, messages));
    const begun = performance.now();
    const done = await load({ what: 'crowd', port: posthorn.ports.pop3, users, password: PASSWORD, messages });
    const seconds = (performance.now() - begun) / 1000;
    recorder.write('summary', { group: 'crowd', ...done, seconds });
    if (done.failed !== 0) throw new Error(`${done.failed} of ${done.sessions} sessions failed: ${done.why}`);
    return `${done.sessions} sessions logged in at once, ${done.failed} failed, ${seconds.toFixed(1)} s`;
  } finally {
    await posthorn.stop();
    posthorn.remove();
  }
}

await install(['dovecot-pop3d']);
const recorder = await Recorder.open('maildrop', values);
const parts = { login: measureLogins, retrieve: measureRetrievals, crowd: measureCrowd };
const tables: string[] = [];
for (const [name, measure] of Object.entries(parts)) {
  if (values.only !== undefined && values.only !== name) continue;
  const table = await measure(recorder);
  console.log(`\n${table}`);
  tables.push(table);
}
recorder.finish(tables.join('\n\n'));
