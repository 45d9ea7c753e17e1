/**
 * How fast mail is accepted durably: smtp-source against Posthorn and against Postfix on the same disk, alternating.
 * Relay configuration. `--after discard` (the default): both queues work as they do in service, and hand each message to a
 * transport that throws it away; a round ends when the queue is empty. `--after hold`: nothing wakes on either side, and
 * every message is counted in the queue on disk afterwards.
 * `npm run bench:accept -- [--rounds 5] [--sessions 50] [--after hold] [--with-plugins]`; see docs/bench.md.
 */
import { setTimeout } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { askServer } from '@posthorn/workers/control/client';
import { install } from '../test/lib/peers/install.ts';
import { startPostfix } from '../test/lib/peers/postfix.ts';
import { countQueued } from '../test/lib/queue-on-disk.ts';
import type { CpuGroup } from './lib/cpu.ts';
import { type Rate, compare, rateOf, tellRate } from './lib/compare.ts';
import { startFilterDns, teachBayes } from './lib/filters.ts';
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
    after: { type: 'string', default: 'discard' },
    'with-plugins': { type: 'boolean', default: false },
  },
});
const sessions = Number(values.sessions);
const messageBytes = Number(values.size);
const warmUp = Number(values['warm-up']);
const held = values.after === 'hold';

/** Enough for a round of some seconds on each side; rates and CPU are for each message, so they need not be the same. */
function messagesOf(side: SmtpSide): number {
  return Number(side === 'postfix' ? values['peer-messages'] : values.messages);
}

/** The two modes one after the other on a fresh server that is warm. */
async function measureModes(
  side: SmtpSide,
  port: number,
  cpu: CpuGroup,
  emptied: () => Promise<void>,
): Promise<Record<Mode, Rate>> {
  const load = { port, sessions, messageBytes };
  for (const mode of MODES) await runSmtpSource({ ...load, mode, messages: warmUp / 2 });
  await emptied();
  const rates: Partial<Record<Mode, Rate>> = {};
  for (const mode of MODES) {
    const messages = messagesOf(side);
    rates[mode] = await rateOf(cpu, messages, async () => {
      await runSmtpSource({ ...load, mode, messages });
      await emptied();
    });
  }
  return rates as Record<Mode, Rate>;
}

/** Held mail stays; else it waits until delivery has dealt with everything. */
async function untilEmpty(count: () => Promise<number>): Promise<void> {
  while (!held && (await count()) > 0) await setTimeout(100);
}

async function waitingIn(dataFolder: string): Promise<number> {
  let waiting = 0;
  for await (const status of askServer(dataFolder, { ask: 'status' })) waiting += status.waiting + status.active;
  return waiting;
}

/** @throws Error when the queue on disk does not hold exactly what was acknowledged: then the figures mean nothing. */
function checkCount(side: SmtpSide, found: number): void {
  const sent = held ? warmUp + MODES.length * messagesOf(side) : 0;
  if (found !== sent) throw new Error(`${side}: expected ${sent} messages in the queue, found ${found}`);
}

async function measureSide(side: SmtpSide): Promise<Record<Mode, Rate>> {
  if (side === 'postfix') {
    return withServer(
      side,
      (wrap) => startPostfix({ mail: held ? 'hold' : 'discard', sessions, wrap }),
      async (postfix, cpu) => {
        const rates = await measureModes(side, postfix.port, cpu, () => untilEmpty(() => Promise.resolve(postfix.queued())));
        checkCount(side, postfix.queued());
        return rates;
      },
    );
  }
  const filters = side === 'posthorn+plugins' && filterDns !== undefined ? { filterDns } : {};
  let stopped: { dataFolder: string; remove(): void } | undefined;
  try {
    const rates = await withServer(
      'posthorn',
      async (wrap) => (stopped = await startRelay({ ...(held ? {} : { relayPort: 'discard' }), ...filters }, wrap)),
      async (posthorn, cpu) => {
        if ('filterDns' in filters) await teachBayes(posthorn);
        return measureModes(side, posthorn.ports.smtp, cpu, () => untilEmpty(() => waitingIn(posthorn.dataFolder)));
      },
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
const filterDns = values['with-plugins'] ? await startFilterDns() : undefined;
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
await filterDns?.close();
