/**
 * In which order plugins count, and when each is asked. The order is that of the configuration, changed only as far
 * as `reads` demands. When they are asked is cut into rounds: in each, first the inline plugins in place, then one hop
 * to the threads for all threaded ones. A second round is there only when somebody reads what a hop brought.
 */
import type { PluginManifest } from './contract.ts';

/** Plugins (positions in the ordered list) that are asked at the same time. */
export interface Round {
  readonly inline: readonly number[];
  readonly threaded: readonly number[];
}

/** The configured plugins cannot be brought into an order; the server does not start. */
export class OrderError extends Error {
  override readonly name = 'OrderError';
}

/**
 * Sorts so that every plugin stands behind those it reads, otherwise as given.
 * @returns positions in `plugins`.
 * @throws OrderError naming the plugins that read each other in a ring.
 */
export function orderPlugins(plugins: readonly PluginManifest[]): number[] {
  const byName = new Map(plugins.map(({ name }, index) => [name, index]));
  const ordered: number[] = [];
  const state = new Map<number, 'visiting' | 'done'>();
  const visit = (index: number, path: readonly string[]): void => {
    const { name, reads } = plugins[index]!;
    if (state.get(index) === 'done') return;
    if (state.get(index) === 'visiting') {
      throw new OrderError(`plugins read each other in a ring: ${[...path.slice(path.indexOf(name)), name].join(' reads ')}`);
    }
    state.set(index, 'visiting');
    const needed = reads.map((read) => byName.get(read)).filter((read) => read !== undefined);
    for (const read of needed.toSorted((a, b) => a - b)) visit(read, [...path, name]);
    state.set(index, 'done');
    ordered.push(index);
  };
  for (const index of plugins.keys()) visit(index, []);
  return ordered;
}

/** Cuts plugins, in the order of `orderPlugins`, into rounds. */
export function cutRounds(plugins: readonly PluginManifest[]): Round[] {
  const rounds: { inline: number[]; threaded: number[] }[] = [];
  const place = new Map<string, { readonly manifest: PluginManifest; readonly round: number }>();
  for (const [position, manifest] of plugins.entries()) {
    let round = 0;
    for (const read of manifest.reads) {
      const source = place.get(read);
      if (source !== undefined) round = Math.max(round, source.round + (waitsForHop(manifest, source.manifest) ? 1 : 0));
    }
    place.set(manifest.name, { manifest, round });
    while (rounds.length <= round) rounds.push({ inline: [], threaded: [] });
    rounds[round]![manifest.run.isolation === 'inline' ? 'inline' : 'threaded'].push(position);
  }
  return rounds;
}

/** Plugins of one pool go in one call, and the thread hands on what they gave; every other reader of a hop waits for it. */
function waitsForHop(reader: PluginManifest, source: PluginManifest): boolean {
  if (source.run.isolation === 'inline') return false;
  return reader.run.isolation === 'inline' || reader.run.pool !== source.run.pool;
}
