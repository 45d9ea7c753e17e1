/**
 * What asking a plugin costs, by where it runs: in place, on a compute thread, on a wait thread; for one message at a
 * time, 20 and 200 at once, and for two plugins of one stage. The message is 4 KB in shared memory, the plugin looks for
 * a word in its header. Run: `node bench/hop.ts [messages]`.
 */
import { type HookRig, messageOf, startHooks } from '../test/lib/hook-rig.ts';
import { alternate, Recorder } from './lib/run.ts';
import { median, spread } from './lib/stats.ts';
import { formatTable } from './lib/table.ts';

const messages = Number(process.argv[2] ?? 20_000);
const rounds = 5;
const loads = [1, 20, 200];
const sides = {
  'in place': ['inline', undefined],
  'compute thread': ['compute', undefined],
  'wait thread': ['wait', undefined],
  'compute and wait': ['compute', 'wait'],
  'two on compute': ['compute', 'compute'],
} as const;
type Side = keyof typeof sides;

interface Cost {
  readonly wallMicros: number;
  /** Of the whole process: the session thread and the plugin threads. */
  readonly cpuMicros: number;
  /** Messages that went in one hop. */
  readonly batch: number;
}

const mail = Buffer.from(`Subject: a message\r\nFrom: <a@example.org>\r\n\r\n${'x'.repeat(70)}\r\n`.padEnd(4096, 'text '));

async function measure(rig: HookRig, atOnce: number, count: number): Promise<Cost> {
  const held = await Promise.all(Array.from({ length: atOnce }, () => rig.hold(mail)));
  const requests = held.map((one) => messageOf(one));
  rig.counts.clear();
  const cpuBefore = process.cpuUsage();
  const begun = performance.now();
  let done = 0;
  for (; done < count; done += atOnce) await Promise.all(requests.map(async (request) => rig.pipeline.message!(request)));
  const wallMicros = ((performance.now() - begun) * 1000) / done;
  const { user, system } = process.cpuUsage(cpuBefore);
  for (const one of held) one.drop();
  return {
    wallMicros,
    cpuMicros: (user + system) / done,
    batch: (rig.counts.get('hook.calls') ?? 0) / (rig.counts.get('hook.hops') ?? 1),
  };
}

const recorder = await Recorder.open('hop', { messages, rounds, threads: 1, messageBytes: mail.length });
const names = Object.keys(sides) as Side[];
const rigs = Object.fromEntries(
  await Promise.all(
    names.map(async (side) => {
      const [first, second] = sides[side];
      const plugins = [{ './finder.ts': { isolation: first, deadlineMs: 60_000 } }];
      const more = second === undefined ? [] : [{ './evil.ts': { isolation: second, deadlineMs: 60_000 } }];
      return [side, await startHooks([...plugins, ...more], { threads: 1 })] as const;
    }),
  ),
);
const rows: (string | number)[][] = [];
for (const atOnce of loads) {
  for (const side of names) await measure(rigs[side]!, atOnce, messages / 4);
  const costs = await alternate(names, rounds, async (side, round) => {
    const cost = await measure(rigs[side]!, atOnce, messages);
    recorder.write('round', { side, atOnce, round, ...cost });
    return cost;
  });
  for (const side of names) {
    const wall = costs[side].map(({ wallMicros }) => wallMicros);
    const cpu = costs[side].map(({ cpuMicros }) => cpuMicros);
    const batch = median(costs[side].map((one) => one.batch));
    recorder.write('summary', { side, atOnce, wallMicros: median(wall), cpuMicros: median(cpu), batch });
    rows.push([side, atOnce, spread(wall), spread(cpu), batch.toFixed(1)]);
  }
}
for (const side of names) await rigs[side]!.close();
recorder.finish(formatTable(['where', 'at once', 'µs a message', 'µs of CPU', 'calls a hop'], rows));
