/**
 * Opens connections to one next hop: finds its addresses, tries one after the other, once more by a whole handshake
 * where resuming a session broke, and once more in plain where opportunistic TLS broke. Made and asked by remote/destination. An address that broke lately comes last (*failover*).
 * Each `open` ends in exactly one of `opened` and `failed`; nothing throws.
 */
import type { Clock } from '../../mail/clock.ts';
import type { Log } from '../../observe/log.ts';
import type { Result } from '../reply.ts';
import type { RemoteHop } from '../route.ts';
import type { StsPolicies, StsPolicy } from '../sts.ts';
import type { SessionEnd } from './client.ts';
import { type ClientTimeouts, Connection, type ConnectionEvents } from './connection.ts';
import { findTargets, type MxPorts, type Target } from './mx.ts';
import { isPolicy, permitted } from './permitted.ts';
import { type TlsPolicy, tlsPolicyFor } from './tls-policy.ts';
import type { TlsSessions } from './tls-sessions.ts';

export interface OpenerPorts {
  readonly clock: Clock;
  readonly mx: MxPorts;
  /** Undefined where policies of domains are not heeded. */
  readonly sts: StsPolicies | undefined;
  readonly sessions: TlsSessions;
  readonly log: Log;
  readonly options: {
    readonly hostname: string;
    readonly timeouts: ClientTimeouts;
    /** How long an address that broke comes last. */
    readonly avoidMs: number;
  };
}

export interface OpeningEvents {
  /** Greeted, upgraded, logged in. @returns who hears of the connection from now on, first that it is idle */
  opened(connection: Connection): ConnectionEvents;
  /** No address could be used: `deferred`, or `failed` when none ever will. */
  failed(why: Result): void;
}

/** The addresses one new connection is tried on. */
interface Attempt {
  readonly targets: readonly Target[];
  /** What the domain asks of its hosts. */
  readonly policy: StsPolicy | undefined;
  at: number;
  /** `whole`: no session is resumed, since that broke; `plain`: without TLS, since it broke. */
  tls: 'usual' | 'whole' | 'plain';
  /** Hosts that an address of theirs ruled out for good, with what it said. */
  readonly ruledOut: Map<string, Result>;
}

export class Opener {
  readonly #hop: RemoteHop;
  readonly #ports: OpenerPorts;
  /** Addresses that broke, and until when they come last. */
  readonly #avoided = new Map<string, number>();
  /** All that live, also those that are not set up yet. */
  readonly #connections = new Set<Connection>();
  /** Hosts that were found last and are not ruled out. */
  #hosts: ReadonlySet<string> = new Set();
  #stopped = false;

  constructor(hop: RemoteHop, ports: OpenerPorts) {
    this.#hop = hop;
    this.#ports = ports;
  }

  open(events: OpeningEvents): void {
    void this.#begin(events);
  }

  /** Tries this address last for a while. */
  avoid({ address }: Target): void {
    this.#avoided.set(address, this.#ports.clock.monotonic() + this.#ports.options.avoidMs);
  }

  /** Is there another one to try than this host? */
  hasOther(host: string): boolean {
    return this.#hosts.size > 1 || (this.#hosts.size === 1 && !this.#hosts.has(host));
  }

