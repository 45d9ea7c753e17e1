/**
 * The directory over domains and users of the configuration: who gets the mail of an address. Made once at start and at
 * each reload, in every thread that resolves; asked at each RCPT, so an answer is a few map lookups.
 * Case does not count, a quoted local part equals its plain form, a domain its A-label form. Aliases may be nested and
 * may loop: each is expanded once for an address, so an answer is bounded by the configuration. Never throws.
 */
import { addressLiteral, literalOf } from '../wire/address-literal.ts';
import { asciiDomain, type AddressParts, loginKey, takeApart } from '../wire/address-key.ts';
import type { Directory, MayWriteAs, Resolution, Target, User } from './directory.ts';

/** One of `domains` in the configuration. */
export interface DomainOptions {
  /** `maildir`, or `smtp://host:port` when another server keeps the mail. */
  readonly deliver: string;
  readonly aliases: Readonly<Record<string, string | readonly string[]>>;
  readonly catchAll: string | null;
  readonly plusAddressing: boolean;
}

/** A domain as it is asked. */
interface Domain {
  readonly name: string;
  readonly forwarded: boolean;
  readonly aliases: ReadonlyMap<string, readonly string[]>;
  readonly catchAll: string | null;
  readonly plusAddressing: boolean;
}

/** One question and what was found so far. */
interface Search {
  readonly targets: Map<string, Target>;
  /** Aliases that lead here: coming back to one of them means the mailbox of that name (`bob: [bob, carol]`). */
  readonly path: Set<string>;
  /** Aliases gone through already, and whether anybody was behind them. */
  readonly done: Map<string, boolean>;
}

const UNKNOWN: Resolution = { is: 'unknown' };
const FOREIGN: Resolution = { is: 'foreign' };
const FORWARDED: Resolution = { is: 'forwarded' };

const MAX_DEPTH = 10;
/** RFC 5321 §4.5.1: every domain that takes mail has a postmaster. */
const POSTMASTER = 'postmaster';

/** What a directory is made from. */
export interface DirectoryParts {
  /** By name, in any form and case. */
  readonly domains: Readonly<Record<string, DomainOptions>>;
  /** In the order of the file: the first one is postmaster when no other is found. */
  readonly users: readonly User[];
  /** Addresses of this machine: mail to `user@[address]` is mail to the first domain whose users we know (RFC 1123 §5.2.17). */
  readonly ownAddresses?: readonly string[];
}

