/**
 * `posthorn user add|password|list|remove`: edits users.yaml, keeping its comments, and has a running server read it
 * again. Passwords come from standard input or are made up and shown once; never from the command line, where other
 * users of the machine could read them.
 */
import { ADDRESS, changeUsers, explain, type Config, USER_NAME, type UserEntry } from '@posthorn/config';
import type { Command } from 'commander';
import { readUsers } from '../supervisor/settings.ts';
import { CliError, CONFIG_OPTION, configOf, readPassword } from './common.ts';

interface Options {
  readonly config?: string;
  readonly address?: string[];
  readonly passwordStdin?: true;
}

const PASSWORD_OPTION = ['--password-stdin', 'read the password from standard input instead of making one up'] as const;

export function addUser(program: Command): void {
  const user = program.command('user').description('who may log in, and which addresses are theirs');
  user
    .command('add')
    .description('add a user')
    .argument('<name>')
    .option('-a, --address <address...>', 'addresses of the user (default: NAME, or NAME at each local domain)')
    .option(...PASSWORD_OPTION)
    .option(...CONFIG_OPTION)
    .action(async (name: string, options: Options) => {
      const config = configOf(options);
      if (find(config, name) !== undefined)
        throw new CliError(`there is a user ${name} already; \`posthorn user password ${name}\` changes the password`);
      if (!USER_NAME.test(name))
        throw new CliError(`"${name}" cannot be a user's name: letters, digits and . _ - + = only, or an address`);
      const addresses = options.address ?? defaultAddresses(name, config);
      const wrong = addresses.find((address) => !ADDRESS.test(address));
      if (wrong !== undefined) throw new CliError(`"${wrong}" is no address`);
      await savePassword(config, { name, addresses }, 'add', options);
      process.stdout.write(
        `${name} gets the mail of ${addresses.length === 0 ? 'no address yet: give one with --address' : addresses.join(', ')}\n`,
      );
      await reload(config);
    });
  user
    .command('password')
    .description('set a new password')
    .argument('<name>')
    .option(...PASSWORD_OPTION)
    .option(...CONFIG_OPTION)
    .action(async (name: string, options: Options) => {
      const config = configOf(options);
      const { passwordHash: _old, ...kept } = mustFind(config, name);
      await savePassword(config, kept, 'set', options);
      await reload(config);
    });
  user
    .command('list')
    .description('list users and their addresses')
    .option(...CONFIG_OPTION)
    .action((options: Options) => {
      for (const { name, addresses } of readUsers(configOf(options)))
        process.stdout.write(`${[name, ...addresses].join('  ')}\n`);
    });
  user
    .command('remove')
    .description('remove a user; the mail stays in its folder')
    .argument('<name>')
    .option(...CONFIG_OPTION)
    .action(async (name: string, options: Options) => {
      const config = configOf(options);
      change(config, { remove: mustFind(config, name).name });
      process.stdout.write(`${name} is removed\n`);
      await reload(config);
    });
}

function defaultAddresses(name: string, config: Config): string[] {
  if (name.includes('@')) return [name];
  return Object.entries(config.domains).flatMap(([domain, { deliver }]) => (deliver === 'maildir' ? [`${name}@${domain}`] : []));
}

function find(config: Config, name: string): UserEntry | undefined {
  return readUsers(config).find((user) => user.name.toLowerCase() === name.toLowerCase());
}

function mustFind(config: Config, name: string): UserEntry {
  const user = find(config, name);
  if (user === undefined) throw new CliError(`there is no user ${name} in ${config.users}`);
  return user;
}

async function savePassword(
  config: Config,
  user: Omit<UserEntry, 'passwordHash'>,
  how: 'add' | 'set',
  options: Options,
): Promise<void> {
  const { generatePassword } = await import('../supervisor/first-run.ts');
  const { hashPassword } = await import('@posthorn/core/auth/password');
  const given = options.passwordStdin === true ? await readPassword() : undefined;
  const password = given ?? generatePassword();
  const entry = { ...user, passwordHash: await hashPassword(password) };
  change(config, how === 'add' ? { add: entry } : { set: entry });
  process.stdout.write(
    given === undefined ? `password of ${user.name}: ${password} (shown only now)\n` : `password of ${user.name} is set\n`,
  );
}

function change(config: Config, what: Parameters<typeof changeUsers>[1]): void {
  const result = changeUsers(config.users, what);
  if (!result.ok) throw new CliError(explain(result.problems).trimEnd());
}

/** A running server learns of the change at once; without one there is nothing to do. */
async function reload(config: Config): Promise<void> {
  const { askServer, NoServerError } = await import('../control/client.ts');
  try {
    for await (const part of askServer(config.data, { ask: 'reload' })) void part;
    process.stdout.write('the running server knows\n');
  } catch (error) {
    if (!(error instanceof NoServerError))
      throw new CliError(`saved, but the running server did not take it: ${String(error)}`, { cause: error });
  }
}
