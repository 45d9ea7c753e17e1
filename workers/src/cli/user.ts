/**
 * `posthorn user add|password|certificate|list|remove`: edits users.yaml, keeping its comments, and has a running server read it
 * again. Passwords come from standard input or are made up and shown once; never from the command line, where other
 * users of the machine could read them.
 */
import { X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { ADDRESS, changeUsers, explain, type Config, USER_NAME, type UserEntry } from '@posthorn/config';
import type { Command } from 'commander';
import { readUsers } from '../supervisor/settings.ts';
import { CliError, CONFIG_OPTION, configOf, readPassword } from './common.ts';

interface Options {
  readonly config?: string;
  readonly address?: string[];
  readonly passwordStdin?: true;
  readonly scram?: boolean;
  readonly secret?: boolean;
}

const PASSWORD_OPTION = ['--password-stdin', 'read the password from standard input instead of making one up'] as const;

const SCRAM_OPTION = ['--no-scram', 'no keys for SCRAM-SHA-256; SCRAM is offered when every user has them'] as const;
const SECRET_OPTION = ['--secret', 'keep the password in clear, too, for CRAM-MD5 and APOP'] as const;

export function addUser(program: Command): void {
  const user = program.command('user').description('who may log in, and which addresses are theirs');
  user
    .command('add')
    .description('add a user')
    .argument('<name>')
    .option('-a, --address <address...>', 'addresses of the user (default: NAME, or NAME at each local domain)')
    .option(...PASSWORD_OPTION)
    .option(...SCRAM_OPTION)
    .option(...SECRET_OPTION)
    .option(...CONFIG_OPTION)
    .action(async (name: string, options: Options) => {
      const config = configOf(options);
      if (find(readUsers(config), name) !== undefined)
        throw new CliError(`there is a user ${name} already; \`posthorn user password ${name}\` changes the password`);
      if (!USER_NAME.test(name))
        throw new CliError(`"${name}" cannot be a user's name: letters, digits and . _ - + = only, or an address`);
      const addresses = options.address ?? defaultAddresses(name, config);
      const wrong = addresses.find((address) => !ADDRESS.test(address));
      if (wrong !== undefined) throw new CliError(`"${wrong}" is no address`);
      const { entry, shown } = await readOrMakePassword(options);
      change(config, { add: { name, addresses, ...entry } });
      process.stdout.write(passwordNotice(name, shown));
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
    .option(...SCRAM_OPTION)
    .option(...SECRET_OPTION)
    .option(...CONFIG_OPTION)
    .action(async (name: string, options: Options) => {
      const config = configOf(options);
      const { entry, shown } = await readOrMakePassword(options);
      // What came of the old password must not stay good beside the new one.
      const to = ({ passwordHash: _hash, scram: _scram, secret: _secret, ...kept }: UserEntry) => ({ ...kept, ...entry });
      const user = mustFind(change(config, { edit: name, to }), name);
      process.stdout.write(passwordNotice(user.name, shown));
      await reload(config);
    });
  user
    .command('certificate')
    .description('let a user log in by a client certificate (EXTERNAL) and by no other; without a file: by none any more')
    .argument('<name>')
    .argument('[file]', 'PEM file of the certificate')
    .option(...CONFIG_OPTION)
    .action(async (name: string, file: string | undefined, options: Options) => {
      const config = configOf(options);
      const fingerprint = file === undefined ? undefined : fingerprintOf(file);
      // Without a list an address in any certificate of the CA would do: what takes them away leaves an empty one.
      const to = (kept: UserEntry) => ({
        ...kept,
        certificates: fingerprint === undefined ? [] : [...new Set([...(kept.certificates ?? []), fingerprint])],
      });
      const user = mustFind(change(config, { edit: name, to }), name);
      const many = user.certificates?.length ?? 0;
      process.stdout.write(
        many === 0
          ? `${user.name} logs in by no certificate; without \`certificates\` in ${config.users} one with an address of his does again\n`
          : `${user.name} has ${many} ${many === 1 ? 'certificate' : 'certificates'}\n`,
      );
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
      const { name: removed } = mustFind(readUsers(config), name);
      change(config, { remove: removed });
      process.stdout.write(`${removed} is removed\n`);
      await reload(config);
    });
}

function defaultAddresses(name: string, config: Config): string[] {
  if (name.includes('@')) return [name];
  return Object.entries(config.domains).flatMap(([domain, { deliver }]) => (deliver === 'maildir' ? [`${name}@${domain}`] : []));
}

function find(users: readonly UserEntry[], name: string): UserEntry | undefined {
  return users.find((user) => user.name.toLowerCase() === name.toLowerCase());
}

function mustFind(users: readonly UserEntry[], name: string): UserEntry {
  const user = find(users, name);
  if (user === undefined) throw new CliError(`there is no user ${name}`);
  return user;
}

/** As PLAIN takes it (RFC 4616 §2); POP3 could carry no control character. */
const MAX_PASSWORD_BYTES = 255;

/**
 * @returns what is stored of the password, and the password where it was made up here.
 * @throws CliError for one that nobody could log in with
 */
async function readOrMakePassword(options: Options) {
  const { generatePassword } = await import('../supervisor/first-run.ts');
  const { hashPassword } = await import('@posthorn/core/auth/password');
  const { formatScramKeys, makeScramKeys } = await import('@posthorn/core/auth/scram-keys');
  const given = options.passwordStdin === true ? await readPassword() : undefined;
  const password = given ?? generatePassword();
  if (Buffer.byteLength(password) > MAX_PASSWORD_BYTES || /\p{Cc}/u.test(password))
    throw new CliError(`a password has no more than ${MAX_PASSWORD_BYTES} bytes and no control characters`);
  if (options.secret === true && !/^[\x20-\x7e]{8,255}$/.test(password))
    throw new CliError('a password for CRAM-MD5 and APOP has 8 to 255 characters of ASCII');
  const entry = {
    passwordHash: await hashPassword(password),
    ...(options.scram === false ? {} : { scram: formatScramKeys(await makeScramKeys(password)) }),
    ...(options.secret === true ? { secret: password } : {}),
  };
  return { entry, shown: given === undefined ? password : undefined };
}

function passwordNotice(name: string, shown: string | undefined): string {
  return shown === undefined ? `password of ${name} is set\n` : `password of ${name}: ${shown} (shown only now)\n`;
}

/** @throws CliError when there is no certificate in the file. */
function fingerprintOf(file: string): string {
  try {
    return new X509Certificate(readFileSync(file)).fingerprint256;
  } catch (error) {
    throw new CliError(`no certificate in ${file}: ${error instanceof Error ? error.message : String(error)}`, { cause: error });
  }
}

/** @returns all users as they are then. */
function change(config: Config, what: Parameters<typeof changeUsers>[1]): readonly UserEntry[] {
  const result = changeUsers(config.users, what);
  if (!result.ok) throw new CliError(explain(result.problems).trimEnd());
  return result.users;
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
