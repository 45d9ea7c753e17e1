/**
 * The user source over LDAP (RFC 4511): everybody under `base` that `filter` finds is a user; a password is right when the
 * entry can bind with it. A connection of its own for each question, with a deadline: nothing is held between them.
 * Rejects with the library's error when the directory cannot be asked, so that nobody is refused for that.
 */
import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { Client, InvalidCredentialsError, NoSuchObjectError, ResultCodeError } from 'ldapts';
import { z, type SourceUser, type UserSource } from '@posthorn/sdk';

export const ldapOptions = z.strictObject({
  url: z.string().regex(/^ldaps?:\/\/[^/\s]+\/?$/, 'expected ldap://host:port or ldaps://host:port'),
  startTls: z.boolean().default(false).describe('StartTLS before anything is said; for `ldap://`.'),
  caFile: z.string().min(1).optional().describe('PEM file with the CAs of the server.'),
  plaintext: z.boolean().default(false).describe('Passwords may go in clear to another machine.'),
  bindDn: z.string().default('').describe('Who searches; empty: anonymous.'),
  bindPasswordFile: z.string().min(1).optional(),
  base: z.string().min(1).describe('Where users are, with what is below it.'),
  filter: z
    .string()
    .regex(/^\(.*\)$/, 'expected a filter in brackets')
    .default('(objectClass=inetOrgPerson)'),
  name: attribute().default('uid').describe('Attribute with the login name.'),
  addresses: z.array(attribute()).default(['mail']).describe('Attributes with addresses.'),
  sendAs: z
    .array(attribute())
    .default([])
    .describe('Attributes with further addresses to write as: whole ones, `@domain`, or `*`.'),
  timeoutMs: z.int().min(100).max(60_000).default(5000),
});

export type LdapOptions = z.output<typeof ldapOptions>;

function attribute() {
  return z.string().regex(/^[A-Za-z][A-Za-z0-9-]*$/, 'expected the name of an attribute');
}

const PAGE_ENTRIES = 500;

/** @throws Error when the options would send passwords in clear to another machine, or a file cannot be read. */
export function createLdapSource(options: LdapOptions): UserSource {
  const { url, startTls, caFile, plaintext, bindDn, bindPasswordFile, base, filter, name, addresses, sendAs, timeoutMs } =
    options;
  const here = /^ldap:\/\/(127\.\d+\.\d+\.\d+|\[::1\]|localhost)(:|\/|$)/.test(url);
  if (url.startsWith('ldap:') && !startTls && !plaintext && !here)
    throw new Error('ldap:// to another machine needs startTls, or plaintext: true');
  const bindPassword = bindPasswordFile === undefined ? '' : readFileSync(bindPasswordFile, 'utf8').trimEnd();
  // RFC 4513 §5.1.2: it would be taken for a search by nobody, and find what nobody may see.
  if ((bindDn === '') !== (bindPassword === '')) throw new Error('bindDn and bindPasswordFile need each other, and a password');
  const tlsOptions = caFile === undefined ? {} : { ca: [readFileSync(caFile)] };

  const host = new URL(url).hostname.replace(/^\[|\]$/g, '');
  /** Whom the certificate has to be for; only names are asked for by SNI (RFC 6066 §3). */
  const server = /^[\d.]+$|:/.test(host) ? { host } : { host, servername: host };

  async function connected<T>(use: (client: Client) => Promise<T>): Promise<T> {
    const secure = url.startsWith('ldaps:') ? { tlsOptions } : {};
    const client = new Client({ url, timeout: timeoutMs, connectTimeout: timeoutMs, ...secure });
    const { promise: tooLate, reject } = Promise.withResolvers<never>();
    const late = setTimeout(() => reject(new Error('StartTLS took too long')), timeoutMs);
    try {
      // The library has no deadline for the handshake, and would take a certificate for localhost for that of any address.
      if (startTls) await Promise.race([client.startTLS({ ...tlsOptions, ...server }), tooLate]);
      clearTimeout(late);
      return await use(client);
    } finally {
      clearTimeout(late);
      // The answer is there, or its error is on its way, and neither waits for the goodbye: after a handshake that failed,
      // that takes until the deadline. That the connection could not be closed politely would tell nothing more.
      client.unbind().catch(() => undefined);
    }
  }

  async function search(wanted: string): Promise<{ dn: string; names: string[]; addresses: string[]; sendAs: string[] }[]> {
    return await connected(async (client) => {
      if (bindDn !== '') await client.bind(bindDn, bindPassword);
      const { searchEntries } = await client.search(base, {
        scope: 'sub',
        filter: wanted,
        attributes: [name, ...addresses, ...sendAs],
        paged: { pageSize: PAGE_ENTRIES },
      });
      return searchEntries.map((entry) => ({
        dn: entry.dn,
        names: textsOf(entry[name]),
        addresses: addresses.flatMap((one) => textsOf(entry[one])),
        sendAs: sendAs.flatMap((one) => textsOf(entry[one])),
      }));
    });
  }

  /** @param isNo which errors stand for a no; others reject. */
  async function binds(dn: string, password: string, isNo: (error: unknown) => boolean): Promise<boolean> {
    return await connected(async (client) => {
      try {
        await client.bind(dn, password);
        return true;
      } catch (error) {
        if (isNo(error)) return false;
        throw error;
      }
    });
  }

  return {
    async list() {
      const found = await search(filter);
      return found.flatMap((entry): SourceUser[] => {
        const [first] = entry.names;
        const grants = entry.sendAs.length === 0 ? {} : { sendAs: entry.sendAs };
        return first === undefined ? [] : [{ name: first, addresses: entry.addresses, ...grants }];
      });
    },
    async verify(login, password) {
      // RFC 4513 §5.1.2: a bind without a password succeeds, and proves nothing.
      if (login === '' || password === '') return false;
      const [entry, ...more] = await search(`(&${filter}(${name}=${escaped(login)}))`);
      if (entry === undefined || more.length > 0) {
        // A bind takes its time, and would tell who exists: an unknown name has one too, which nobody can know the DN of.
        const dn = `${name}=nobody-${randomBytes(8).toString('hex')},${base}`;
        await binds(dn, randomBytes(16).toString('hex'), (error) => error instanceof ResultCodeError);
        return false;
      }
      return await binds(
        entry.dn,
        password,
        (error) => error instanceof InvalidCredentialsError || error instanceof NoSuchObjectError,
      );
    },
  };
}

/** RFC 4515 §3: what a client said is a value, and never a piece of the filter. */
function escaped(value: string): string {
  return [...Buffer.from(value, 'utf8')].map((byte) => `\\${byte.toString(16).padStart(2, '0')}`).join('');
}

function textsOf(value: unknown): string[] {
  return [value].flat().filter((one): one is string => typeof one === 'string' && one !== '');
}
