/**
 * Reads all that the server works from: configuration, users, certificate. Called by the supervisor at start and at each
 * reload, and by `posthorn check`. All or nothing: what is wrong is a SettingsError with every problem in its text.
 */
import { existsSync, statSync } from 'node:fs';
import { type Config, explain, loadConfig, loadUsers, type Problem } from '@posthorn/config';
import type { Settings } from '../ipc.ts';
import { SettingsError } from './settings-error.ts';
import { withSourceUsers } from './source-users.ts';
import { readTls } from './tls-files.ts';

export { SettingsError } from './settings-error.ts';

/** @throws SettingsError */
export function readConfig(file: string): Config {
  const result = loadConfig(file);
  if (!result.ok) throw new SettingsError(textOf(result.problems));
  const { data } = result.config;
  if (existsSync(data) && !statSync(data).isDirectory()) throw new SettingsError(`data: ${data} is a file, not a folder`);
  return result.config;
}

/** @throws SettingsError */
export function readUsers(config: Config) {
  const result = loadUsers(config.users);
  if (!result.ok) throw new SettingsError(textOf(result.problems));
  return result.users;
}

function textOf(problems: readonly Problem[]): string {
  return explain(problems).trimEnd();
}

/**
 * Reads everything anew.
 * @param onSelfSigned called with the file when a self-signed certificate had to be made
 * @param onWarning called with what the operator should know of users kept elsewhere: that they cannot be listed, and those
 *   listed last are taken; that some cannot be taken
 * @throws SettingsError; the system's error when the data folder cannot be written
 */
export async function readSettings(
  file: string,
  onSelfSigned: (file: string) => void = () => undefined,
  onWarning: (text: string) => void = () => undefined,
): Promise<Settings> {
  const config = readConfig(file);
  const { users, leftOut } = await withSourceUsers(config, readUsers(config), (problem) =>
    onWarning(`${problem}; those listed last are taken`),
  );
  if (leftOut.length > 0) onWarning(`of auth.source ${leftOut.length} names and addresses cannot be taken: ${someOf(leftOut)}`);
  return { config, users, tls: await readTls(config, onSelfSigned), hostname: config.hostname };
}

function someOf(texts: readonly string[]): string {
  const shown = texts.slice(0, 10).map((text) => JSON.stringify(text.slice(0, 100)));
  return `${shown.join(', ')}${texts.length > shown.length ? ', …' : ''}`;
}
