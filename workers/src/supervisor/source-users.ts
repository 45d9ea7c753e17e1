/**
 * The users of the configured source, beside those of users.yaml. Called with each reading of the settings. What was
 * listed last is kept in `data/users-elsewhere.json`: while the source cannot be asked, mail still finds its users.
 */
import { mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { ADDRESS, type Config, USER_NAME, writeAtomically } from '@posthorn/config';
import type { User } from '@posthorn/core/directory/directory';
import type { SourceUser } from '@posthorn/core/auth/user-source';
import { openUserSource } from '../user-source.ts';
import { SettingsError } from './settings-error.ts';

/**
 * @param own users of users.yaml, which come first: a name or an address of theirs is nobody else's.
 * @param onKept called with the problem when the source cannot be asked and those listed last are taken.
 * @returns all users.
 * @throws SettingsError when the source cannot be made, or cannot be asked and never was.
 */
export async function withSourceUsers(
  config: Config,
  own: readonly User[],
  onKept: (problem: string) => void,
): Promise<readonly User[]> {
  if (config.auth.source === null) return own;
  const kept = join(config.data, 'users-elsewhere.json');
  let listed: readonly SourceUser[];
  try {
    const source = await openUserSource(config);
    listed = (await source?.list()) ?? [];
    mkdirSync(config.data, { recursive: true });
    writeAtomically(kept, JSON.stringify(listed));
  } catch (error) {
    const problem = `users cannot be listed: ${error instanceof Error ? error.message : String(error)}`;
    const before = listedBefore(kept);
    if (before === undefined) throw new SettingsError(problem, { cause: error });
    listed = before;
    onKept(problem);
  }
  return [...own, ...usable(listed, own)];
}

function listedBefore(file: string): readonly SourceUser[] | undefined {
  try {
    return JSON.parse(readFileSync(file, 'utf8')) as readonly SourceUser[];
  } catch {
    // Never listed, or not whole: the caller tells why the source itself cannot be asked.
    return undefined;
  }
}

/** Those whose name can be a folder, and what of their addresses is nobody's yet. */
function usable(listed: readonly SourceUser[], own: readonly User[]): User[] {
  const names = new Set(own.map(({ name }) => name.toLowerCase()));
  const taken = new Set(own.flatMap(({ addresses }) => addresses.map((address) => address.toLowerCase())));
  const free = (set: Set<string>, text: string) => !set.has(text.toLowerCase()) && set.add(text.toLowerCase()) !== undefined;
  return listed
    .filter(({ name }) => name.length <= 200 && USER_NAME.test(name) && free(names, name))
    .map(({ name, addresses, quotaBytes }) => ({
      name,
      elsewhere: true,
      addresses: addresses.filter((address) => ADDRESS.test(address) && free(taken, address)),
      ...(quotaBytes === undefined ? {} : { quotaBytes }),
    }));
}
