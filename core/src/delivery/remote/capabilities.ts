/** What a server offered in its reply to EHLO (RFC 5321 §4.1.1.1). Read by remote/client; unknown keywords are ignored. */

import { type Limits, readLimits } from './limits.ts';

export interface Capabilities {
  readonly pipelining: boolean;
  readonly eightBitMime: boolean;
  /** BDAT, and anything in it (RFC 3030 §2, §3). */
  readonly binaryMime: boolean;
  readonly smtpUtf8: boolean;
  readonly startTls: boolean;
  /** MT-PRIORITY (RFC 6710). */
  readonly priority: boolean;
  /** REQUIRETLS (RFC 8689). */
  readonly requireTls: boolean;
  /** DSN (RFC 3461). */
  readonly dsn: boolean;
  /** DELIVERBY (RFC 2852 §2): the least time it takes mail for that is to come back afterwards; undefined when not offered. */
  readonly minDeliverBySeconds: number | undefined;
  /** Bytes; 0 when no limit was told (RFC 1870 §3); undefined when SIZE was not offered. */
  readonly size: number | undefined;
  /** LIMITS (RFC 9422). */
  readonly limits: Limits;
  /** SASL mechanisms, upper case. */
  readonly auth: readonly string[];
  /** We logged in: not offered, but what follows is said to who knows us (RFC 4954). */
  readonly loggedIn: boolean;
}

/** After HELO. */
export const NO_CAPABILITIES: Capabilities = {
  pipelining: false,
  eightBitMime: false,
  binaryMime: false,
  smtpUtf8: false,
  startTls: false,
  priority: false,
  requireTls: false,
  dsn: false,
  minDeliverBySeconds: undefined,
  size: undefined,
  limits: {},
  auth: [],
  loggedIn: false,
};

/** The first option of a list (RFC 2852 §2); a number that is none stands for no bound. */
const secondsOf = (text = ''): number => Number(/^\d{1,9}(?=,|$)/.exec(text)?.[0] ?? 0);

/** @param lines the texts of the reply's lines; the first is the greeting */
export function readCapabilities(lines: readonly string[]): Capabilities {
  const found = new Map<string, string[]>();
  for (const line of lines.slice(1)) {
    // `AUTH=PLAIN` is what some old servers say beside or instead of `AUTH PLAIN`.
    const [keyword = '', ...parameters] = line
      .toUpperCase()
      .replace(/^AUTH=/, 'AUTH ')
      .split(/ +/);
    found.set(keyword, [...(found.get(keyword) ?? []), ...parameters]);
  }
  const size = found.get('SIZE')?.[0];
  return {
    pipelining: found.has('PIPELINING'),
    eightBitMime: found.has('8BITMIME'),
    // RFC 3030 §3: without CHUNKING there is no way to send it.
    binaryMime: found.has('BINARYMIME') && found.has('CHUNKING'),
    smtpUtf8: found.has('SMTPUTF8'),
    startTls: found.has('STARTTLS'),
    priority: found.has('MT-PRIORITY'),
    requireTls: found.has('REQUIRETLS'),
    dsn: found.has('DSN'),
    minDeliverBySeconds: found.has('DELIVERBY') ? secondsOf(found.get('DELIVERBY')?.[0]) : undefined,
    size: !found.has('SIZE') ? undefined : size !== undefined && /^\d{1,15}$/.test(size) ? Number(size) : 0,
    limits: readLimits(found.get('LIMITS') ?? []),
    auth: found.get('AUTH') ?? [],
    loggedIn: false,
  };
}
