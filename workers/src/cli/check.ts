/**
 * `posthorn check [FILE]`: reads everything the server would read at its start, and says what is wrong with it: exit
 * code 1 then. Warns of aliases that lead to nobody, and of promises that could not be kept. Changes nothing and starts nothing.
 */
import { statSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { type Config, explain, problemsInFile } from '@posthorn/config';
import { createDirectory } from '@posthorn/core/directory/domains';
import type { Command } from 'commander';
import type { LoadedPlugin } from '../plugin/loader.ts';
import { readConfig, readUsers } from '../supervisor/settings.ts';
import { readTls } from '../supervisor/tls-files.ts';
import { CliError, warn } from './common.ts';
import { hiddenCertificates } from './hidden-certificates.ts';

export function addCheck(program: Command): void {
  program
    .command('check')
    .description('check a configuration, its users, certificate and plugins')
    .argument('[file]', 'configuration', './posthorn.yaml')
    .action(async (file: string) => {
      const config = readConfig(file);
      const users = readUsers(config);
      for (const text of [...(await tlsWarnings(config)), ...unkeepable(config), ...readableSecrets(config)])
        warn(`warning: ${text}`);
      const plugins = await readPlugins(config, file);
      await checkLogins(config);
      for (const text of deadEnds(config, users)) warn(`warning: ${text}`);
      const names = plugins.length === 0 ? 'no plugins' : `plugins ${plugins.map(({ manifest }) => manifest.name).join(', ')}`;
      process.stdout.write(
        `${file} is fine: ${count(users.length, 'user')}, ${count(Object.keys(config.domains).length, 'domain')}, ${names}\n`,
      );
    });
}

/** @throws CliError when the source of users or the check of tokens cannot be made; neither is asked. */
async function checkLogins(config: Config): Promise<void> {
  const { openUserSource } = await import('../user-source.ts');
  const { bearerCheckOf } = await import('../session/logins.ts');
  try {
    await openUserSource(config);
    bearerCheckOf(config);
  } catch (error) {
    throw new CliError(error instanceof Error ? error.message : String(error), { cause: error });
  }
}

/** A certificate that ends soon, or is never shown: nothing that keeps a server from starting. */
async function tlsWarnings(config: Config): Promise<string[]> {
  const { identities, listeners } = await readTls(config);
  const own = Object.values(listeners).map((one) => one.identities ?? []);
  const ends = [identities, ...own].flat().flatMap(({ names: [name = 'a certificate'], endsAtMs }) => {
    const daysLeft = Math.floor((endsAtMs - Date.now()) / 86_400_000);
    if (daysLeft >= 14) return [];
    return [daysLeft < 0 ? `the certificate of ${name} has expired` : `the certificate of ${name} ends in ${daysLeft} days`];
  });
  return [...new Set([...ends, ...[identities, ...own].flatMap(hiddenCertificates)])];
}

/** REQUIRETLS is offered, and nothing goes out with TLS: such mail is taken, and comes back. */
function unkeepable({ relay, listeners }: Config): string[] {
  if (relay.tls !== 'never') return [];
  return listeners
    .filter(({ protocol, requests }) => protocol !== 'pop3' && requests.requireTls)
    .map(({ name }) => `listener ${name} takes mail with REQUIRETLS, which bounces (5.7.10): relay.tls is never`);
}

/** Private keys, passwords, and what can be played with hashes of them. */
function readableSecrets({ tls, listeners, users, auth: { oauth } }: Config): string[] {
  const entries = [...tls.certificates, ...listeners.flatMap((one) => one.certificates ?? [])];
  return [tls.key, ...entries.map(({ key }) => key), tls.ticketSecret, users, oauth?.clientSecretFile]
    .filter((file) => file !== undefined && ((statSync(file, { throwIfNoEntry: false })?.mode ?? 0) & 0o004) !== 0)
    .map((file) => `${file} holds secrets, and everybody on this machine can read it`);
}

/**
 * Loads the plugins, starting none.
 * @throws CliError with the lines of the file for options that do not do, PluginError for what else is wrong
 */
async function readPlugins(config: Config, file: string): Promise<LoadedPlugin[]> {
  // Loaded late: plugins bring large libraries along.
  const { loadPlugins } = await import('../plugin/loader.ts');
  const { PluginError } = await import('../plugin/entries.ts');
  try {
    return await loadPlugins(config.plugins, dirname(resolve(file)));
  } catch (error) {
    const options = error instanceof PluginError ? error.options : undefined;
    const problems = options === undefined ? [] : problemsInFile(file, options.index, options.findings);
    throw problems.length === 0 ? error : new CliError(explain(problems).trimEnd(), { cause: error });
  }
}

function count(many: number, noun: string): string {
  return `${many} ${noun}${many === 1 ? '' : 's'}`;
}

/** Aliases and catch-alls behind which nobody is: no error, since a user may come later, and mail is rejected until then. */
function deadEnds(config: Config, users: ReturnType<typeof readUsers>): string[] {
  const directory = createDirectory({ domains: config.domains, users });
  const found: string[] = [];
  for (const [domain, { aliases, catchAll, deliver }] of Object.entries(config.domains)) {
    for (const local of Object.keys(aliases)) {
      if (directory.resolve(`${local}@${domain}`).is === 'unknown')
        found.push(`domains.${domain}.aliases.${local} leads to nobody`);
    }
    const anybody = `no-such-user-${Date.now()}@${domain}`;
    if (deliver === 'maildir' && catchAll !== null && directory.resolve(anybody).is === 'unknown') {
      found.push(`domains.${domain}.catchAll: there is no ${catchAll}`);
    }
  }
  return found;
}
