/**
 * Which changed keys of the configuration a reload does not take up: what is made once in the life of a process, such as
 * the store and its threads. Called after each reload, so that no change is dropped in silence. Pure.
 */
import type { Config } from '@posthorn/config';

/** Keys, or whole mappings, that are read at the start only. */
const AT_START = ['hostname', 'data', 'dns', 'queue', 'throughput', 'log'] as const satisfies readonly (keyof Config)[];
/** What is within them and yet taken up by a reload. */
const AT_RELOAD: ReadonlySet<string> = new Set([
  'throughput.deliveryConcurrency',
  'throughput.deliveryConcurrencyPerDestination',
]);

/**
 * @param inForce what the server was started with
 * @param wanted what the file says now
 * @returns paths of keys, such as `queue.retry`
 */
export function needsRestart(inForce: Config, wanted: Config): string[] {
  return AT_START.flatMap((key) => changed(key, inForce[key], wanted[key])).filter((path) => !AT_RELOAD.has(path));
}

function changed(path: string, before: unknown, after: unknown): string[] {
  if (isMapping(before) && isMapping(after)) {
    return Object.keys(after).flatMap((key) => changed(`${path}.${key}`, before[key], after[key]));
  }
  return JSON.stringify(before) === JSON.stringify(after) ? [] : [path];
}

function isMapping(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
