/**
 * Rounds of several servers turned into medians and ratios: one row for each server in each group (a mode, a load), the
 * ratios taken round by round against the peer. Written to the record and returned as a table.
 */
import type { CpuGroup } from './cpu.ts';
import { type Recorder, measured } from './run.ts';
import { median, pairRatios, spread } from './stats.ts';
import { formatTable } from './table.ts';

/** What one round found out about one server. */
export interface Rate {
  /** Messages or sessions. */
  readonly units: number;
  readonly perSecond: number;
  readonly cpuPerThousand: number;
}

/** Rate and CPU of the servers in `cpu` while `work` gets `units` done. */
export async function rateOf(cpu: CpuGroup, units: number, work: () => Promise<void>): Promise<Rate> {
  const { seconds, cpuSeconds } = await measured(cpu, work);
  return { units, perSecond: units / seconds, cpuPerThousand: (cpuSeconds / units) * 1000 };
}

/** For the line that is printed after each round. */
export function tellRate(rate: Rate): string {
  return `${rate.perSecond.toFixed(0)}/s ${rate.cpuPerThousand.toFixed(3)} CPU s`;
}

/**
 * @param unit `messages` or `sessions`.
 * @param peer the side that the others are compared with.
 * @param groups name -> side -> rates, as many for each side.
 */
export function compare<Side extends string>(
  recorder: Recorder,
  unit: string,
  peer: Side,
  groups: Readonly<Record<string, Readonly<Record<Side, readonly Rate[]>>>>,
): string {
  const rows: string[][] = [];
  for (const [group, bySide] of Object.entries(groups)) {
    const rates = (side: Side) => bySide[side].map((rate) => rate.perSecond);
    const costs = (side: Side) => bySide[side].map((rate) => rate.cpuPerThousand);
    for (const side of Object.keys(bySide) as Side[]) {
      const faster = pairRatios(rates(side), rates(peer));
      const cheaper = pairRatios(costs(peer), costs(side));
      const [perSecond, cpuPerThousand] = [median(rates(side)), median(costs(side))];
      recorder.write('summary', {
        group,
        side,
        unit,
        peer,
        perSecond,
        cpuPerThousand,
        timesFaster: median(faster),
        timesCheaper: median(cheaper),
      });
      rows.push([group, side, spread(rates(side), 0), spread(costs(side), 3), spread(faster), spread(cheaper)]);
    }
  }
  const head = ['', 'server', `${unit}/s`, 'CPU s per 1,000', `rate, times ${peer}`, `per CPU second, times ${peer}`];
  return `${formatTable(head, rows)}\nMedian (lowest to highest) of the rounds; ratios round by round.`;
}
