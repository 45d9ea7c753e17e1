/**
 * The first start without a configuration: makes a small posthorn.yaml, a first user and a password, and says how to
 * send and fetch a first message. Called by `posthorn serve` when it was given no file. Nothing that is there already
 * is ever written over; a start that broke off half-way is taken up by the next one.
 */
import { randomInt } from 'node:crypto';
import { existsSync, writeFileSync } from 'node:fs';
import { hostname } from 'node:os';
import { join, relative } from 'node:path';
import { changeUsers, explain, type ListenerConfig, loadUsers } from '@posthorn/config';
import { hashPassword } from '@posthorn/core/auth/password';
import { formatScramKeys, makeScramKeys } from '@posthorn/core/auth/scram-keys';
import { readConfig, SettingsError } from './settings.ts';

export interface FirstRun {
  readonly configPath: string;
  /** The first user and one of its addresses; undefined when the operator has none. */
  readonly user: { readonly name: string; readonly address: string | undefined } | undefined;
  /** Known only when the user was made just now. */
  readonly password: string | undefined;
}

const CONFIG_NAME = 'posthorn.yaml';
const USERS_NAME = 'users.yaml';
const FIRST_USER = 'postmaster';
/** RFC 2606: a name that is nobody's, for a machine that has only a short one. */
const EXAMPLE_DOMAIN = 'posthorn.example';
/** No letters that look alike. */
const LETTERS = 'abcdefghijkmnpqrstuvwxyz23456789';

/** @returns a password of four groups of five characters: 100 bits. */
export function generatePassword(): string {
  const group = () => Array.from({ length: 5 }, () => LETTERS[randomInt(LETTERS.length)]).join('');
  return [group(), group(), group(), group()].join('-');
}

/**
 * Finds ./posthorn.yaml, or makes it with a first user.
 * @param folder where the files are, usually the working directory
 * @throws SettingsError for files that do not do; the system's error when nothing can be written there
 */
export async function prepareFirstRun(folder: string, machineName: string = hostname()): Promise<FirstRun> {
  const configPath = join(folder, CONFIG_NAME);
  if (existsSync(configPath)) return { configPath, user: firstUser(readConfig(configPath).users), password: undefined };
  const domain = /^[a-z0-9-]+(\.[a-z0-9-]+)+$/i.test(machineName) ? machineName.toLowerCase() : EXAMPLE_DOMAIN;
  const usersPath = join(folder, USERS_NAME);
  let password: string | undefined;
  if (firstUser(usersPath) === undefined) {
    password = generatePassword();
    const user = {
      name: FIRST_USER,
      passwordHash: await hashPassword(password),
      scram: formatScramKeys(await makeScramKeys(password)),
      addresses: [`${FIRST_USER}@${domain}`],
    };
    const changed = changeUsers(usersPath, { add: user });
    if (!changed.ok) throw new SettingsError(explain(changed.problems).trimEnd());
  }
  writeFileSync(configPath, configText(domain), { flag: 'wx' });
  return { configPath, user: firstUser(usersPath), password };
}

function firstUser(usersPath: string): FirstRun['user'] {
  const result = loadUsers(usersPath);
  if (!result.ok) throw new SettingsError(explain(result.problems).trimEnd());
  const [user] = result.users;
  return user === undefined ? undefined : { name: user.name, address: user.addresses[0] };
}

function configText(domain: string): string {
  return `# Posthorn's configuration, made at the first start. Everything that is not here has its default:
# docs/configuration.md lists all keys. Check it with \`posthorn check\`; a running server reads it again on SIGHUP.
domains:
  ${domain}:          # mail for this domain is taken, and kept for the users in users.yaml
`;
}

export interface Notice {
  readonly run: FirstRun;
  readonly listeners: readonly Pick<ListenerConfig, 'name' | 'protocol' | 'address' | 'tls'>[];
  readonly dataDirectory: string;
  /** The project's folder, for the commands. */
  readonly projectDirectory: string;
  readonly workingDirectory: string;
}

/** @returns a few lines: what is listening, who the first user is, and the commands of a first message. */
export function firstRunNotice({ run, listeners, dataDirectory, projectDirectory, workingDirectory }: Notice): string {
  const near = (path: string) => {
    const short = relative(workingDirectory, path);
    return short.startsWith('..') ? path : `./${short}`;
  };
  const lines = [`Posthorn is running. Configuration: ${near(run.configPath)}, data: ${near(dataDirectory)}`];
  for (const { name, protocol, address, tls } of listeners) {
    const how = { none: '', starttls: ', STARTTLS', implicit: ', TLS' }[tls];
    lines.push(`  ${name.padEnd(12)} ${address.padEnd(16)} ${PROTOCOLS[protocol]}${how}`);
  }
  const posthorn = near(join(projectDirectory, 'bin', 'posthorn'));
  const { user, password } = run;
  if (user?.address === undefined) {
    lines.push(`There is no user with an address yet: ${posthorn} user add NAME`);
  } else {
    const login = password === undefined ? 'PASSWORD' : password;
    lines.push(
      `First user: ${user.name}, address ${user.address}${password === undefined ? '' : `, password ${password} (shown only now)`}`,
    );
    if (password === undefined) lines.push(`  a new password: ${posthorn} user password ${user.name}`);
    lines.push(`  another user: ${posthorn} user add NAME`);
    const sendPort = portOf(listeners, 'smtp');
    const fetchPort = portOf(listeners, 'pop3');
    const sample = near(join(projectDirectory, 'docs', 'first-message.eml'));
    if (sendPort !== undefined) {
      lines.push(
        `Send a first message:\n  ${posthorn} send ${sample} --to ${user.address}${sendPort === 2525 ? '' : ` --port ${sendPort}`}`,
      );
    }
    if (fetchPort !== undefined) {
      const port = fetchPort === 2110 ? '' : ` --port ${fetchPort}`;
      lines.push(`Fetch it:\n  echo ${login} | ${posthorn} fetch --user ${user.name} --password-stdin --wait 10${port}`);
    }
  }
  return `${lines.join('\n')}\n`;
}

const PROTOCOLS = { smtp: 'SMTP', submission: 'SMTP for users who log in', lmtp: 'LMTP', pop3: 'POP3' } as const;

/** Port of the first listener that the commands can use without further options. */
function portOf(listeners: Notice['listeners'], protocol: 'smtp' | 'pop3'): number | undefined {
  const one = listeners.find((listener) => listener.protocol === protocol && listener.tls === 'starttls');
  const port = Number(/:(\d+)$/.exec(one?.address ?? '')?.[1]);
  return port > 0 ? port : undefined;
}
