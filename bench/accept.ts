/**
 * How fast mail is accepted durably: smtp-source against Posthorn and against Postfix on the same disk, alternating.
 * Relay configuration, deliveries held on both sides, every message counted in the queue on disk afterwards.
 * `npm run bench:accept -- [--rounds 5] [--sessions 50] [--with-plugins]`; docs/bench.md says why it is fair.
 */
import { parseArgs } from 'node:util';
import { install } from '../test/lib/peers/install.ts';
import { startPostfix } from '../test/lib/peers/postfix.ts';
import { countQueued } from '../test/lib/queue-on-disk.ts';
import type { CpuGroup } from './lib/cpu.ts';
import { type Rate, compare, rateOf, tellRate } from './lib/compare.ts';
import { Recorder, alternate, withServer } from './lib/run.ts';
import { type SmtpSide, startRelay } from './lib/sides.ts';
import { type SourceLoad, runSmtpSource } from './load/smtp-source.ts';

type Mode = SourceLoad['mode'];

const MODES: readonly Mode[] = ['keep', 'one'];
const MODE_NAMES: Record<Mode, string> = { keep: 'many messages a connection', one: 'one message a connection' };

const { values } = parseArgs({
  options: {
    rounds: { type: 'string', default: '5' },
    sessions: { type: 'string', default: '50' },
    size: { type: 'string', default: '4096' },
    messages: { type: 'string', default: '20000' },
    'peer-messages': { type: 'string', default: '4000' },
    'warm-up': { type: 'string', default: '2000' },
    'with-plugins': { type: 'boolean', default: false },
  },
});
const sessions = Number(values.sessions);
const messageBytes = Number(values.size);
const warmUp = Number(values['warm-up']);

/** Enough for a round of some seconds on each side; rates and CPU are for each message, so they need not be the same. */
function messagesOf(side: SmtpSide): number {
  return Number(side === 'postfix' ? values['peer-messages'] : values.messages);
}

/** The two modes one after the other on a fresh server that is warm. */
async function measureModes(side: SmtpSide, port: number, cpu: CpuGroup): Promise<Record<Mode, Rate>> {
  const load = { port, sessions, messageBytes };
  for (const mode of MODES) await runSmtpSource({ ...load, mode, messages: warmUp / 2 });
  const rates: Partial<Record<Mode, Rate>> = {};
  for (const mode of MODES) {
    const messages = messagesOf(side);
    rates[mode] = await rateOf(cpu, messages, () => runSmtpSource({ ...load, mode, messages }));
  }
  return rates as Record<Mode, Rate>;
}

/** @throws Error when the queue on disk does not hold exactly what was acknowledged: then the figures mean nothing. */
function checkCount(side: SmtpSide, found: number): void {
  const sent = warmUp + MODES.length * messagesOf(side);
  if (found !== sent) throw new Error(`${side}: ${sent} messages were acknowledged, ${found} are in the queue`);
}

async function measureSide(side: SmtpSide): Promise<Record<Mode, Rate>> {
  if (side === 'postfix') {
    return withServer(
      side,
      (wrap) => startPostfix({ mail: 'hold', sessions, wrap }),
      async (postfix, cpu) => {
        const rates = await measureModes(side, postfix.port, cpu);
        checkCount(side, postfix.queued());
        return rates;
      },
    );
  }
  let stopped: { dataFolder: string; remove(): void } | undefined;
  try {
    const rates = await withServer(
      'posthorn',
      async (wrap) => (stopped = await startRelay({ plugins: side === 'posthorn+plugins' }, wrap)),
      (posthorn, cpu) => measureModes(side, posthorn.ports.smtp, cpu),
    );
    const { messages, damaged } = await countQueued(stopped!.dataFolder);
    if (damaged.length > 0) throw new Error(`damaged records: ${damaged.join('; ')}`);
    checkCount(side, messages);
    return rates;
  } finally {
    stopped?.remove();
  }
}

await install(['postfix']);
const sides: SmtpSide[] = ['posthorn', ...(values['with-plugins'] ? (['posthorn+plugins'] as const) : []), 'postfix'];
const recorder = await Recorder.open('accept', { ...values, sides });
const results = await alternate(sides, Number(values.rounds), async (side, round) => {
  const rates = await measureSide(side);
  for (const mode of MODES) recorder.write('round', { round, side, mode, ...rates[mode] });
  console.log(`round ${round + 1} ${side}: ${MODES.map((mode) => `${mode} ${tellRate(rates[mode])}`).join(', ')}`);
  return rates;
});

const groups = Object.fromEntries(
  MODES.map((mode) => [
    MODE_NAMES[mode],
    Object.fromEntries(sides.map((side) => [side, results[side].map((rates) => rates[mode])])) as Record<SmtpSide, Rate[]>,
  ]),
);
recorder.finish(compare(recorder, 'messages', 'postfix', groups));
