/**
 * What one SMTP session knows: its peer, its name, its user, its transaction, and what is read next. Verbs work on it
 * and return replies; the session (smtp/session.ts) alone reads and writes bytes. No I/O of its own but the ports'.
 */
import { type Edit, type GivenEvidence, type SessionFacts, tlsForPlugins, type Verdict } from '../hook/contract.ts';
import type { Origin } from '../mail/envelope.ts';
import type { LogFields } from '../observe/log.ts';
import { isLoopback } from '../wire/address-literal.ts';
import { parseMailbox } from '../wire/address.ts';
import type { Reply } from '../wire/reply.ts';
import type { TlsFacts } from '../wire/session.ts';
import type { AttributeName, Attributes } from './client-attributes.ts';
import type { Chunk } from './chunk.ts';
import { Conduct } from './conduct.ts';
import type { SmtpPorts, SmtpProfile } from './ports.ts';
import { protocolKeyword } from './received.ts';
import type { Reception } from './reception.ts';
import type { Transaction } from './transaction.ts';
import { gatherEvidence, type Answer } from './verdict.ts';

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

/** What the next bytes are. */
export type Reading =
  | { readonly of: 'commands' }
  /** Lines of an AUTH exchange; each goes to `next`. */
  | { readonly of: 'dialog'; readonly next: (line: string) => Answer }
  | { readonly of: 'message'; readonly reception: Reception }
  /** Octets of a BDAT, wanted or not. */
  | { readonly of: 'chunk'; readonly chunk: Chunk };

const COMMANDS: Reading = { of: 'commands' };

export class Conversation {
  readonly ports: SmtpPorts;
  readonly profile: SmtpProfile;
  /** Who the client is; XCLIENT changes it. */
  peer: SmtpPeer;
  /** Who is really at the other end of the connection. */
  readonly door: string;
  readonly conduct: Conduct;
  reading: Reading = COMMANDS;
  tls: TlsFacts | undefined;
  /** As the client named itself; undefined before HELO or EHLO. */
  helo: string | undefined = undefined;
  /** EHLO was used. */
  extended = false;
  user: string | undefined = undefined;
  transaction: Transaction | undefined = undefined;
  /** The connect stage refused the session (RFC 5321 §3.1): only QUIT is answered. */
  refused = false;
  /** The session has ended: nothing is to be accepted any more. */
  over = false;
  /** What XFORWARD said of the next message. */
  forwarded: Readonly<Record<string, string | undefined>> | undefined = undefined;
  /** What all XCLIENTs of this session said: each adds to it. */
  #claimed = new Map<AttributeName, string | undefined>();
  /** Transactions begun. */
  transactions = 0;
  accepted = 0;
  readonly evidence: { connect: GivenEvidence[]; hello: GivenEvidence[]; auth: GivenEvidence[] } = {
    connect: [],
    hello: [],
    auth: [],
  };
  /** Reasons of the stages that said quarantine. */
  readonly #quarantined: { connect?: string; hello?: string; auth?: string } = {};
  #facts: SessionFacts | undefined = undefined;
  #isRelayHost: boolean | undefined = undefined;

  constructor(ports: SmtpPorts, profile: SmtpProfile, peer: SmtpPeer) {
    this.ports = ports;
    this.profile = profile;
    this.peer = peer;
    this.door = peer.address;
    this.tls = peer.tls;
    this.conduct = new Conduct(profile.limits);
  }

