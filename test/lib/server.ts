/**
 * A whole Posthorn for a test or a bench: `bin/posthorn serve` in a process of its own, on free loopback ports, its
 * configuration, users, certificate and data in a temporary folder that goes away with it.
 * The certificate is test-certificate.ts; clients trust it by `certificateFile` and the name `localhost`.
 */
import { existsSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { hashPassword } from '@posthorn/core/auth/password';
import { formatScramKeys, makeScramKeys } from '@posthorn/core/auth/scram-keys';
import { type Running, freePorts, run, start, stop, tempFolder, waitForPort } from './process.ts';
import { testCertificate } from './test-certificate.ts';

const PROJECT = fileURLToPath(new URL('../../', import.meta.url));
/** The command line of this project. */
export const POSTHORN = join(PROJECT, 'bin', 'posthorn');

/** Domain that the server of a test takes mail for, into maildrops. */
export const DOMAIN = 'example.test';

export interface Ports {
  readonly smtp: number;
  readonly submission: number;
  readonly submissions: number;
  readonly pop3: number;
  readonly pop3s: number;
}

export interface PosthornOptions {
  /** User name -> password; each gets the address NAME@example.test. */
  readonly users?: Readonly<Record<string, string>>;
  /** Users can log in by every mechanism that a password has. */
  readonly everyMechanism?: boolean;
  /** Keys of the configuration that differ, merged into that of a test, objects key by key. */
  readonly config?: Readonly<Record<string, unknown>>;
  /** Keys of every listener that differ. */
  readonly listener?: Readonly<Record<string, unknown>>;
  /** Ports that others were told already; the rest are free ones. */
  readonly ports?: Partial<Ports>;
  /** Further listeners, which the caller chose free ports for. */
  readonly moreListeners?: readonly Readonly<Record<string, unknown>>[];
  /** Work factor of the password hashes; low by default, since a test checks mail and not argon2id. */
  readonly passwordMemoryKiB?: number;
  /** Gets each line of the server's log, which then is written down nowhere else. */
  readonly onLog?: (line: string) => void;
  /** The log goes into this file of the server's folder instead, without passing through the caller's process. */
  readonly logFile?: string;
  /** Turns the command line into the one to start. */
  readonly wrap?: (command: readonly string[]) => string[];
  readonly readyWithinMs?: number;
}

export interface Posthorn {
  readonly ports: Ports;
  /** Process id of the supervisor. */
  readonly pid: number;
  readonly folder: string;
  readonly configFile: string;
  readonly dataFolder: string;
  readonly certificateFile: string;
  readonly running: Running;
  /** `posthorn ARGS --config FILE`-style commands of the same installation, beside the running server. */
  command(...args: string[]): Promise<{ code: number; stdout: string; stderr: string }>;
  /** SIGTERM; the folder stays until `remove`. @returns the exit code */
  stop(): Promise<number>;
  /** Starts it again on the same folder and ports. */
  restart(config?: Readonly<Record<string, unknown>>): Promise<Posthorn>;
  remove(): void;
}

/** Starts a server and waits until each port answers. */
export async function startPosthorn(options: PosthornOptions = {}): Promise<Posthorn> {
  const folder = tempFolder('server');
  const [smtp, submission, submissions, pop3, pop3s] = (await freePorts(5)) as [number, number, number, number, number];
  const ports: Ports = { smtp, submission, submissions, pop3, pop3s, ...options.ports };
  writeFileSync(join(folder.path, 'cert.pem'), testCertificate.cert);
  writeFileSync(join(folder.path, 'key.pem'), testCertificate.key, { mode: 0o600 });
  await writeUsers(join(folder.path, 'users.yaml'), options);
  try {
    return await launch(folder, ports, options);
  } catch (error) {
    folder.remove();
    throw error;
  }
}

/** Folder of a user's Maildir. */
export const maildirOf = (server: Posthorn, user: string) => join(server.dataFolder, 'mail', user, 'Maildir');

/** Delivery comes after the 250: waits until `count` new messages are in the user's maildrop. */
export function waitForMail(server: Posthorn, user: string, count: number): Promise<number> {
  return waitForFiles(join(maildirOf(server, user), 'new'), count);
}

const SILENCE_MS = 20_000;

/**
 * Waits until a folder holds `count` files, or until none came for 20 s.
 * @returns how many there are
 */
export async function waitForFiles(folder: string, count: number): Promise<number> {
  let found = 0;
  for (let heardAt = performance.now(); performance.now() - heardAt < SILENCE_MS;) {
    const now = existsSync(folder) ? readdirSync(folder).length : 0;
    if (now >= count) return now;
    if (now > found) heardAt = performance.now();
    found = now;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  return found;
}

async function launch(folder: ReturnType<typeof tempFolder>, ports: Ports, options: PosthornOptions): Promise<Posthorn> {
  const configFile = join(folder.path, 'posthorn.yaml');
  // JSON is YAML.
  writeFileSync(configFile, JSON.stringify(merge(configOf(ports, options), options.config ?? {}), null, 2));
  const wrap = options.wrap ?? ((command) => [...command]);
  const running = await start(wrap([POSTHORN, 'serve', configFile]), {
    cwd: folder.path,
    ...(options.onLog === undefined ? {} : { onOut: byLine(options.onLog) }),
    ...(options.logFile === undefined ? {} : { outFile: join(folder.path, options.logFile) }),
  });
  try {
    const timeoutMs = options.readyWithinMs ?? 30_000;
    for (const port of [ports.smtp, ports.submission, ports.pop3]) await waitForPort(port, { running, timeoutMs });
    for (const port of [ports.submissions, ports.pop3s]) await waitForPort(port, { running, timeoutMs, greets: false });
  } catch (error) {
    await stop(running);
    throw error;
  }
  return {
    ports,
    pid: running.pid,
    folder: folder.path,
    configFile,
    dataFolder: join(folder.path, 'data'),
    certificateFile: join(folder.path, 'cert.pem'),
    running,
    command: (...args) => run([POSTHORN, ...args], { cwd: folder.path, mayFail: true, timeoutMs: 120_000 }),
    stop: () => stop(running, 30_000),
    restart: (config) => launch(folder, ports, config === undefined ? options : { ...options, config }),
    remove: () => folder.remove(),
  };
}

function configOf(ports: Ports, options: PosthornOptions): Record<string, unknown> {
  const on = (name: string, protocol: string, port: number, tls: string) => ({
    name,
    protocol,
    address: `127.0.0.1:${port}`,
    tls,
    ...options.listener,
  });
  return {
    hostname: 'localhost',
    data: './data',
    users: './users.yaml',
    tls: { certificate: './cert.pem', key: './key.pem' },
    listeners: [
      on('mx', 'smtp', ports.smtp, 'starttls'),
      on('submission', 'submission', ports.submission, 'starttls'),
      on('submissions', 'submission', ports.submissions, 'implicit'),
      on('pop3', 'pop3', ports.pop3, 'starttls'),
      on('pop3s', 'pop3', ports.pop3s, 'implicit'),
      ...(options.moreListeners ?? []),
    ],
    domains: { [DOMAIN]: { deliver: 'maildir' } },
    dns: { servers: ['127.0.0.1:9'], timeoutMs: 200 },
    log: { format: 'json' },
    throughput: { maxConnectionsPerClient: 10_000 },
    shutdown: { graceMs: 2000 },
  };
}

async function writeUsers(file: string, options: PosthornOptions): Promise<void> {
  const hashes = new Map<string, string>();
  const users: Record<string, unknown> = {};
  const more = new Map<string, object>();
  for (const [name, password] of Object.entries(options.users ?? {})) {
    // Many users of a bench share a password, and then its hash.
    const cost = { memoryKiB: options.passwordMemoryKiB ?? 1024, passes: 2, lanes: 1 };
    const hash = hashes.get(password) ?? (await hashPassword(password, cost));
    hashes.set(password, hash);
    if (options.everyMechanism === true && !more.has(password)) {
      more.set(password, { secret: password, scram: formatScramKeys(await makeScramKeys(password)) });
    }
    users[name] = { password: hash, addresses: [`${name}@${DOMAIN}`], ...more.get(password) };
  }
  writeFileSync(file, JSON.stringify(users), { mode: 0o600 });
}

type Tree = Readonly<Record<string, unknown>>;

const isTree = (value: unknown): value is Tree => typeof value === 'object' && value !== null && !Array.isArray(value);

function merge(base: Tree, over: Tree): Tree {
  const result: Record<string, unknown> = { ...base };
  for (const [key, value] of Object.entries(over)) {
    const before = result[key];
    result[key] = isTree(before) && isTree(value) ? merge(before, value) : value;
  }
  return result;
}

function byLine(onLine: (line: string) => void): (text: string) => void {
  let rest = '';
  return (text) => {
    const lines = (rest + text).split('\n');
    rest = lines.pop()!;
    for (const line of lines) onLine(line);
  };
}