  /** Until when something is remembered of its addresses, in monotonic milliseconds. */
  get remembersUntil(): number {
    return Math.max(0, ...this.#avoided.values());
  }

  /** Tries no further address. */
  stop(): void {
    this.#stopped = true;
  }

  /** Ends every connection now. */
  abort(reply: string): void {
    this.stop();
    for (const connection of this.#connections) connection.abort(reply);
  }

  async #begin(events: OpeningEvents): Promise<void> {
    const [everything, policy] = await Promise.all([findTargets(this.#hop, this.#ports.mx), this.#policy()]);
    const found = permitted(this.#hop, everything, policy);
    if (!found.ok) return events.failed({ outcome: found.permanent ? 'failed' : 'deferred', reply: found.reply });
    const now = this.#ports.clock.monotonic();
    for (const [address, untilMs] of this.#avoided) if (untilMs <= now) this.#avoided.delete(address);
    const isAvoided = (target: Target): boolean => this.#avoided.has(target.address);
    const { without = [] } = this.#hop.to === 'host' ? {} : this.#hop;
    const able = found.targets.filter(({ host }) => !without.includes(host));
    if (able.length === 0)
      return events.failed({ outcome: 'deferred', reply: '451 4.4.4 no other mail host is left that may take it' });
    this.#hosts = new Set(able.map(({ host }) => host));
    const targets = [...able.filter((one) => !isAvoided(one)), ...able.filter(isAvoided)];
    this.#tryNext({ targets, policy: isPolicy(policy) ? policy : undefined, at: 0, tls: 'usual', ruledOut: new Map() }, events);
  }

  /** Asked anew for each connection, so that a policy that changed counts at the next attempt (RFC 8461 §5.1). */
  async #policy(): Promise<StsPolicy | 'none' | 'unknown'> {
    const { to, tls, trust } = this.#hop;
    const { sts } = this.#ports;
    if (sts === undefined || to !== 'mx' || tls === 'never' || trust === 'optional') return 'none';
    return sts.find(this.#hop.domain);
  }

  #policyFor({ policy }: Attempt, target: Target): TlsPolicy {
    return tlsPolicyFor(this.#hop, target, policy?.mode === 'enforce');
  }

  /** RFC 8461 §5: a policy in testing lets mail through; who published it wants to know first. */
  #tellMisfit({ policy }: Attempt, { target, doubt, name }: Connection): void {
    if (policy?.mode !== 'testing' || this.#hop.to !== 'mx') return;
    const reason = policy.names(target.host) ? doubt : 'not named by the policy';
    if (reason !== undefined) this.#ports.log.warn('delivery.sts-testing', { domain: this.#hop.domain, host: name, reason });
  }

  #tryNext(attempt: Attempt, events: OpeningEvents): void {
    const target = attempt.targets[attempt.at]!;
    const policy = this.#policyFor(attempt, target);
    const { clock, sessions, options } = this.#ports;
    const { hostname, timeouts } = options;
    let owner: ConnectionEvents | undefined;
    const mode = attempt.tls === 'plain' ? 'never' : policy.mode;
    const resumption = attempt.tls === 'usual' ? { sessions } : {};
    const protocol = this.#hop.to === 'host' && this.#hop.protocol === 'lmtp' ? ({ protocol: 'lmtp' } as const) : {};
    const connection = new Connection(
      { target, policy: { ...policy, mode }, hostname, ...protocol, timeouts, clock, ...resumption },
      {
        idle: (one) => {
          if (owner === undefined) this.#tellMisfit(attempt, one);
          owner ??= events.opened(one);
          owner.idle(one);
        },
        following: (one) => owner?.following(one),
        finished: (one, message, results) => owner?.finished(one, message, results),
        leaving: (one) => owner?.leaving(one),
        ended: (one, end) => {
          this.#connections.delete(one);
          if (owner === undefined) this.#notOpened(attempt, one, end, events);
          else owner.ended(one, end);
        },
      },
    );
    this.#connections.add(connection);
  }

  /** This address did not get as far as taking messages: once more by a whole handshake or in plain, the next address, or none is left. */
  #notOpened(attempt: Attempt, { target, brokeResuming }: Connection, end: SessionEnd, events: OpeningEvents): void {
    if (brokeResuming && !this.#stopped) {
      attempt.tls = 'whole';
      return this.#tryNext(attempt, events);
    }
    const opportunistic = this.#policyFor(attempt, target).mode === 'opportunistic';
    if (end.tlsBroken && opportunistic && attempt.tls !== 'plain' && !this.#stopped) {
      attempt.tls = 'plain';
      return this.#tryNext(attempt, events);
    }
    const { reply = '451 4.4.2 connection closed', peer } = end;
    if (end.permanent) attempt.ruledOut.set(target.host, { outcome: 'failed', reply, peer });
    this.avoid(target);
    attempt.tls = 'usual';
    attempt.at++;
    if (attempt.at < attempt.targets.length && !this.#stopped) return this.#tryNext(attempt, events);
    // One address of a host speaks for the others: that one of them cannot be reached makes no difference.
    const never = attempt.targets.every(({ host }) => attempt.ruledOut.has(host)) ? attempt.ruledOut.get(target.host) : undefined;
    events.failed(never ?? { outcome: 'deferred', reply, peer });
  }
}
