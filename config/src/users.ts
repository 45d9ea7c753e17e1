/**
 * The file of users: name -> password hash and other ways to log in, addresses, quota. Read by the supervisor at start and
 * reload and by the commands `posthorn user …`, which also write it (change-users.ts).
 * Reading gives all users or every problem; a missing file is one without users.
 */
import { existsSync } from 'node:fs';
import { domainToASCII } from 'node:url';
import { z } from 'zod';
import { checkShape, inOrder } from './issues.ts';
import { quota, retentionDays } from './mailboxes.ts';
import type { Problem } from './problem.ts';
import { parseYaml, readText, type YamlSource } from './yaml-source.ts';

/** A user as core's directory takes it. */
export interface UserEntry {
  readonly name: string;
  /** `$argon2id$…` PHC string. */
  readonly passwordHash?: string;
  /** `SCRAM-SHA-256$…` */
  readonly scram?: string;
  /** In clear, for CRAM-MD5 and APOP. */
  readonly secret?: string;
  /** SHA-256 fingerprints, `AB:CD:…`: these certificates alone; none: no certificate. */
  readonly certificates?: readonly string[];
  readonly addresses: readonly string[];
  /** Further addresses to write as: whole ones, `@domain`, or `*`. */
  readonly sendAs?: readonly string[];
  /** In place of `mailboxes.quotaBytes`; null: no quota. */
  readonly quotaBytes?: number | null;
  /** In place of `mailboxes.retentionDays`; null: mail stays. */
  readonly retentionDays?: number | null;
}

export type UsersResult =
  | { readonly ok: true; readonly users: readonly UserEntry[] }
  | { readonly ok: false; readonly problems: readonly Problem[] };

/** The users of a text, and where each of them stands in it. */
export type UsersText =
  | { readonly ok: true; readonly users: readonly UserEntry[]; readonly source: YamlSource }
  | { readonly ok: false; readonly problems: readonly Problem[] };

/** Of a file of users: a larger one is not read. */
export const MAX_FILE_BYTES = 16 * 1024 * 1024;

/** A user's name is a folder under data/ and a login: no slash, no leading dot, nothing that needs quoting. */
export const USER_NAME = /^[A-Za-z0-9_][A-Za-z0-9_.+=-]*(@[A-Za-z0-9][A-Za-z0-9.-]*)?$/;
export const ADDRESS = /^[^\s<>@]+@[^\s<>@]+$/;
/** An address, all of a domain, or any. */
export const SENDER = /^(\*|[^\s<>@]*@[^\s<>@]+)$/;

const userSchema = z.strictObject({
  password: z
    .string()
    .regex(
      /^\$argon2id\$v=19\$m=\d+,t=\d+,p=\d+\$[A-Za-z0-9+/]+\$[A-Za-z0-9+/]+$/,
      'expected an argon2id hash, as `posthorn user add` writes it',
    )
    .optional(),
  scram: z
    .string()
    .regex(
      /^SCRAM-SHA-256\$(409[6-9]|4[1-9]\d\d|[5-9]\d{3}|[1-9]\d{4,6}):[A-Za-z0-9+/]{11,88}={0,2}\$[A-Za-z0-9+/]{43}=:[A-Za-z0-9+/]{43}=$/,
      'expected keys of SCRAM-SHA-256, as `posthorn user password --scram` writes them',
    )
    .optional(),
  secret: z
    .string()
    .regex(/^[\x20-\x7e]{8,255}$/, 'expected a password of 8 to 255 characters of ASCII')
    .optional(),
  certificates: z
    .array(z.string().regex(/^([0-9A-F]{2}:){31}[0-9A-F]{2}$/, 'expected a SHA-256 fingerprint, such as AB:CD:… with 32 pairs'))
    .optional(),
  addresses: z.array(z.string().regex(ADDRESS, 'expected an address, such as alice@example.org')).default([]),
  sendAs: z
    .array(z.string().regex(SENDER, 'expected an address, such as boss@example.org, or "@example.org", or "*" for any sender'))
    .min(1)
    .optional(),
  quotaBytes: quota.nullable().optional(),
  retentionDays: retentionDays.nullable().optional(),
});

