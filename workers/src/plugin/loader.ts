/**
 * Finds and checks the plugins of the configuration: packages that come with Posthorn by their short name, and files of
 * the operator's own, TypeScript too, without a build step. Called at start and at reload, on the main thread and again
 * on every thread that runs hooks. Whatever is wrong with a plugin shows here, as a PluginError that names entry and
 * key, and never with a message under way.
 */
import { stat } from 'node:fs/promises';
import { resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { CONTRACT_VERSION, type PluginManifest, type PluginMode, STAGES } from '@posthorn/core/hook/contract';
import { checkValue, findingsText, nearest } from '@posthorn/config';
import { type Plugin, z } from '@posthorn/sdk';
import { resolveSdk } from '@posthorn/sdk/resolve';
import { badOptions, COMMON_KEYS, PluginError, type PluginEntry, type RawPluginEntry, readEntries } from './entries.ts';
import { importProblem } from './import-problem.ts';

/** Packages an operator names by their short name, `sender-auth` or `senderAuth`. */
const BUNDLED: Readonly<Record<string, string>> = {
  bayes: '@posthorn/bayes',
  clamav: '@posthorn/clamav',
  'sender-auth': '@posthorn/sender-auth',
};

export interface LoadedPlugin {
  readonly plugin: Plugin;
  /** With what the configuration says in place of the plugin's own. */
  readonly manifest: PluginManifest;
  readonly mode: PluginMode;
  /** Checked by the plugin's schema, defaults filled in. */
  readonly options: unknown;
}

const manifestSchema = z.object({
  name: z.string().regex(/^[a-z][a-z0-9-]*$/, 'expected lower case letters, digits and dashes'),
  version: z.string().min(1),
  run: z.union(
    [
      z.object({ isolation: z.literal('inline') }),
      z.object({ isolation: z.literal('thread'), pool: z.enum(['compute', 'wait']) }),
    ],
    { error: 'expected inline, compute or wait' },
  ),
  stages: z.array(z.enum(STAGES)),
  reads: z.array(z.string()),
  onFailure: z.enum(['defer', 'pass']),
  deadlineMs: z.int().min(1).max(600_000),
});

/**
 * Loads all plugins of the list; nothing of them is started yet.
 * @param baseDirectory where the configuration file is; files are named relative to it.
 * @throws PluginError
 */
export async function loadPlugins(list: readonly RawPluginEntry[], baseDirectory: string): Promise<LoadedPlugin[]> {
  const loaded: LoadedPlugin[] = [];
  for (const entry of readEntries(list)) {
    const one = checkPlugin(entry, await importPlugin(entry, baseDirectory));
    if (loaded.some(({ manifest }) => manifest.name === one.manifest.name)) {
      throw new PluginError(`${entry.where}: there is a plugin named ${one.manifest.name} already`);
    }
    loaded.push(one);
  }
  return loaded;
}

/**
 * What changes when a plugin's file does: two lists that are alike need no new plugins only when this is alike too.
 * A file that is not there counts as well; loading says what is wrong with it.
 */
export async function filesStamp(list: readonly RawPluginEntry[], baseDirectory: string): Promise<string> {
  const files = readEntries(list).filter(isFile);
  const times = files.map(async ({ key }) => {
    try {
      return (await stat(resolve(baseDirectory, key))).mtimeMs;
    } catch (error) {
      return String(error);
    }
  });
  return (await Promise.all(times)).join(' ');
}

function isFile({ key }: PluginEntry): boolean {
  return /^\.{0,2}\/|\.[cm]?[jt]s$/.test(key);
}

async function importPlugin(entry: PluginEntry, baseDirectory: string): Promise<unknown> {
  const specifier = isFile(entry) ? await fileUrl(entry, baseDirectory) : packageOf(entry);
  try {
    const module = (await import(specifier)) as { readonly default?: unknown };
    return module.default;
  } catch (error) {
    throw new PluginError(`${entry.where}: cannot be loaded: ${importProblem(error)}`, { cause: error });
  }
}

function packageOf({ key, where }: PluginEntry): string {
  const name = key.replaceAll(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
  const specifier = Object.hasOwn(BUNDLED, name) ? BUNDLED[name] : undefined;
  if (specifier === undefined) {
    const close = nearest(name, Object.keys(BUNDLED));
    const hint = close === undefined ? '' : `; did you mean "${close}"?`;
    throw new PluginError(
      `${where}: there is no such plugin; expected one of ${Object.keys(BUNDLED).join(', ')} or a file such as ./plugins/${name}.ts${hint}`,
    );
  }
  return specifier;
}

/** The file's time of change is part of the URL, so that a reload sees a changed file. */
async function fileUrl({ key, where }: PluginEntry, baseDirectory: string): Promise<string> {
  const path = resolve(baseDirectory, key);
  try {
    const { mtimeMs } = await stat(path);
    resolveSdk();
    return `${pathToFileURL(path).href}?changed=${mtimeMs}`;
  } catch (error) {
    throw new PluginError(`${where}: cannot read ${path}`, { cause: error });
  }
}

function checkPlugin(entry: PluginEntry, found: unknown): LoadedPlugin {
  const { where } = entry;
  if (typeof found !== 'object' || found === null || !('manifest' in found) || !('hooks' in found)) {
    throw new PluginError(`${where}: its default export is no plugin; expected \`export default definePlugin({ … })\``);
  }
  const plugin = found as Plugin;
  const contract: number = plugin.manifest.contract;
  if (contract !== CONTRACT_VERSION) {
    throw new PluginError(`${where}: was written for contract ${contract}, this server speaks ${String(CONTRACT_VERSION)}`);
  }
  for (const stage of plugin.manifest.stages as readonly string[]) {
    if ((STAGES as readonly string[]).includes(stage)) continue;
    const close = nearest(stage, STAGES);
    const hint = close === undefined ? `the stages are ${STAGES.join(', ')}` : `did you mean "${close}"?`;
    throw new PluginError(`${where}: it has a hook for "${stage}", which is no stage; ${hint}`);
  }
  if (plugin.manifest.stages.length === 0) throw new PluginError(`${where}: it has no hooks`);
  const manifest = checkValue(manifestSchema, plugin.manifest);
  if (!manifest.ok) throw new PluginError(`${where}: bad plugin: ${findingsText(manifest.findings)}`);
  for (const stage of manifest.value.stages) {
    if (typeof plugin.hooks[stage] !== 'function') throw new PluginError(`${where}: its hook for ${stage} is no function`);
  }
  const options = checkValue(plugin.options, entry.options, COMMON_KEYS);
  if (!options.ok) throw badOptions(entry, options.findings);
  const { isolation } = entry;
  return {
    plugin,
    manifest: {
      ...manifest.value,
      contract: CONTRACT_VERSION,
      onFailure: entry.onFailure ?? manifest.value.onFailure,
      deadlineMs: entry.deadlineMs ?? manifest.value.deadlineMs,
      run:
        isolation === undefined
          ? manifest.value.run
          : isolation === 'inline'
            ? { isolation }
            : { isolation: 'thread', pool: isolation },
    },
    mode: entry.mode,
    options: options.value,
  };
}
