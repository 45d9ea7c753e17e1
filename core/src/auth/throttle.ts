/**
 * Slows guessing down: failures are counted for each client network and for each user within a window, and past a
 * limit everything from there is refused for a while. Asked by the authenticator before it computes anything.
 * A client that logged in as a user not long ago is not locked out by somebody else's guesses at that user, or by its
 * neighbours behind the same address (a web mail, a shared router); that trust ends after a few failures of its own.
 * All tables are bounded and forget what was used longest ago.
 */
import { BoundedMap } from './bounded-map.ts';
import { clientNetwork } from '../wire/client-network.ts';

export interface ThrottleLimits {
  /** Failures are counted over this time from the first one. */
  readonly windowMs: number;
  /** How long a client or user past its limit is refused. */
  readonly lockOutMs: number;
  readonly maxFailuresPerClient: number;
  readonly maxFailuresPerUser: number;
  /** A client that logged in as a user is trusted with that user for this long. */
  readonly trustMs: number;
  readonly maxFailuresTrusted: number;
  /** Entries in each table. */
  readonly maxEntries: number;
}

export const DEFAULT_THROTTLE_LIMITS: ThrottleLimits = {
  windowMs: 600_000,
  lockOutMs: 600_000,
  maxFailuresPerClient: 30,
  maxFailuresPerUser: 30,
  trustMs: 86_400_000,
  maxFailuresTrusted: 5,
  maxEntries: 20_000,
};

interface Failures {
  count: number;
  endsAtMs: number;
}

export class Throttle {
  readonly #limits: ThrottleLimits;
  readonly #clients: BoundedMap<Failures>;
  readonly #users: BoundedMap<Failures>;
  readonly #trusted: BoundedMap<Failures>;

  constructor(limits: ThrottleLimits) {
    this.#limits = limits;
    this.#clients = new BoundedMap(limits.maxEntries);
    this.#users = new BoundedMap(limits.maxEntries);
    this.#trusted = new BoundedMap(limits.maxEntries);
  }

  /** May this client try this user now? @param nowMs monotonic. */
  allows(user: string, clientAddress: string, nowMs: number): boolean {
    const network = clientNetwork(clientAddress);
    const { maxFailuresPerClient, maxFailuresPerUser } = this.#limits;
    const locked =
      reached(this.#clients.get(network), maxFailuresPerClient, nowMs) ||
      reached(this.#users.get(user), maxFailuresPerUser, nowMs);
    return !locked || live(this.#trusted.get(pair(user, network)), nowMs);
  }

  failed(user: string, clientAddress: string, nowMs: number): void {
    const network = clientNetwork(clientAddress);
    this.#count(this.#clients, network, this.#limits.maxFailuresPerClient, nowMs);
    this.#count(this.#users, user, this.#limits.maxFailuresPerUser, nowMs);
    const trust = this.#trusted.get(pair(user, network));
    if (trust !== undefined && ++trust.count >= this.#limits.maxFailuresTrusted) this.#trusted.delete(pair(user, network));
  }

  /** A login succeeded. The client's own count stays: a guesser with one good account must not wash it clean. */
  succeeded(user: string, clientAddress: string, nowMs: number): void {
    this.#users.delete(user);
    this.#trusted.set(pair(user, clientNetwork(clientAddress)), { count: 0, endsAtMs: nowMs + this.#limits.trustMs });
  }

  #count(table: BoundedMap<Failures>, key: string, limit: number, nowMs: number): void {
    const entry = table.get(key);
    if (!live(entry, nowMs)) {
      const endsAtMs = nowMs + (limit <= 1 ? this.#limits.lockOutMs : this.#limits.windowMs);
      table.set(key, { count: 1, endsAtMs });
      return;
    }
    entry.count++;
    // Checks under way when the limit was reached still count, but do not stretch the lock-out.
    if (entry.count === limit) entry.endsAtMs = nowMs + this.#limits.lockOutMs;
  }
}

function pair(user: string, network: string): string {
  return `${network} ${user}`;
}

function live(entry: Failures | undefined, nowMs: number): entry is Failures {
  return entry !== undefined && entry.endsAtMs > nowMs;
}

function reached(entry: Failures | undefined, limit: number, nowMs: number): boolean {
  return live(entry, nowMs) && entry.count >= limit;
}
