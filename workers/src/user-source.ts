/**
 * Makes the source of users that the configuration names under `auth.source`. Used by the supervisor, which lists, and by
 * session threads, which verify.
 */
import { pathToFileURL } from 'node:url';
import type { Config } from '@posthorn/config';
import type { UserSource, UserSourcePlugin } from '@posthorn/core/auth/user-source';
import { userSource as http } from '@posthorn/users-http';
import { userSource as ldap } from '@posthorn/users-ldap';

const OURS: ReadonlyMap<string, UserSourcePlugin> = new Map([http, ldap].map((plugin) => [plugin.name, plugin]));

/** How long a source of somebody else's may take to list everybody, and to say whether a password is right. */
const LIST_MS = 60_000;
const VERIFY_MS = 10_000;

/** @returns undefined where there is none. Rejects with an Error for the operator when it cannot be made. */
export async function openUserSource({ auth: { source } }: Config): Promise<UserSource | undefined> {
  if (source === null) return undefined;
  const [name = '', options] = Object.entries(source)[0] ?? [];
  try {
    const ours = OURS.get(name);
    // Ours have deadlines of their own, in their options.
    return ours === undefined ? withDeadlines((await load(name)).create(options)) : ours.create(options);
  } catch (error) {
    throw new Error(problemsOf(`auth.source.${name}`, error), { cause: error });
  }
}

/** What is wrong with options has a path and a message each, by whatever release of zod the package brings. */
function problemsOf(at: string, error: unknown): string {
  const issues: unknown = error instanceof Error && 'issues' in error ? error.issues : undefined;
  if (!Array.isArray(issues)) return `${at}: ${error instanceof Error ? error.message : String(error)}`;
  return (issues as { readonly path: readonly PropertyKey[]; readonly message: string }[])
    .map(({ path, message }) => `${[at, ...path.map(String)].join('.')}: ${message}`)
    .join('\n');
}

async function load(name: string): Promise<UserSourcePlugin> {
  const module = (await import(name.startsWith('/') ? pathToFileURL(name).href : name)) as { readonly userSource?: unknown };
  const plugin = module.userSource as Partial<UserSourcePlugin> | undefined;
  if (plugin?.kind !== 'user-source' || typeof plugin.create !== 'function') throw new Error('it exports no userSource');
  return plugin as UserSourcePlugin;
}

/** The same source; what it does not answer in time rejects, as what cannot be told now. */
function withDeadlines(source: UserSource): UserSource {
  return {
    list: () => within(LIST_MS, () => source.list()),
    verify: (name, password) => within(VERIFY_MS, () => source.verify(name, password)),
  };
}

async function within<T>(deadlineMs: number, ask: () => Promise<T>): Promise<T> {
  const { promise: tooLate, reject } = Promise.withResolvers<never>();
  const timer = setTimeout(() => reject(new Error(`no answer within ${deadlineMs} ms`)), deadlineMs);
  try {
    return await Promise.race([ask(), tooLate]);
  } finally {
    clearTimeout(timer);
  }
}
