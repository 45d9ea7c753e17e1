/**
 * `posthorn send FILE|- --to ADDRESS…`: hands one message to a server by SMTP, byte for byte; only bare line feeds are
 * made CRLF. Prints the server's reply; exit code 1 when the message or a recipient was refused.
 */
import { createReadStream, statSync } from 'node:fs';
import { hostname } from 'node:os';
import type { Readable } from 'node:stream';
import { type Command, Option } from 'commander';
import type SMTPConnection from 'nodemailer/lib/smtp-connection';
import { CliError, parsePort, readPassword, verifies, warn } from './common.ts';

interface Options {
  readonly to: string[];
  readonly from?: string;
  readonly host: string;
  readonly port?: number;
  readonly user?: string;
  readonly passwordStdin?: true;
  readonly tls?: 'none' | 'starttls' | 'implicit';
  readonly insecure?: true;
}

const DEFAULT_PORTS = { smtp: 2525, submission: 2587, submissions: 2465 } as const;

export function addSend(program: Command): void {
  program
    .command('send')
    .description('send one message by SMTP')
    .argument('<file>', 'the message; - reads it from standard input')
    .requiredOption('--to <address...>', 'recipients')
    .option(
      '--from <address>',
      'reverse-path, "" for the null one (default: the user, when that is an address; without --user the first recipient)',
    )
    .option('--host <host>', 'server', '127.0.0.1')
    .option('--port <port>', 'port (default: 2525; 2587 with --user, 2465 with --tls implicit)', parsePort)
    .option('--user <name>', 'log in as')
    .option('--password-stdin', 'read the password from standard input')
    .addOption(
      new Option('--tls <mode>', 'default: STARTTLS where it is offered, and always with --user').choices([
        'none',
        'starttls',
        'implicit',
      ]),
    )
    .option('--insecure', 'do not verify the certificate (never verified on loopback)')
    .action(async (file: string, options: Options) => {
      if (file === '-' && options.passwordStdin === true)
        throw new CliError('message and password cannot both come from standard input');
      if ((options.user === undefined) !== (options.passwordStdin === undefined))
        throw new CliError('--user and --password-stdin go together');
      if (options.user?.includes('@') === false && options.from === undefined)
        throw new CliError('--from is needed with --user: an address that this user may write as');
      const sizeBytes = file === '-' ? undefined : statSync(file).size;
      const password = options.passwordStdin === true ? await readPassword() : undefined;
      const reply = await send(file === '-' ? process.stdin : createReadStream(file), sizeBytes, password, options);
      for (const text of reply.refused) warn(`refused: ${text}`);
      process.stdout.write(`${reply.text}\n`);
      if (reply.refused.length > 0) process.exitCode = 1;
    });
}

interface Reply {
  readonly text: string;
  /** Replies to recipients that were not taken. */
  readonly refused: readonly string[];
}

async function send(
  message: Readable,
  sizeBytes: number | undefined,
  password: string | undefined,
  options: Options,
): Promise<Reply> {
  const { default: Connection } = await import('nodemailer/lib/smtp-connection');
  const { host, tls, user } = options;
  const implicit = tls === 'implicit';
  const connection = new Connection({
    host,
    port:
      options.port ?? (implicit ? DEFAULT_PORTS.submissions : user === undefined ? DEFAULT_PORTS.smtp : DEFAULT_PORTS.submission),
    name: hostname(),
    secure: implicit,
    ignoreTLS: tls === 'none',
    requireTLS: tls === 'starttls' || (tls === undefined && user !== undefined),
    tls: { rejectUnauthorized: verifies(host, options.insecure === true) },
  });
  const from = options.from ?? (user?.includes('@') === true ? user : (options.to[0] ?? ''));
  try {
    await step(connection, (done) => connection.connect(done));
    if (user !== undefined && password !== undefined) {
      await step(connection, (done) => connection.login({ user, credentials: { user, pass: password } }, done));
    }
    return await new Promise<Reply>((resolve, reject) => {
      connection.once('error', reject);
      message.once('error', reject);
      const envelope = { from, to: options.to, use8BitMime: true, ...(sizeBytes === undefined ? {} : { size: sizeBytes }) };
      connection.send(envelope, message, (error, info) => {
        if (error) reject(error);
        else resolve({ text: info.response, refused: (info.rejectedErrors ?? []).map((one) => one.response ?? one.message) });
      });
    });
  } catch (error) {
    throw asCliError(error);
  } finally {
    connection.quit();
  }
}

/** One step of the dialogue; a connection that breaks ends it too. */
function step(connection: SMTPConnection, start: (done: (error?: Error | null) => void) => void): Promise<void> {
  return new Promise((resolve, reject) => {
    connection.once('error', reject);
    start((error) => (error ? reject(error) : resolve()));
  });
}

/** The server's own words say most. */
function asCliError(error: unknown): unknown {
  if (!(error instanceof Error) || error instanceof TypeError) return error;
  const response = 'response' in error && typeof error.response === 'string' ? error.response : undefined;
  return new CliError(response ?? error.message, { cause: error });
}
