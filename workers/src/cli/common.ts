/** What several commands share: where the configuration is, passwords from standard input, warnings. */
import { isUtf8 } from 'node:buffer';
import { existsSync } from 'node:fs';
import { isIP } from 'node:net';
import { type Config, parseConfig } from '@posthorn/config';
import { readConfig } from '../supervisor/settings.ts';

/** Told to the operator as it is; exit code 1. */
export class CliError extends Error {
  override readonly name = 'CliError';
}

export const CONFIG_OPTION = [
  '-c, --config <file>',
  'configuration file (default: ./posthorn.yaml, or the defaults when there is none)',
] as const;

const DEFAULT_FILE = './posthorn.yaml';

/**
 * Reads the configuration a command works on.
 * @throws SettingsError
 */
export function configOf(options: { readonly config?: string }): Config {
  if (options.config !== undefined) return readConfig(options.config);
  if (existsSync(DEFAULT_FILE)) return readConfig(DEFAULT_FILE);
  const defaults = parseConfig('', DEFAULT_FILE);
  if (!defaults.ok) throw new CliError('the defaults are no valid configuration');
  return defaults.config;
}

const MAX_PASSWORD_BYTES = 4096;

/**
 * Reads the first line of standard input.
 * @throws CliError when it is empty, not UTF-8, or longer than a password may be
 */
export async function readPassword(input: AsyncIterable<Buffer> = process.stdin): Promise<string> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of input) {
    chunks.push(chunk);
    size += chunk.length;
    if (chunk.includes(10) || size > MAX_PASSWORD_BYTES) break;
  }
  const all = Buffer.concat(chunks);
  const bytes = all.includes(10) ? all.subarray(0, all.indexOf(10)) : all;
  if (!isUtf8(bytes)) throw new CliError('the password on standard input is not UTF-8');
  const line = bytes.toString('utf8').replace(/\r$/, '');
  if (line === '') throw new CliError('no password came on standard input');
  if (line.length > MAX_PASSWORD_BYTES) throw new CliError('the password is too long');
  return line;
}

/** @throws commander's error for the option, through CliError */
export function parsePort(text: string): number {
  const port = Number(text);
  if (!Number.isInteger(port) || port < 1 || port > 65535) throw new CliError(`expected a port from 1 to 65535, found "${text}"`);
  return port;
}

/**
 * Whether a server's certificate is to be verified: not on this machine, where nobody stands in between and the
 * certificate is often self-signed.
 */
export function verifies(host: string, insecure: boolean): boolean {
  const isLoopback = host === 'localhost' || host === '::1' || (isIP(host) === 4 && host.startsWith('127.'));
  return !insecure && !isLoopback;
}

export function warn(text: string): void {
  process.stderr.write(`${text}\n`);
}

/** Ends the command when standard output does. A reader such as `head` may leave early, and gets no word; a full disk is told. */
export function onOutputError(error: NodeJS.ErrnoException): never {
  if (error.code === 'EPIPE') process.exit(0);
  warn(`posthorn: standard output cannot be written: ${error.message}`);
  process.exit(1);
}
