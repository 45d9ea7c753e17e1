/**
 * The `plugins` list of the configuration, taken apart: for each entry the key that names the plugin, what every plugin
 * may be told (mode, onFailure, deadlineMs, isolation), and the plugin's own options. Pure; used by loader.ts.
 */
import type { OnFailure, PluginMode } from '@posthorn/core/hook/contract';
import { z } from '@posthorn/sdk';

/** An entry as the operator writes it: a name, or one name with its options. */
export type RawPluginEntry = string | Readonly<Record<string, Readonly<Record<string, unknown>> | null>>;

export interface PluginEntry {
  /** A short name (`bayes`, `senderAuth`) or a file (`./plugins/my-filter.ts`). */
  readonly key: string;
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
}

const common = z.object({
  mode: z.enum(['enforce', 'shadow']).default('enforce'),
  onFailure: z.enum(['defer', 'pass']).optional(),
  deadlineMs: z.int().min(1).max(600_000).optional(),
  isolation: z.enum(['inline', 'compute', 'wait']).optional(),
});

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
    const checked = common.safeParse(given ?? {});
    if (!checked.success) throw new PluginError(`${where}: ${issuesOf(checked.error)}`);
    const { mode, onFailure, deadlineMs, isolation } = checked.data;
    const options = Object.fromEntries(Object.entries(given ?? {}).filter(([name]) => !(name in common.shape)));
    return { key, where, mode, onFailure, deadlineMs, isolation, options };
  });
}

/** What zod found wrong, as one line with the key in front. */
export function issuesOf(error: z.ZodError): string {
  return error.issues.map((issue) => [issue.path.join('.'), issue.message].filter((part) => part !== '').join(': ')).join('; ');
}
