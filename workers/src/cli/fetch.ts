/**
 * `posthorn fetch --user NAME`: fetches a message by POP3 and prints it byte for byte, the newest one unless told
 * otherwise. For a first look at a new server, and for scripts; nothing is deleted without --delete.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { type Command, Option } from 'commander';
import { CliError, parsePort, readPassword, verifies } from './common.ts';
import { Pop3Client } from './pop3-client.ts';

interface Options {
  readonly user: string;
  readonly passwordStdin: true;
  readonly host: string;
  readonly port?: number;
  readonly tls?: 'none' | 'starttls' | 'implicit';
  readonly insecure?: true;
  readonly number?: number;
  readonly list?: true;
  readonly delete?: true;
  readonly wait: number;
}

/** Between two looks for a first message. */
const LOOK_AGAIN_MS = 250;

export function addFetch(program: Command): void {
  program
    .command('fetch')
    .description('fetch a message by POP3 and print it')
    .requiredOption('--user <name>', 'log in as')
    .requiredOption('--password-stdin', 'read the password from standard input')
    .option('--host <host>', 'server', '127.0.0.1')
    .option('--port <port>', 'port (default: 2110, 2995 with --tls implicit)', parsePort)
    .addOption(new Option('--tls <mode>', 'default: STLS where it is offered').choices(['none', 'starttls', 'implicit']))
    .option('--insecure', 'do not verify the certificate (never verified on loopback)')
    .option('--number <number>', 'number of the message (default: the last one)', parseCount)
    .option('--list', 'list numbers and sizes instead')
    .option('--delete', 'delete the message once it is printed')
    .option('--wait <seconds>', 'wait so long for a first message', parseCount, 0)
    .action(async (options: Options) => {
      const password = await readPassword();
      const untilMs = performance.now() + options.wait * 1000;
      while (!(await fetch(password, options))) {
        if (performance.now() >= untilMs) {
          if (options.list === true) return;
          throw new CliError('there is no message');
        }
        await sleep(LOOK_AGAIN_MS);
      }
    });
}

function parseCount(text: string): number {
  const count = Number(text);
  if (!Number.isInteger(count) || count < 0) throw new CliError(`expected a whole number, found "${text}"`);
  return count;
}

/** One session. @returns false when the maildrop is empty */
async function fetch(password: string, options: Options): Promise<boolean> {
  const { host, tls, user } = options;
  const port = options.port ?? (tls === 'implicit' ? 2995 : 2110);
  const client = await Pop3Client.connect({ host, port, tls, verify: verifies(host, options.insecure === true) });
  try {
    await client.login(user, password);
    const messages = await client.list();
    const last = messages.at(-1);
    if (last !== undefined && options.list === true) {
      for (const { number, sizeBytes } of messages) process.stdout.write(`${number} ${sizeBytes}\n`);
    } else if (last !== undefined) {
      const number = options.number ?? last.number;
      for await (const line of client.retrieve(number)) await print(line);
      if (options.delete === true) await client.delete(number);
    }
    await client.quit();
    return last !== undefined;
  } finally {
    client.close();
  }
}

/** Waits while the reader of our output is behind. */
async function print(line: Buffer): Promise<void> {
  if (!process.stdout.write(line)) await new Promise((resolve) => process.stdout.once('drain', resolve));
}
