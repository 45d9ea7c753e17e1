/**
 * The limits a server told of in LIMITS (RFC 9422), and what they make of a message's recipients. Read by
 * remote/capabilities, obeyed by remote/destination. Pure. A limit that cannot be read is none.
 */

export interface Limits {
  /** MAIL commands in one session. */
  readonly mailMax?: number;
  /** RCPT commands in one transaction. */
  readonly rcptMax?: number;
  /** Domains of recipients in one session. */
  readonly rcptDomainMax?: number;
}

const NAMES = { MAILMAX: 'mailMax', RCPTMAX: 'rcptMax', RCPTDOMAINMAX: 'rcptDomainMax' } as const;

/** RFC 9422 §3: a name, with or without a value that has no semicolon. */
const PARAMETER = /^([A-Z0-9_-]+)(?:=([!-:<-~]+))?$/;

/** @param parameters of the keyword, in upper case: `RCPTMAX=100`. Where one of them is none, nothing is believed (§3.7). */
export function readLimits(parameters: readonly string[]): Limits {
  const limits: { -readonly [name in keyof Limits]: number } = {};
  for (const parameter of parameters) {
    const [, name, value = ''] = PARAMETER.exec(parameter) ?? [];
    if (name === undefined) return {};
    if (isKnown(name) && /^[1-9]\d{0,5}$/.test(value)) limits[NAMES[name]] = Number(value);
  }
  return limits;
}

const isKnown = (name: string): name is keyof typeof NAMES => Object.hasOwn(NAMES, name);

/**
 * Recipients as several transactions, where one may not have them all; those of a domain stay together.
 * @returns the indices of each; undefined when one transaction may have them
 */
export function splitByLimits(recipients: readonly string[], limits: Limits): number[][] | undefined {
  const { rcptMax = Infinity, rcptDomainMax = Infinity } = limits;
  if (recipients.length <= rcptMax && recipients.length <= rcptDomainMax) return undefined;
  const byDomain = Map.groupBy(recipients.keys(), (index) => domainOf(recipients[index]!));
  if (recipients.length <= rcptMax && byDomain.size <= rcptDomainMax) return undefined;
  const parts: number[][] = [];
  let domains = 0;
  for (const indices of byDomain.values()) {
    if (++domains > rcptDomainMax || parts.length === 0) {
      parts.push([]);
      domains = 1;
    }
    for (const index of indices) {
      if (parts.at(-1)!.length >= rcptMax) {
        parts.push([]);
        domains = 1;
      }
      parts.at(-1)!.push(index);
    }
  }
  return parts;
}

/**
 * May recipients go over a session in which those domains had theirs? RCPTDOMAINMAX is for the whole of a session
 * (RFC 9422 §4.3). A session that is new takes what `splitByLimits` left.
 * @param used lower case
 */
export function hasRoomForDomains(used: ReadonlySet<string>, recipients: readonly string[], { rcptDomainMax }: Limits): boolean {
  return rcptDomainMax === undefined || used.union(domainsOf(recipients)).size <= rcptDomainMax;
}

/** In lower case. */
export const domainsOf = (recipients: readonly string[]): Set<string> => new Set(recipients.map(domainOf));

const domainOf = (address: string): string => address.slice(address.lastIndexOf('@') + 1).toLowerCase();
