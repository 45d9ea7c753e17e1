/**
 * The `plugins` list of the configuration, taken apart: for each entry the key that names the plugin, what every plugin
 * may be told (mode, onFailure, deadlineMs, isolation), and the plugin's own options. Pure; used by loader.ts.
 */
import { checkValue, duration, type Finding, findingsText } from '@posthorn/config';
import type { OnFailure, PluginMode } from '@posthorn/core/hook/contract';
import { z } from '@posthorn/sdk';

/** An entry as the operator writes it: a name, or one name with its options. */
export type RawPluginEntry = string | Readonly<Record<string, Readonly<Record<string, unknown>> | null>>;

export interface PluginEntry {
  /** A short name (`bayes`, `senderAuth`) or a file (`./plugins/my-filter.ts`). */
  readonly key: string;
  /** Its place in the list. */
  readonly index: number;
  /** How errors call it: `plugins[2] (bayes)`. */
  readonly where: string;
  readonly mode: PluginMode;
  readonly onFailure: OnFailure | undefined;
  readonly deadlineMs: number | undefined;
  readonly isolation: 'inline' | 'compute' | 'wait' | undefined;
  readonly options: Readonly<Record<string, unknown>>;
}

/** A plugin that cannot be loaded or configured: the server does not start, or keeps its old configuration. */
export class PluginError extends Error {
  override readonly name = 'PluginError';
  /** What is wrong with the entry's options, where that is it. */
  readonly options: { readonly index: number; readonly findings: readonly Finding[] } | undefined;

  constructor(message: string, more: { readonly cause?: unknown; readonly options?: PluginError['options'] } = {}) {
    super(message, 'cause' in more ? { cause: more.cause } : undefined);
    this.options = more.options;
  }
}

/** @throws PluginError that carries the findings, so that `posthorn check` can show their places. */
export function badOptions({ where, index }: Pick<PluginEntry, 'where' | 'index'>, findings: readonly Finding[]): PluginError {
  return new PluginError(`${where}: ${findingsText(findings)}`, { options: { index, findings } });
}

const common = z.object({
  mode: z.enum(['enforce', 'shadow']).default('enforce'),
  onFailure: z.enum(['defer', 'pass']).optional(),
  deadlineMs: duration.refine((ms) => ms <= 600_000, { error: 'expected a duration of at most 10m' }).optional(),
  isolation: z.enum(['inline', 'compute', 'wait']).optional(),
});

/** Keys that every plugin's entry may have. */
export const COMMON_KEYS: readonly string[] = Object.keys(common.shape);

/**
 * Reads the whole list.
 * @throws PluginError naming entry and key.
 */
export function readEntries(list: readonly RawPluginEntry[]): PluginEntry[] {
  return list.map((raw, index) => {
    const [pair, ...more] = typeof raw === 'string' ? [[raw, null] as const] : Object.entries(raw);
    if (pair === undefined || more.length > 0)
      throw new PluginError(`plugins[${index}]: expected one plugin name with its options`);
    const [key, given] = pair;
    const where = `plugins[${index}] (${key})`;
    const checked = checkValue(common, given ?? {});
    if (!checked.ok) throw badOptions({ where, index }, checked.findings);
    const { mode, onFailure, deadlineMs, isolation } = checked.value;
    const options = Object.fromEntries(Object.entries(given ?? {}).filter(([name]) => !(name in common.shape)));
    return { key, index, where, mode, onFailure, deadlineMs, isolation, options };
  });
}
