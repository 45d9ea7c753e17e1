/**
 * From end to end: smtp-source through Posthorn and through Postfix to one sink, alternating, timed until the sink has all.
 * `npm run bench:relay -- [--rounds 5] [--sessions 50] [--messages 10000]`; docs/bench.md says why it is fair.
 */
import { parseArgs } from 'node:util';
import { install } from '../test/lib/peers/install.ts';
import { startPostfix } from '../test/lib/peers/postfix.ts';
import type { CpuGroup } from './lib/cpu.ts';
import { type Rate, compare, rateOf, tellRate } from './lib/compare.ts';
import { Recorder, alternate, withServer } from './lib/run.ts';
import { startRelay } from './lib/sides.ts';
import { type CountingSink, startCountingSink } from './load/sink.ts';
import { runSmtpSource } from './load/smtp-source.ts';

const { values } = parseArgs({
  options: {
    rounds: { type: 'string', default: '5' },
    sessions: { type: 'string', default: '50' },
    size: { type: 'string', default: '4096' },
    messages: { type: 'string', default: '10000' },
    'peer-messages': { type: 'string', default: '3000' },
    'warm-up': { type: 'string', default: '1000' },
  },
});
const SIDES = ['posthorn', 'postfix'] as const;
type Side = (typeof SIDES)[number];

/** Many messages to a connection in; how they go out is each server's own choice. */
async function through(port: number, sink: CountingSink, messages: number): Promise<void> {
  const before = sink.count;
  const load = { port, messages, sessions: Number(values.sessions), messageBytes: Number(values.size), mode: 'keep' } as const;
  await runSmtpSource(load);
  await sink.waitFor(before + messages);
}

async function measureOn(port: number, sink: CountingSink, cpu: CpuGroup, messages: number): Promise<Rate> {
  await through(port, sink, Number(values['warm-up']));
  const rate = await rateOf(cpu, messages, () => through(port, sink, messages));
  const sent = messages + Number(values['warm-up']);
  if (sink.count !== sent) throw new Error(`${sent} messages were sent, ${sink.count} came to the sink`);
  return rate;
}

async function measureSide(side: Side): Promise<Rate> {
  const sink = await startCountingSink();
  const sessions = Number(values.sessions);
  try {
    if (side === 'postfix') {
      return await withServer(
        side,
        (wrap) => startPostfix({ mail: { relayPort: sink.port }, sessions, wrap }),
        ({ port }, cpu) => measureOn(port, sink, cpu, Number(values['peer-messages'])),
      );
    }
    let folder: { remove(): void } | undefined;
    try {
      return await withServer(
        side,
        async (wrap) => (folder = await startRelay({ relayPort: sink.port, deliveries: 50 }, wrap)),
        ({ ports }, cpu) => measureOn(ports.smtp, sink, cpu, Number(values.messages)),
      );
    } finally {
      folder?.remove();
    }
  } finally {
    await sink.stop();
  }
}

await install(['postfix']);
const recorder = await Recorder.open('relay', values);
const results = await alternate(SIDES, Number(values.rounds), async (side, round) => {
  const rate = await measureSide(side);
  recorder.write('round', { round, side, ...rate });
  console.log(`round ${round + 1} ${side}: ${tellRate(rate)}`);
  return rate;
});

recorder.finish(compare(recorder, 'messages', 'postfix', { 'to a sink': results }));