  /** Session facts for hooks; made when first asked for and again after they changed. */
  get facts(): SessionFacts {
    return (this.#facts ??= {
      sessionId: this.peer.sessionId,
      listener: this.profile.listener,
      clientAddress: this.peer.address,
      clientPort: this.peer.port,
      helo: this.helo ?? '',
      ...(this.tls === undefined ? {} : { tls: tlsForPlugins(this.tls) }),
      ...(this.user === undefined ? {} : { user: this.user }),
    });
  }

  /** Where a message comes from. @param utf8 whether it came with SMTPUTF8 */
  originOf(utf8: boolean): Origin {
    return {
      listener: this.profile.listener,
      clientAddress: this.peer.address,
      clientPort: this.peer.port,
      ...(this.peer.name === undefined ? {} : { clientName: this.peer.name }),
      helo: this.helo ?? '',
      protocol: protocolKeyword(this.extended, this.tls !== undefined, this.user !== undefined, utf8, this.isLmtp),
      ...(this.user === undefined ? {} : { user: this.user }),
      sessionId: this.peer.sessionId,
    };
  }

  get isLmtp(): boolean {
    return this.profile.kind === 'lmtp';
  }

  /** Where nothing is done in clear nothing else may be announced there. */
  get #takesMoreThanTls(): boolean {
    return this.tls !== undefined || !this.profile.requireTls;
  }

  get mayXclient(): boolean {
    return this.#takesMoreThanTls && this.ports.mayXclient(this.door);
  }

  get mayXforward(): boolean {
    return this.#takesMoreThanTls && this.ports.mayXforward(this.door);
  }

  /** May this client send to domains that are not ours? LMTP delivers here and nowhere else. */
  get mayRelay(): boolean {
    if (this.isLmtp) return false;
    return this.user !== undefined || this.isRelayHost;
  }

  /** Is the client one of the hosts that may send anywhere without a password (`relay.from`)? */
  get isRelayHost(): boolean {
    return (this.#isRelayHost ??= this.ports.mayRelay(this.peer.address));
  }

  get offersStartTls(): boolean {
    return this.profile.starttls && this.tls === undefined;
  }

  /** May a password be sent as things are? */
  get takesPassword(): boolean {
    if (this.tls !== undefined) return true;
    if (this.profile.requireTls) return false;
    if (this.profile.plaintextLogin === 'always') return true;
    return this.profile.plaintextLogin === 'loopback' && isLoopback(this.peer.address);
  }

  /** The message whose bytes are coming in, also between its chunks. */
  get reception(): Reception | undefined {
    return this.reading.of === 'message' ? this.reading.reception : this.transaction?.chunks;
  }

  /** Reads on as told; back to commands without an argument. */
  read(reading: Reading = COMMANDS): void {
    this.reading = reading;
  }

  /** HELO or EHLO was accepted. */
  greet(name: string, extended: boolean): void {
    this.helo = name;
    this.extended = extended;
    this.#facts = undefined;
    this.endTransaction();
  }

  authenticated(user: string): void {
    this.user = user;
    this.#facts = undefined;
  }

  /** TLS is up: what was said before it is forgotten (RFC 3207 §4.2). */
  secured(tls: TlsFacts): void {
    this.endTransaction();
    this.read();
    this.tls = tls;
    this.helo = undefined;
    this.extended = false;
    this.user = undefined;
    this.forwarded = undefined;
    this.#forget('hello');
    this.#forget('auth');
    // Who the client is stands, as the connection's own address does; what was said in its name does not.
    for (const name of ['HELO', 'PROTO', 'LOGIN'] as const) this.#claimed.delete(name);
    this.#facts = undefined;
  }

  /** A trusted proxy said whose session this is: it stands where it did after the banner, as that client's. */
  becomes(attributes: Attributes): void {
    this.endTransaction();
    this.read();
    for (const [name, value] of attributes) this.#claimed.set(name, value);
    const claimed = this.#claimed;
    const name = claimed.get('NAME');
    this.peer = {
      // A client whose address the proxy does not know is nobody's: no network is trusted for it.
      address: claimed.has('ADDR') ? (claimed.get('ADDR') ?? '0.0.0.0') : this.peer.address,
      port: claimed.has('PORT') ? Number(claimed.get('PORT') ?? 0) : this.peer.port,
      sessionId: this.peer.sessionId,
      ...(name === undefined ? {} : { name }),
    };
    this.helo = claimed.get('HELO');
    this.extended = this.helo !== undefined && claimed.get('PROTO') !== 'SMTP';
    const login = claimed.get('LOGIN');
    // A user may have been logged in by an address of his; one that is not known here is taken at the proxy's word.
    this.user = login === undefined ? undefined : (this.ports.directory.user(login)?.name ?? login);
    // Its certificate and what a login is bound to are the proxy's.
    if (this.tls !== undefined) this.tls = { version: this.tls.version, cipher: this.tls.cipher };
    for (const stage of ['connect', 'hello', 'auth'] as const) this.#forget(stage);
    this.forwarded = undefined;
    this.#facts = undefined;
    this.#isRelayHost = undefined;
  }

  #forget(stage: 'connect' | 'hello' | 'auth'): void {
    this.evidence[stage] = [];
    delete this.#quarantined[stage];
  }

  /** Reason, when connect, hello or auth said quarantine. */
  get quarantine(): string | undefined {
    return this.#quarantined.auth ?? this.#quarantined.hello ?? this.#quarantined.connect;
  }

  /** Throws the transaction away; its writer too, unless it was handed to the sink. */
  endTransaction(): void {
    this.transaction?.discard();
    this.transaction = undefined;
  }

  /** Keeps what a stage of the session found out: evidence and quarantine. */
  keep(stage: 'connect' | 'hello' | 'auth', verdict: Verdict): void {
    if (stage === 'hello') this.evidence.hello = [];
    gatherEvidence(this.evidence[stage], verdict.evidence);
    if (verdict.kind === 'quarantine') this.#quarantined[stage] = verdict.text ?? 'quarantined by policy';
  }

  /** Applies the recipient edits of a stage to the transaction; addresses that are none, or nobody's, are left out and logged. */
  editRecipients(transaction: Transaction, edits: readonly Edit[]): void {
    for (const edit of edits) {
      if (edit.edit !== 'add-recipient' && edit.edit !== 'remove-recipient') continue;
      const address = parseMailbox(edit.address);
      const resolution = address === undefined ? undefined : this.ports.directory.resolve(address.text);
      if (address === undefined) this.log('warn', 'smtp.edit-refused', { edit, reason: 'not an address' });
      else if (edit.edit === 'remove-recipient') transaction.removeRecipient(address.text);
      else if (resolution === undefined || resolution.is === 'unknown')
        this.log('warn', 'smtp.edit-refused', { edit, reason: 'no such user' });
      else transaction.addRecipient(address.text, resolution);
    }
  }

  /** Logs with the session's id; not for the hot path of a level that is off. */
  log(level: 'info' | 'warn' | 'error', event: string, fields: LogFields): void {
    this.ports.log[level](event, { session: this.peer.sessionId, ...fields });
  }

  /** Logs and counts a refusal. The cause is private. */
  logRefusal(stage: string, reply: Reply, fields: LogFields): void {
    this.ports.counters.add(reply.code < 500 ? 'smtp.deferred' : 'smtp.rejected');
    this.log('info', reply.code < 500 ? 'smtp.deferred' : 'smtp.rejected', {
      stage,
      client: this.peer.address,
      ...(this.user === undefined ? {} : { user: this.user }),
      reply: `${reply.code} ${reply.enhanced} ${reply.text}`,
      ...fields,
    });
  }
}
