/**
 * MTA-STS policies of domains (RFC 8461) for delivery: found in DNS, fetched over HTTPS and checked by mailauth, strictly,
 * and kept for as long as they say. A policy that is remembered stays in force while its domain, or somebody in between,
 * lets none be found or fetched. What could not be fetched is not asked for again for a while; what changes is asked for
 * by its id in DNS, and once a day in any case. Bounded in domains, and in the time and size of an answer; memory only, so
 * that a restart knows no policy until it has asked.
 */
import { getPolicy, validateMx } from 'mailauth/lib/mta-sts.js';
import type { Clock, Dns, Log, StsPolicies, StsPolicy } from '@posthorn/sdk';

export interface StsOptions {
  readonly dns: Pick<Dns, 'resolve'>;
  readonly clock: Clock;
  readonly log: Log;
}

type Found = StsPolicy | 'none' | 'unknown';
type Fetched = Awaited<ReturnType<typeof getPolicy>>;

/** What is remembered of a domain. */
interface Known {
  readonly policy: Fetched['policy'];
  readonly found: Found;
  /** Before this it is believed without asking. */
  readonly askAgainAtMs: number;
  /** When the policy was fetched. */
  readonly fetchedAtMs: number;
}

const MAX_DOMAINS = 10_000;
/** RFC 8461 §3.3 suggests a minute, while the mail waits. */
const FETCH_MS = 20_000;
/** RFC 8461 §3.3: after a failure, no sooner than after five minutes. */
const AFTER_FAILURE_MS = 300_000;
/** RFC 8461 §10.2: once a day, so that a policy is not forgotten when it could be asked for. */
const REFRESH_MS = 86_400_000;

/** Policies with a memory of their own; nothing to close. */
export function createStsPolicies({ dns, clock, log }: StsOptions): StsPolicies {
  /** Of domains that have a policy, or may have one; the longest not asked for first. */
  const known = new Map<string, Known>();
  const underWay = new Map<string, Promise<Found>>();

  function remember(domain: string, entry: Known): Found {
    known.delete(domain);
    if (known.size >= MAX_DOMAINS) {
      const oldest = known.keys().next();
      if (oldest.done !== true) known.delete(oldest.value);
    }
    known.set(domain, entry);
    return entry.found;
  }

  /** Its `max_age` has passed. */
  const isOver = ({ policy }: Known): boolean => policy.expires !== undefined && Date.parse(policy.expires) <= clock.now();

  async function ask(domain: string, before: Known | undefined): Promise<Found> {
    const nowMs = clock.monotonic();
    const stale = before !== undefined && nowMs - before.fetchedAtMs >= REFRESH_MS;
    const resolver = (name: string, type: string) => dns.resolve(name, type) as Promise<string[] | string[][]>;
    const options = { resolver, strict: true, timeout: FETCH_MS };
    let got: Fetched;
    try {
      got = await getPolicy(domain, stale ? null : before?.policy, options);
      // What is remembered counts until it is old, whatever the refresh came to.
      if (stale && got.status !== 'found') got = await getPolicy(domain, before.policy, options);
    } catch (error) {
      const cause = error instanceof Error ? error : new Error(String(error));
      got = { policy: { id: false, mode: 'none', error: cause }, status: 'errored' };
    }
    const { policy, status } = got;
    if (status === 'errored') log.warn('sts-not-fetched', { domain, mode: policy.mode, reason: policy.error?.message });
    if (status === 'not_found') {
      known.delete(domain);
      return 'none';
    }
    const fetched = status === 'found';
    const failed = status === 'errored' || (stale && !fetched);
    return remember(domain, {
      policy,
      found: asFound(policy),
      askAgainAtMs: failed ? nowMs + AFTER_FAILURE_MS : 0,
      fetchedAtMs: fetched ? nowMs : (before?.fetchedAtMs ?? nowMs),
    });
  }

  return {
    find(domain) {
      const before = known.get(domain);
      if (before !== undefined && clock.monotonic() < before.askAgainAtMs && !isOver(before))
        return Promise.resolve(before.found);
      let asking = underWay.get(domain);
      if (asking === undefined) {
        asking = ask(domain, before).finally(() => underWay.delete(domain));
        underWay.set(domain, asking);
      }
      return asking;
    },
  };
}

function asFound(policy: Fetched['policy']): Found {
  const { mode } = policy;
  if (mode === 'enforce' || mode === 'testing')
    return { mode, names: (host) => validateMx(host, policy, { strict: true }).valid };
  return policy.error === undefined ? 'none' : 'unknown';
}
