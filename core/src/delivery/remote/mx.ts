/**
 * From a next hop to the addresses to try, in order (RFC 5321 §5.1). Called by remote/destination when it needs a
 * connection; asks DNS only.
 * MX by preference, at random among equals; without an MX the domain itself (implicit MX); a null MX (RFC 7505) or a
 * domain that does not exist fails for good; no answer from DNS fails for now. Hosts from us on, by preference, are left
 * out, so that a backup MX never mails itself; when nothing is left, mail for the domain loops back to us.
 * Never throws: a problem is a value with its reply.
 */
import { isIP } from 'node:net';
import { type Dns, DnsError } from '../../mail/dns.ts';
import { canonicalAddress, isLoopback } from '../../wire/address-literal.ts';
import type { IsSelf } from '../ports.ts';
import type { RemoteHop } from '../route.ts';

/** One address to connect to. */
export interface Target {
  /** Name of the MX or configured host, for TLS and the log; the address itself for a literal. */
  readonly host: string;
  readonly address: string;
  readonly port: number;
  /** A unix socket to connect to instead; `address` is its path. */
  readonly socketPath?: string;
}

export type TargetsResult =
  | {
      readonly ok: true;
      readonly targets: readonly Target[];
      /** The domain has no MX and is its own mail host. */
      readonly implicit?: boolean;
    }
  | { readonly ok: false; readonly permanent: boolean; readonly reply: string };

export interface MxPorts {
  readonly dns: Dns;
  readonly isSelf: IsSelf;
  /** Our own name: an MX of that name is us. */
  readonly hostname: string;
  /** [0, 1), for the order among hosts of equal preference. */
  readonly random: () => number;
}

/** Addresses tried for one delivery, over all hosts; what lies behind is for a domain that lists a whole network. */
const MAX_TARGETS = 10;
/** MX hosts asked for their addresses. */
const MAX_HOSTS = 10;

/**
 * Whether an address that somebody else chose (in DNS, in a literal) leads to this machine. Loopback on the mail port and
 * the unspecified address always do: else a name server could have us talk to our own services.
 */
function leadsHome(address: string, port: number, isSelf: IsSelf): boolean {
  const plain = canonicalAddress(address) ?? address;
  return plain === '::' || plain.startsWith('0.') || (port === 25 && isLoopback(plain)) || isSelf(plain, port);
}

function fail(permanent: boolean, reply: string): TargetsResult {
  return { ok: false, permanent, reply };
}

/** The answer, an empty list when there is no such name or type, or the error when DNS did not answer. */
async function ask<T>(question: Promise<T[]>): Promise<T[] | DnsError> {
  try {
    return await question;
  } catch (error) {
    if (error instanceof DnsError) return error.kind === 'notfound' ? [] : error;
    return new DnsError('temporary', 'ESERVFAIL', String(error), { cause: error });
  }
}

interface HostAddresses {
  readonly addresses: readonly string[];
  /** One of the two questions had no answer: more addresses may exist. */
  readonly incomplete: boolean;
}

/** IPv6 before IPv4 as RFC 6724 would mostly have it; a host that cannot reach it fails at once and goes on. */
async function addressesOf(host: string, dns: Dns): Promise<HostAddresses> {
  if (isIP(host) !== 0) return { addresses: [host], incomplete: false };
  const [six, four] = await Promise.all([ask(dns.aaaa(host)), ask(dns.a(host))]);
  const incomplete = six instanceof DnsError || four instanceof DnsError;
  return { addresses: [...(six instanceof DnsError ? [] : six), ...(four instanceof DnsError ? [] : four)], incomplete };
}

/** Lowest preference first, random among equals. */
function inOrder(records: readonly { exchange: string; priority: number }[], random: () => number): typeof records {
  return records
    .map((record) => ({ record, tie: random() }))
    .sort((a, b) => a.record.priority - b.record.priority || a.tie - b.tie)
    .map(({ record }) => record);
}

async function targetsOfHost(hop: RemoteHop & { to: 'host' }, dns: Dns): Promise<TargetsResult> {
  const { host, port, socketPath } = hop;
  if (socketPath !== undefined) return { ok: true, targets: [{ host, address: socketPath, port, socketPath }] };
  const { addresses, incomplete } = await addressesOf(host, dns);
  const targets = addresses.slice(0, MAX_TARGETS).map((address) => ({ host, address, port }));
  if (targets.length > 0) return { ok: true, targets };
  // A name in our own configuration that does not resolve is a slip of ours, not the sender's: never a bounce at once.
  return fail(false, incomplete ? `451 4.4.3 no answer from DNS for ${host}` : `451 4.4.4 no address for ${host}`);
}

/**
 * Finds the addresses for a hop.
 * @returns at least one target, or the reply that ends the attempt: 5.1.2 no such domain, 5.1.10 null MX, 5.4.6 loop,
 *   5.4.4 none of the hosts has an address, 4.4.3 DNS did not answer.
 */
export async function findTargets(hop: RemoteHop, ports: MxPorts): Promise<TargetsResult> {
  const { dns, isSelf } = ports;
  if (hop.to === 'host') return targetsOfHost(hop, dns);
  const { domain, port } = hop;
  if (hop.to === 'literal') {
    if (leadsHome(domain, port, isSelf)) return fail(true, `554 5.4.6 mail for [${domain}] loops back to this server`);
    return { ok: true, targets: [{ host: domain, address: domain, port }] };
  }

  const answer = await ask(dns.mx(domain));
  if (answer instanceof DnsError) return fail(false, `451 4.4.3 no answer from DNS for ${domain} (${answer.code})`);
  if (answer.some(({ exchange }) => exchange === '' || exchange === '.')) {
    // RFC 7505 §3: a null MX stands alone; beside others it means nothing.
    if (answer.length === 1) return fail(true, `556 5.1.10 ${domain} does not take mail (null MX)`);
  }
  const named = answer.filter(({ exchange }) => exchange !== '' && exchange !== '.');
  const implicit = answer.length === 0;
  const hosts = implicit ? [{ exchange: domain, priority: 0 }] : inOrder(named, ports.random);

  const targets: Target[] = [];
  let incomplete = false;
  let selfAt = Infinity;
  for (const { exchange, priority } of hosts.slice(0, MAX_HOSTS)) {
    if (priority >= selfAt || targets.length >= MAX_TARGETS) break;
    const host = exchange.toLowerCase().replace(/\.$/, '');
    const found = await addressesOf(host, dns);
    incomplete ||= found.incomplete;
    if (host === ports.hostname.toLowerCase() || found.addresses.some((address) => leadsHome(address, port, isSelf))) {
      selfAt = priority;
      // Hosts of equal preference that the dice put before us are no further towards the mailbox than we are.
      const nearer = new Set(
        hosts.filter((one) => one.priority < priority).map((one) => one.exchange.toLowerCase().replace(/\.$/, '')),
      );
      targets.splice(0, Infinity, ...targets.filter((target) => nearer.has(target.host)));
      break;
    }
    for (const address of found.addresses) if (targets.length < MAX_TARGETS) targets.push({ host, address, port });
  }
  if (targets.length > 0) return { ok: true, targets, implicit };
  if (incomplete) return fail(false, `451 4.4.3 no answer from DNS for the mail hosts of ${domain}`);
  if (selfAt !== Infinity) return fail(true, `554 5.4.6 mail for ${domain} loops back to this server`);
  if (implicit) return fail(true, `550 5.1.2 no such mail domain: ${domain}`);
  return fail(true, `550 5.4.4 none of the mail hosts of ${domain} has an address`);
}
