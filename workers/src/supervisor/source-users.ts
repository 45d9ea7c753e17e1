/**
 * The users of the configured source, beside those of users.yaml. Called with each reading of the settings. What was
 * listed last is kept in `data/users-elsewhere.json`: while the source cannot be asked, mail still finds its users.
 */
import { mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { ADDRESS, type Config, SENDER, USER_NAME, writeAtomically } from '@posthorn/config';
import type { User } from '@posthorn/core/directory/directory';
import type { SourceUser } from '@posthorn/core/auth/user-source';
import { loginKey } from '@posthorn/core/wire/address-key';
import { openUserSource } from '../user-source.ts';
import { SettingsError } from './settings-error.ts';

/** Of a name, which is a folder, or an address. */
const MAX_CHARACTERS = 200;
const MAX_CAUSES = 5;

/**
 * @param own users of users.yaml, which come first: a name or an address of theirs is nobody else's.
 * @param onKept called with the problem when the source cannot be asked and those listed last are taken.
 * @returns all users, and names and addresses of the source that cannot be taken: no folder could be named so, or they are
 *   somebody else's.
 * @throws SettingsError when the source cannot be made, or cannot be asked and never was.
 */
export async function withSourceUsers(
  config: Config,
  own: readonly User[],
  onKept: (problem: string) => void,
): Promise<{ readonly users: readonly User[]; readonly leftOut: readonly string[] }> {
  if (config.auth.source === null) return { users: own, leftOut: [] };
  const kept = join(config.data, 'users-elsewhere.json');
  let listed: readonly SourceUser[];
  try {
    const source = await openUserSource(config);
    listed = (await source?.list()) ?? [];
    mkdirSync(config.data, { recursive: true });
    writeAtomically(kept, JSON.stringify(listed));
  } catch (error) {
    const problem = `users cannot be listed: ${withCauses(error)}`;
    const before = listedBefore(kept);
    if (before === undefined) throw new SettingsError(problem, { cause: error });
    listed = before;
    onKept(problem);
  }
  const { users, leftOut } = usable(listed, own);
  return { users: [...own, ...users], leftOut };
}

function listedBefore(file: string): readonly SourceUser[] | undefined {
  try {
    return JSON.parse(readFileSync(file, 'utf8')) as readonly SourceUser[];
  } catch {
    // Never listed, or not whole: the caller tells why the source itself cannot be asked.
    return undefined;
  }
}

/**
 * Those whose name can be a folder, and what of their addresses is nobody's yet. Who logs in by an address is looked up by
 * name first: a name that is the address of another user would take it over, and so would an address that is a name.
 */
function usable(listed: readonly SourceUser[], own: readonly User[]): { users: User[]; leftOut: string[] } {
  const leftOut: string[] = [];
  const fits = (text: string, form: RegExp, free: boolean) => {
    const good = text.length <= MAX_CHARACTERS && form.test(text) && free;
    if (!good) leftOut.push(text);
    return good;
  };
  const taken = new Set(own.flatMap(({ addresses }) => addresses.map(loginKey)));
  const named = new Map<string, unknown>(own.map((user) => [loginKey(user.name), user]));
  const accepted = listed.filter((user) => {
    const key = loginKey(user.name);
    const good = fits(user.name, USER_NAME, !named.has(key) && !taken.has(key));
    if (good) named.set(key, user);
    return good;
  });
  const users = accepted.map((user) => ({
    name: user.name,
    elsewhere: true as const,
    addresses: user.addresses.filter((address) => {
      const key = loginKey(address);
      const good = fits(address, ADDRESS, !taken.has(key) && (named.get(key) ?? user) === user);
      if (good) taken.add(key);
      return good;
    }),
    // Many may write as one.
    ...grants((user.sendAs ?? []).filter((sender) => fits(sender, SENDER, true))),
    ...(user.quotaBytes === undefined ? {} : { quotaBytes: user.quotaBytes }),
  }));
  return { users, leftOut };
}

/** `fetch failed` says nothing: why (refused, a redirect, a certificate that nobody trusts) is in the causes. */
function withCauses(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const texts: string[] = [];
  let here: unknown = error;
  for (let depth = 0; here instanceof Error && depth < MAX_CAUSES; depth += 1, here = here.cause) {
    // Where each of several addresses refused, the text is empty.
    const text = here.message === '' && 'code' in here ? String(here.code) : here.message;
    // Some errors tell their cause themselves.
    if (!texts.some((one) => one.includes(text))) texts.push(text);
  }
  return texts.join(': ');
}

function grants(sendAs: readonly string[]): Pick<User, 'sendAs'> {
  return sendAs.length === 0 ? {} : { sendAs };
}
