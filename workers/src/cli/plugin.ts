/**
 * `posthorn plugin new FILE` and `posthorn plugin try PLUGIN MESSAGE`: a plugin begun, and tried on a recorded message
 * without a server. What `try` shows is what the server would be told: every answer, or how the plugin failed.
 */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { basename, dirname, join, relative, resolve } from 'node:path';
import type { Command } from 'commander';
import { CliError, CONFIG_OPTION, configOf } from './common.ts';

interface TryOptions {
  readonly config?: string;
  readonly from?: string;
  readonly to: readonly string[];
  readonly client?: string;
  readonly helo?: string;
  readonly user?: string;
}

export function addPlugin(program: Command): void {
  const plugin = program.command('plugin').description('begin a plugin, or try one on a recorded message');
  plugin
    .command('new')
    .description('write a plugin to start from, and a tsconfig.json that gives an editor its types')
    .argument('<file>', 'such as ./plugins/my-filter.ts')
    .action(newPlugin);
  plugin
    .command('try')
    .description('run a plugin on a recorded message and show what it says; exit code 1 when it failed')
    .argument('<plugin>', 'a file, or the name of a plugin that comes with Posthorn; options are those of the configuration')
    .argument('<message>', 'a message file')
    .option('--from <address>', 'reverse-path')
    .option('--to <address...>', 'recipients', [])
    .option('--client <address>', 'address of the client')
    .option('--helo <name>', 'what the client called itself')
    .option('--user <name>', 'the user who logged in')
    .option(...CONFIG_OPTION)
    .action(tryOne);
}

async function newPlugin(file: string): Promise<void> {
  const name = basename(file).replace(/\.ts$/, '');
  if (!/^[a-z][a-z0-9-]*$/.test(name))
    throw new CliError(`expected a name of lower case letters, digits and dashes, found "${name}"`);
  const folder = dirname(resolve(file));
  const { newPluginFiles } = await import('@posthorn/sdk/scaffold');
  mkdirSync(folder, { recursive: true });
  for (const one of newPluginFiles(name)) {
    const path = join(folder, one.name);
    if (existsSync(path)) {
      if (one.name === `${name}.ts`) throw new CliError(`${path} is there already`);
      continue;
    }
    writeFileSync(path, one.content, { flag: 'wx' });
    process.stdout.write(`wrote ${path}\n`);
  }
  const path = join(folder, `${name}.ts`);
  const near = relative(process.cwd(), path);
  process.stdout.write(`name it in posthorn.yaml:\n  plugins:\n    - ${near.startsWith('..') ? path : `./${near}`}: {}\n`);
}

async function tryOne(name: string, messageFile: string, options: TryOptions): Promise<void> {
  const config = configOf(options);
  const { loadPlugins } = await import('../plugin/loader.ts');
  const { pluginDirectory } = await import('../plugin/open.ts');
  const { createResolver } = await import('@posthorn/core/dns/resolver');
  const { systemClock } = await import('@posthorn/core/mail/system-clock');
  const { describeTrial, tryPlugin } = await import('@posthorn/sdk/try');
  const { createLog } = await import('../log.ts');
  const wanted = name.includes('/') || name.endsWith('.ts') ? resolve(name) : name;
  const [loaded] = await loadPlugins([entryOf(config.plugins, wanted)], process.cwd());
  if (loaded === undefined) throw new CliError(`${name} is no plugin`);
  const dataDirectory = pluginDirectory(config.data, loaded.manifest.name);
  const recorded = {
    message: readFileSync(messageFile),
    ...(options.from === undefined ? {} : { reversePath: options.from }),
    ...(options.to.length === 0 ? {} : { recipients: options.to }),
    ...(options.client === undefined ? {} : { clientAddress: options.client }),
    ...(options.helo === undefined ? {} : { helo: options.helo }),
    ...(options.user === undefined ? {} : { user: options.user }),
  };
  // The server's clock keeps no process alive, and a hook that never answers has nothing else that would.
  const alive = setInterval(() => undefined, 60_000);
  let tried;
  try {
    tried = await tryPlugin(loaded.plugin, recorded, {
      options: loaded.options,
      dns: createResolver({ ...config.dns, clock: systemClock }),
      clock: systemClock,
      log: createLog({ level: 'warn', format: 'pretty', fields: {} }),
      hostname: config.hostname,
      get dataDirectory() {
        mkdirSync(dataDirectory, { recursive: true, mode: 0o700 });
        return dataDirectory;
      },
    });
  } finally {
    clearInterval(alive);
  }
  process.stdout.write(`${describeTrial(tried)}\n`);
  if (tried.some(({ outcome }) => 'failed' in outcome)) process.exitCode = 1;
}

/** The plugin's entry in the configuration, with its options; a bare one when it is not named there. */
function entryOf(entries: ReturnType<typeof configOf>['plugins'], wanted: string): (typeof entries)[number] {
  return entries.find((entry) => (typeof entry === 'string' ? entry === wanted : Object.hasOwn(entry, wanted))) ?? wanted;
}
