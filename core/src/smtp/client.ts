/**
 * Who is at the other end of an SMTP session: address, name, TLS, user, and what it may do for being that one. Kept by the
 * conversation, read by verbs. STARTTLS makes it forget what was said in clear; XCLIENT, from a host that is trusted for
 * it, makes it another one.
 */
import { type SessionFacts, tlsForPlugins } from '../hook/contract.ts';
import type { Origin } from '../mail/envelope.ts';
import { isLoopback } from '../wire/address-literal.ts';
import type { TlsFacts } from '../wire/session.ts';
import type { AttributeName, Attributes } from './client-attributes.ts';
import type { SmtpPorts, SmtpProfile } from './ports.ts';
import { protocolKeyword } from './received.ts';

/** The client's end of the connection. */
export interface SmtpPeer {
  readonly address: string;
  readonly port: number;
  readonly sessionId: string;
  /** As a trusted proxy says it looked it up. */
  readonly name?: string;
  /** Set when TLS is up before the session starts. */
  readonly tls?: TlsFacts;
}

export class Client {
  /** Who is really at the other end of the connection. */
  readonly door: string;
  readonly #ports: SmtpPorts;
  readonly #profile: SmtpProfile;
  #peer: SmtpPeer;
  #tls: TlsFacts | undefined;
  #helo: string | undefined = undefined;
  #extended = false;
  #user: string | undefined = undefined;
  /** What all XCLIENTs of this session said: each adds to it. */
  readonly #claimed = new Map<AttributeName, string | undefined>();
  #facts: SessionFacts | undefined = undefined;
  #isRelayHost: boolean | undefined = undefined;

  constructor(ports: SmtpPorts, profile: SmtpProfile, peer: SmtpPeer) {
    this.#ports = ports;
    this.#profile = profile;
    this.#peer = peer;
    this.door = peer.address;
    this.#tls = peer.tls;
  }

  get address(): string {
    return this.#peer.address;
  }

  get sessionId(): string {
    return this.#peer.sessionId;
  }

  get tls(): TlsFacts | undefined {
    return this.#tls;
  }

  /** As it named itself; undefined before HELO or EHLO. */
  get helo(): string | undefined {
    return this.#helo;
  }

  /** EHLO was used. */
  get extended(): boolean {
    return this.#extended;
  }

  /** Who logged in. */
  get user(): string | undefined {
    return this.#user;
  }

  /** Session facts for hooks; made when first asked for and again after they changed. */
  get facts(): SessionFacts {
    return (this.#facts ??= {
      sessionId: this.#peer.sessionId,
      listener: this.#profile.listener,
      clientAddress: this.#peer.address,
      clientPort: this.#peer.port,
      helo: this.#helo ?? '',
      ...(this.#tls === undefined ? {} : { tls: tlsForPlugins(this.#tls) }),
      ...(this.#user === undefined ? {} : { user: this.#user }),
    });
  }

  /** Where a message comes from. @param utf8 whether it came with SMTPUTF8 */
  originOf(utf8: boolean): Origin {
    const { kind, listener } = this.#profile;
    const user = this.#user;
    return {
      listener,
      clientAddress: this.#peer.address,
      clientPort: this.#peer.port,
      ...(this.#peer.name === undefined ? {} : { clientName: this.#peer.name }),
      helo: this.#helo ?? '',
      protocol: protocolKeyword(this.#extended, this.#tls !== undefined, user !== undefined, utf8, kind === 'lmtp'),
      ...(user === undefined ? {} : { user }),
      sessionId: this.#peer.sessionId,
    };
  }

  /** Where nothing is done in clear nothing else may be announced there. */
  get #takesMoreThanTls(): boolean {
    return this.#tls !== undefined || !this.#profile.requireTls;
  }

  get mayXclient(): boolean {
    return this.#takesMoreThanTls && this.#ports.mayXclient(this.door);
  }

  get mayXforward(): boolean {
    return this.#takesMoreThanTls && this.#ports.mayXforward(this.door);
  }

  /** May it send to domains that are not ours? LMTP delivers here and nowhere else. */
  get mayRelay(): boolean {
    if (this.#profile.kind === 'lmtp') return false;
    return this.#user !== undefined || this.isRelayHost;
  }

  /** Is it one of the hosts that may send anywhere without a password (`relay.from`)? */
  get isRelayHost(): boolean {
    return (this.#isRelayHost ??= this.#ports.mayRelay(this.#peer.address));
  }

  get mayStartTls(): boolean {
    return this.#profile.starttls && this.#tls === undefined;
  }

  /** May it send a password as things are? */
  get maySendPassword(): boolean {
    if (this.#tls !== undefined) return true;
    if (this.#profile.requireTls) return false;
    if (this.#profile.plaintextLogin === 'always') return true;
    return this.#profile.plaintextLogin === 'loopback' && isLoopback(this.#peer.address);
  }

  /** HELO or EHLO was accepted. */
  named(helo: string, extended: boolean): void {
    this.#helo = helo;
    this.#extended = extended;
    this.#facts = undefined;
  }

  authenticated(user: string): void {
    this.#user = user;
    this.#facts = undefined;
  }

  /** TLS is up: what was said before it is forgotten (RFC 3207 §4.2). */
  secured(tls: TlsFacts): void {
    this.#tls = tls;
    this.#helo = undefined;
    this.#extended = false;
    this.#user = undefined;
    // Who the client is stands, as the connection's own address does; what was said in its name does not.
    for (const name of ['HELO', 'PROTO', 'LOGIN'] as const) this.#claimed.delete(name);
    this.#facts = undefined;
  }

  /** A trusted proxy said whose session this is. */
  becomes(attributes: Attributes): void {
    for (const [name, value] of attributes) this.#claimed.set(name, value);
    const claimed = this.#claimed;
    const name = claimed.get('NAME');
    this.#peer = {
      // A client whose address the proxy does not know is nobody's: no network is trusted for it.
      address: claimed.has('ADDR') ? (claimed.get('ADDR') ?? '0.0.0.0') : this.#peer.address,
      port: claimed.has('PORT') ? Number(claimed.get('PORT') ?? 0) : this.#peer.port,
      sessionId: this.#peer.sessionId,
      ...(name === undefined ? {} : { name }),
    };
    this.#helo = claimed.get('HELO');
    this.#extended = this.#helo !== undefined && claimed.get('PROTO') !== 'SMTP';
    const login = claimed.get('LOGIN');
    // A user may have been logged in by an address of his; one that is not known here is taken at the proxy's word.
    this.#user = login === undefined ? undefined : (this.#ports.directory.user(login)?.name ?? login);
    // Its certificate and what a login is bound to are the proxy's.
    if (this.#tls !== undefined) this.#tls = { version: this.#tls.version, cipher: this.#tls.cipher };
    this.#facts = undefined;
    this.#isRelayHost = undefined;
  }
}