/** Builds the directory. */
export function createDirectory({
  domains,
  users,
  ownAddresses = [],
}: DirectoryParts): Directory & { readonly mayWriteAs: MayWriteAs } {
  const byDomain = new Map(Object.entries(domains).map(([name, options]) => makeDomain(name, options)));
  const firstDomain = byDomain.values().find(({ forwarded }) => !forwarded);
  for (const address of ownAddresses) if (firstDomain !== undefined) byDomain.set(domainKey(literalOf(address)), firstDomain);
  const byName = new Map(users.map((user) => [user.name.toLowerCase(), user]));
  const byAddress = new Map<string, User>();
  for (const user of users) {
    for (const address of user.addresses) {
      const parts = takeApart(address);
      if (parts !== undefined) byAddress.set(`${parts.key}@${parts.domain}`, user);
    }
  }
  const firstPostmaster = byName.get(POSTMASTER) ?? byName.get('admin') ?? users[0];

  /** The mailbox of a local part of its own right, with or without its tag. */
  function owner(domain: Domain, key: string): User | undefined {
    return byAddress.get(`${key}@${domain.name}`);
  }

  function add(search: Search, user: User, address: string): boolean {
    search.targets.set(`mailbox ${user.name}`, { to: 'mailbox', mailbox: user.name, address });
    return true;
  }

  /** Follows an alias. @returns undefined when there is none of that name, else whether anybody was found behind it */
  function follow(search: Search, domain: Domain, key: string): boolean | undefined {
    const targets = domain.aliases.get(key);
    const name = `${key}@${domain.name}`;
    if (targets === undefined || search.path.has(name)) return undefined;
    const before = search.done.get(name);
    if (before !== undefined) return before;
    if (search.path.size >= MAX_DEPTH) return false;
    search.path.add(name);
    let found = false;
    for (const target of targets) found = findTarget(search, domain, target) || found;
    search.path.delete(name);
    search.done.set(name, found);
    return found;
  }

  /** Looks a local part up, without postmaster and catch-all. */
  function findLocal(search: Search, domain: Domain, { local, key }: Pick<AddressParts, 'local' | 'key'>): boolean {
    const address = `${local}@${domain.name}`;
    const followed = follow(search, domain, key);
    if (followed !== undefined) return followed;
    const user = owner(domain, key);
    if (user !== undefined) return add(search, user, address);
    const base = domain.plusAddressing ? withoutTag(key) : key;
    if (base === key) return false;
    const followedBase = follow(search, domain, base);
    if (followedBase !== undefined) return followedBase;
    const baseUser = owner(domain, base);
    return baseUser !== undefined && add(search, baseUser, address);
  }

  /** Where an alias or a catch-all leads: an address anywhere, a local part of the same domain, or a user. */
  function findTarget(search: Search, domain: Domain, target: string): boolean {
    if (!target.includes('@')) {
      if (findLocal(search, domain, { local: target, key: target.toLowerCase() })) return true;
      const user = byName.get(target.toLowerCase());
      return user !== undefined && add(search, user, `${target}@${domain.name}`);
    }
    const parts = takeApart(target);
    if (parts === undefined) return false;
    const own = byDomain.get(parts.domain);
    if (own !== undefined && !own.forwarded) return findOwn(search, own, parts);
    if (own !== undefined && follow(search, own, parts.key) === true) return true;
    const address = `${parts.local}@${parts.domain}`;
    search.targets.set(`address ${address}`, { to: 'address', address });
    return true;
  }

  /** Looks up an address of a domain whose users we know. */
  function findOwn(search: Search, domain: Domain, parts: AddressParts): boolean {
    if (findLocal(search, domain, parts)) return true;
    if (parts.key === POSTMASTER && firstPostmaster !== undefined) {
      return add(search, firstPostmaster, `${parts.local}@${domain.name}`);
    }
    const { catchAll } = domain;
    // An alias that leads to itself alone ends here too: what it was meant for is not known.
    if (catchAll === null || search.path.size > 0) return false;
    const user = byName.get(catchAll.toLowerCase());
    if (user !== undefined) return add(search, user, `${parts.local}@${domain.name}`);
    search.path.add(`catch-all@${domain.name}`);
    const found = findTarget(search, domain, catchAll);
    search.path.clear();
    return found;
  }

  function resolve(address: string): Resolution {
    const parts = address.toLowerCase() === POSTMASTER ? barePostmaster(firstDomain) : takeApart(address);
    if (parts === undefined) return UNKNOWN;
    const domain = byDomain.get(domainKey(parts.domain));
    if (domain === undefined) return FOREIGN;
    const search: Search = { targets: new Map(), path: new Set(), done: new Map() };
    if (domain.forwarded) {
      if (follow(search, domain, parts.key) !== true) return FORWARDED;
    } else if (!findOwn(search, domain, parts)) return UNKNOWN;
    return { is: 'known', targets: [...search.targets.values()] };
  }

  const mayWriteAs: MayWriteAs = (name, address, scope) => {
    const user = byName.get(loginKey(name));
    const parts = takeApart(address);
    if (user === undefined || parts === undefined) return false;
    const { addresses, sendAs = [] } = user;
    if (sendAs.includes('*')) return true;
    const own = [...addresses, ...sendAs, user.name].map(takeApartGrant).filter((one) => one !== undefined);
    if (own.some(({ key, domain }) => domain === parts.domain && (key === '' || key === parts.key || scope === 'domain')))
      return true;
    const resolution = resolve(address);
    return (
      resolution.is === 'known' && resolution.targets.some((target) => target.to === 'mailbox' && target.mailbox === user.name)
    );
  };

  return {
    resolve,
    mayWriteAs,
    user(name) {
      const key = loginKey(name);
      return byName.get(key) ?? byAddress.get(key);
    },
    isOurs: (domain) => byDomain.has(domainKey(asciiDomain(domain))),
  };
}

function makeDomain(name: string, options: DomainOptions): [string, Domain] {
  const ascii = asciiDomain(name);
  const aliases = new Map<string, readonly string[]>();
  for (const [local, targets] of Object.entries(options.aliases)) {
    const parts = takeApart(`${local}@${ascii}`);
    if (parts !== undefined) aliases.set(parts.key, typeof targets === 'string' ? [targets] : targets);
  }
  const { catchAll, plusAddressing, deliver } = options;
  return [ascii, { name: ascii, forwarded: deliver !== 'maildir', aliases, catchAll, plusAddressing }];
}

/** RFC 5321 §4.5.1: `RCPT TO:<postmaster>` means this server's own, so that of the first domain whose users we know. */
function barePostmaster(domain: Domain | undefined): AddressParts | undefined {
  return domain === undefined ? undefined : { local: POSTMASTER, key: POSTMASTER, domain: domain.name };
}

/** One spelling for a literal. */
function domainKey(domain: string): string {
  return addressLiteral(domain, 0) ?? domain;
}

/** An address as `takeApart` has it; for `@domain` the key is empty. */
function takeApartGrant(grant: string): Pick<AddressParts, 'key' | 'domain'> | undefined {
  return grant.startsWith('@') ? { key: '', domain: asciiDomain(grant.slice(1)) } : takeApart(grant);
}

/** `alice+tag` -> `alice`; a leading plus is part of the name. */
function withoutTag(local: string): string {
  const plus = local.indexOf('+');
  return plus < 1 ? local : local.slice(0, plus);
}
