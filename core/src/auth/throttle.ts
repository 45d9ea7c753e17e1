/**
 * Slows guessing down: failures are counted for each client network and for each login within a window, and past a
 * limit everything from there is refused for a while. Asked by the authenticator before it computes anything.
 * A client that logged in not long ago is not locked out by somebody else's guesses at that login, or by its
 * neighbours behind the same address (a web mail, a shared router); that trust ends after a few failures of its own.
 * The counts are kept in a ledger of fixed size that all threads of a process share.
 */
import type { Ledger } from './ledger.ts';
import { clientNetwork, clientSite } from '../wire/client-network.ts';

export interface ThrottleLimits {
  /** Failures are counted over this time from the first one. */
  readonly windowMs: number;
  /** How long a client or login past its limit is refused. */
  readonly lockOutMs: number;
  readonly maxFailuresPerClient: number;
  readonly maxFailuresPerUser: number;
  /** A client that logged in is trusted with that login for this long. */
  readonly trustMs: number;
  readonly maxFailuresTrusted: number;
}

export const DEFAULT_THROTTLE_LIMITS: ThrottleLimits = {
  windowMs: 600_000,
  lockOutMs: 600_000,
  maxFailuresPerClient: 30,
  maxFailuresPerUser: 30,
  trustMs: 86_400_000,
  maxFailuresTrusted: 5,
};

/** A /48 of IPv6 has 65,536 networks, often in one hand: it may fail so many times as often as one of them. */
const NETWORKS_PER_SITE = 16;
/** Then a try that is still under way is forgotten: its thread may have died. */
const MAX_UNDER_WAY_MS = 60_000;

export class Throttle {
  readonly #limits: () => ThrottleLimits;
  readonly #ledger: Ledger;

  /** @param limits as configured now. @param ledger may be shared with other threads. */
  constructor(limits: () => ThrottleLimits, ledger: Ledger) {
    this.#limits = limits;
    this.#ledger = ledger;
  }

  /** May this client try this login now? @param nowMs on the ledger's clock. */
  allows(login: string, clientAddress: string, nowMs: number): boolean {
    return this.#allows(login, clientAddress, nowMs, () => 0);
  }

  /** Would it be allowed though all tries that are under way failed? For an answer that comes before theirs. */
  allowsAhead(login: string, clientAddress: string, nowMs: number): boolean {
    return this.#allows(login, clientAddress, nowMs, (key) => this.#ledger.get(underWayKey(key), nowMs)?.count ?? 0);
  }

  /** A try begins that takes its time. @returns to be called when it ends, however, with the time. */
  begin(login: string, clientAddress: string, nowMs: number): (nowMs: number) => void {
    const network = clientNetwork(clientAddress);
    const keys = [clientKey(network), countKey(login), trustKey(login, network)].map(underWayKey);
    for (const key of keys) {
      this.#ledger.change(key, nowMs, (entry) => ({ count: (entry?.count ?? 0) + 1, endsAtMs: nowMs + MAX_UNDER_WAY_MS }));
    }
    return (endMs) => {
      for (const key of keys) {
        this.#ledger.change(key, endMs, (entry) =>
          entry === undefined || entry.count <= 1 ? undefined : { ...entry, count: entry.count - 1 },
        );
      }
    };
  }

  #allows(login: string, clientAddress: string, nowMs: number, underWay: (key: string) => number): boolean {
    const network = clientNetwork(clientAddress);
    const site = clientSite(clientAddress);
    const { maxFailuresPerClient, maxFailuresPerUser, maxFailuresTrusted } = this.#limits();
    const failures = (key: string) => (this.#ledger.get(key, nowMs)?.count ?? 0) + underWay(key);
    const locked =
      failures(clientKey(network)) >= maxFailuresPerClient ||
      (site !== undefined && failures(clientKey(site)) >= maxFailuresPerClient * NETWORKS_PER_SITE) ||
      failures(countKey(login)) >= maxFailuresPerUser;
    if (!locked) return true;
    const trust = this.#ledger.get(trustKey(login, network), nowMs);
    return trust !== undefined && trust.count + underWay(trustKey(login, network)) < maxFailuresTrusted;
  }

  failed(login: string, clientAddress: string, nowMs: number): void {
    const network = clientNetwork(clientAddress);
    const { maxFailuresPerClient, maxFailuresPerUser, maxFailuresTrusted } = this.#limits();
    this.#count(clientKey(network), maxFailuresPerClient, nowMs);
    const site = clientSite(clientAddress);
    if (site !== undefined) this.#count(clientKey(site), maxFailuresPerClient * NETWORKS_PER_SITE, nowMs);
    this.#count(countKey(login), maxFailuresPerUser, nowMs);
    this.#ledger.change(trustKey(login, network), nowMs, (trust) => {
      if (trust === undefined) return undefined;
      return trust.count + 1 >= maxFailuresTrusted ? undefined : { ...trust, count: trust.count + 1 };
    });
  }

  /** A login succeeded. The client's own count stays: a guesser with one good account must not wash it clean. */
  succeeded(login: string, clientAddress: string, nowMs: number): void {
    const { trustMs } = this.#limits();
    this.#ledger.change(countKey(login), nowMs, () => undefined);
    this.#ledger.change(trustKey(login, clientNetwork(clientAddress)), nowMs, () => ({ count: 0, endsAtMs: nowMs + trustMs }));
  }

  #count(key: string, limit: number, nowMs: number): void {
    const { windowMs, lockOutMs } = this.#limits();
    this.#ledger.change(key, nowMs, (entry) => {
      if (entry === undefined) return { count: 1, endsAtMs: nowMs + (limit <= 1 ? lockOutMs : windowMs) };
      const count = entry.count + 1;
      // Checks under way when the limit was reached still count, but do not stretch the lock-out.
      return { count, endsAtMs: count === limit ? nowMs + lockOutMs : entry.endsAtMs };
    });
  }
}

const clientKey = (network: string) => `c ${network}`;
const countKey = (login: string) => `u ${login}`;
const trustKey = (login: string, network: string) => `t ${network} ${login}`;
const underWayKey = (key: string) => `w ${key}`;
