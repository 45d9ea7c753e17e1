/**
 * TLS sessions of hosts that were connected to, so that the next connection needs no whole handshake (RFC 8446 §2.2, RFC
 * 5077). Kept by remote/pool for all destinations, asked by remote/connection. Pure but for the clock.
 * A resumed handshake checks no name and no certificate again: what the whole one found is kept with the session and
 * counts for as long. So one host under another name, or one that has to prove its name and was not asked to before, has
 * a handshake of its own.
 * A session is used until the host gives another, by connections beside each other too: what RFC 8446 §C.4 says against it,
 * that the connections can be told to be of one client, tells nothing of a mail server, which says its name in EHLO.
 */
import type { Clock } from '../../mail/clock.ts';
import type { Target } from './mx.ts';
import type { TlsPolicy } from './tls-policy.ts';

export interface TlsSession {
  readonly ticket: Buffer;
  /** Why the certificate of the whole handshake proved nothing; undefined when it proved the name. */
  readonly doubt: string | undefined;
  /** When that handshake was, in monotonic milliseconds. */
  readonly provenAtMs: number;
}

/** A certificate that is withdrawn or runs out is noticed after this long. */
const MAX_AGE_MS = 3_600_000;
const MAX_HOSTS = 1000;
/** The certificate of the peer is in it. */
const MAX_BYTES = 8 * 1024;

export class TlsSessions {
  readonly #clock: Clock;
  /** Least lately kept first. */
  readonly #sessions = new Map<string, TlsSession>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** A host under one name, and whether it had to prove it. */
  static key({ host, address, port }: Target, { verify }: Pick<TlsPolicy, 'verify'>): string {
    return `${verify ? 'proven' : 'any'} ${host} ${address} ${port}`;
  }

  /** @returns undefined where there is none that is young enough */
  find(key: string): TlsSession | undefined {
    const session = this.#sessions.get(key);
    if (session === undefined || this.#clock.monotonic() - session.provenAtMs < MAX_AGE_MS) return session;
    this.forget(key);
    return undefined;
  }

  keep(key: string, session: TlsSession): void {
    if (session.ticket.length > MAX_BYTES) return;
    this.forget(key);
    this.#sessions.set(key, session);
    const [oldest] = this.#sessions.keys();
    if (this.#sessions.size > MAX_HOSTS) this.forget(oldest!);
  }

  /** The host cannot go on with its own session: the next handshake is a whole one. */
  forget(key: string): void {
    this.#sessions.delete(key);
  }
}