const usersSchema = z.record(
  z
    .string()
    .max(200, 'expected a name of at most 200 characters')
    .regex(USER_NAME, 'expected a name such as alice or alice@example.org'),
  userSchema,
);

/** Reads and checks a file of users. @param file path; when there is none, nobody is in it */
export function loadUsers(file: string): UsersResult {
  if (!existsSync(file)) return { ok: true, users: [] };
  const read = readText(file, MAX_FILE_BYTES);
  return read.ok ? parseUsers(read.text, file) : read;
}

/** Checks a file of users that is in memory already. */
export function parseUsers(text: string, file: string): UsersResult {
  const read = readUsersText(text, file);
  return read.ok ? { ok: true, users: read.users } : read;
}

/** As `parseUsers`, with the text's nodes for who means to change them. */
export function readUsersText(text: string, file: string): UsersText {
  const parsed = parseYaml(text, file);
  if (!parsed.ok) return parsed;
  const shaped = checkShape(usersSchema, parsed.source);
  if (!shaped.ok) return { ok: false, problems: shaped.problems.map(withoutSecret) };
  const problems = checkNames(Object.entries(shaped.value), parsed.source);
  if (problems.length > 0) return { ok: false, problems: inOrder(problems) };
  const users = Object.entries(shaped.value).map(([name, { password, ...rest }]) =>
    given({ name, passwordHash: password, ...rest }),
  );
  return { ok: true, users, source: parsed.source };
}

/** A user without the keys that have no value. */
export function given<T extends object>(user: T): { [K in keyof T]: Exclude<T[K], undefined> } {
  return Object.fromEntries(Object.entries(user).filter(([, value]) => value !== undefined)) as {
    [K in keyof T]: Exclude<T[K], undefined>;
  };
}

/**
 * Names and addresses belong to one user each, whatever their case: they are folders, and mail must know where to go. Who
 * logs in by an address is looked up by name first, so a name that is somebody else's address would take it over.
 */
function checkNames(
  entries: readonly (readonly [string, { readonly addresses: readonly string[] }])[],
  source: YamlSource,
): Problem[] {
  const problems: Problem[] = [];
  const names = new Map<string, string>();
  const owners = new Map<string, string>();
  for (const [name] of entries) {
    const same = names.get(spelling(name));
    if (same !== undefined)
      problems.push(source.problem([name], 'key', `is the same name as ${same}, since case does not count`));
    else names.set(spelling(name), name);
  }
  for (const [name, { addresses }] of entries) {
    for (const [index, address] of addresses.entries()) {
      const key = spelling(address);
      const owner = owners.get(key);
      const namesake = names.get(key);
      if (owner !== undefined)
        problems.push(source.problem([name, 'addresses', index], 'value', `this address is ${owner}'s already`));
      else if (namesake !== undefined && spelling(namesake) !== spelling(name))
        problems.push(source.problem([name, 'addresses', index], 'value', `this address is the name of the user ${namesake}`));
      else owners.set(key, name);
    }
  }
  return problems;
}

/** One for all forms of a name or an address that mail and logins take for the same. */
function spelling(text: string): string {
  const at = text.lastIndexOf('@');
  if (at < 0) return text.toLowerCase();
  const local = text.slice(0, at).toLowerCase();
  const domain = text.slice(at + 1).toLowerCase();
  const plain = /^".*"$/s.test(local) ? local.slice(1, -1).replace(/\\(.)/gs, '$1') : local;
  return `${plain}@${/^[\x21-\x7e]*$/.test(domain) ? domain : domainToASCII(domain) || domain}`;
}

/** A password written in clear by mistake must not travel on into a log. */
function withoutSecret(problem: Problem): Problem {
  if (!/\.(password|scram|secret)$/.test(problem.path)) return problem;
  const { source: _source, ...rest } = problem;
  return { ...rest, message: problem.message.replace(/, found .*$/s, '') };
}
