/**
 * Reads posthorn.yaml: text -> YAML -> schema -> combinations -> paths made absolute. Called by every command and by
 * the supervisor at start and reload. Gives the whole configuration, frozen and plain (it is cloned to other threads),
 * or every problem that was found; never half of one, and never an exception for what an operator wrote.
 */
import { hostname } from 'node:os';
import { dirname, resolve } from 'node:path';
import { checkCombinations } from './checks.ts';
import { checkShape, inOrder } from './issues.ts';
import type { Problem } from './problem.ts';
import { configSchema, type Config } from './schema.ts';
import { parseYaml, readText } from './yaml-source.ts';

export type LoadResult =
  | { readonly ok: true; readonly config: Config }
  /** In the order of the file; at least one. */
  | { readonly ok: false; readonly problems: readonly Problem[] };

/** Thousands of aliases fit; a log file given by mistake does not. */
const MAX_FILE_BYTES = 4 * 1024 * 1024;

/** Reads and checks a file. @param file path, absolute or relative to the working directory */
export function loadConfig(file: string): LoadResult {
  const read = readText(file, MAX_FILE_BYTES);
  return read.ok ? parseConfig(read.text, file) : read;
}

/**
 * Checks a configuration that is in memory already.
 * @param text YAML
 * @param file its name for messages; relative paths in it are resolved against its folder
 * @param machineName hostname for a file that sets none
 */
export function parseConfig(text: string, file: string, machineName: string = hostname()): LoadResult {
  const parsed = parseYaml(text, file);
  if (!parsed.ok) return parsed;
  const { source } = parsed;
  const shaped = checkShape(configSchema, source);
  if (!shaped.ok) return shaped;
  const config: Config = { ...shaped.value, hostname: shaped.value.hostname ?? machineName };
  const problems: Problem[] = [];
  checkCombinations(config, (path, spot, message, hint) => problems.push(source.problem(path, spot, message, hint)));
  if (problems.length > 0) return { ok: false, problems: inOrder(problems) };
  return { ok: true, config: freeze(withAbsolutePaths(config, dirname(resolve(file)))) };
}

function withAbsolutePaths(config: Config, folder: string): Config {
  const absolute = (path: string | undefined) => (path === undefined ? undefined : resolve(folder, path));
  const pair = <P extends { readonly certificate: string; readonly key: string }>(one: P): P => ({
    ...one,
    certificate: resolve(folder, one.certificate),
    key: resolve(folder, one.key),
  });
  const { tls, auth } = config;
  return {
    ...config,
    data: resolve(folder, config.data),
    users: resolve(folder, config.users),
    tls: {
      ...tls,
      certificate: absolute(tls.certificate),
      key: absolute(tls.key),
      certificates: tls.certificates.map(pair),
      ticketSecret: absolute(tls.ticketSecret),
    },
    auth: {
      ...auth,
      source: auth.source === null ? null : sourceWithPaths(auth.source, folder),
      oauth: auth.oauth === null ? null : { ...auth.oauth, clientSecretFile: absolute(auth.oauth.clientSecretFile) },
    },
    listeners: config.listeners.map((listener) => ({
      ...listener,
      certificates: listener.certificates?.map(pair),
      clientCa: absolute(listener.clientCa),
      clientCrl: absolute(listener.clientCrl),
    })),
    plugins: config.plugins.map((entry) => {
      if (typeof entry === 'string') return pluginName(entry, folder);
      return Object.fromEntries(Object.entries(entry).map(([name, options]) => [pluginName(name, folder), options]));
    }),
  };
}

/** Options of a source that end in `File` are paths. */
function sourceWithPaths(
  source: Record<string, Record<string, unknown>>,
  folder: string,
): Record<string, Record<string, unknown>> {
  const option = ([key, value]: [string, unknown]) => [
    key,
    key.endsWith('File') && typeof value === 'string' ? resolve(folder, value) : value,
  ];
  return Object.fromEntries(
    Object.entries(source).map(([name, options]) => [
      pluginName(name, folder),
      Object.fromEntries(Object.entries(options).map(option)) as Record<string, unknown>,
    ]),
  );
}

/** A plugin is named by its package, or by a file: what begins with a dot or a slash, or ends as code does. */
function pluginName(name: string, folder: string): string {
  return /^\.{0,2}\/|\.[cm]?[jt]s$/.test(name) ? resolve(folder, name) : name;
}

function freeze<T>(value: T): T {
  if (typeof value !== 'object' || value === null || Object.isFrozen(value)) return value;
  for (const inner of Object.values(value)) freeze(inner);
  return Object.freeze(value);
}
