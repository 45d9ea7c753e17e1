/**
 * What one SMTP session knows: its client, its transaction, what its stages found out, and what is read next. Verbs work
 * on it and return replies; the session (smtp/session.ts) alone reads and writes bytes. No I/O of its own but the ports'.
 */
import type { LogFields } from '../observe/log.ts';
import type { Reply } from '../wire/reply.ts';
import type { MessageUnderWay, TlsFacts } from '../wire/session.ts';
import type { Chunk } from './chunk.ts';
import { Client, type SmtpPeer } from './client.ts';
import type { Attributes } from './client-attributes.ts';
import { Conduct } from './conduct.ts';
import { Findings } from './findings.ts';
import type { SmtpPorts, SmtpProfile } from './ports.ts';
import type { Reception } from './reception.ts';
import type { Transaction } from './transaction.ts';
import type { Answer } from './verdict.ts';

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
  readonly client: Client;
  readonly conduct: Conduct;
  readonly findings = new Findings();
  reading: Reading = COMMANDS;
  transaction: Transaction | undefined = undefined;
  /** The connect stage refused the session (RFC 5321 §3.1): only QUIT is answered. */
  refused = false;
  /** The session has ended: nothing is to be accepted any more. */
  over = false;
  /** What XFORWARD said of the next message. */
  forwarded: Readonly<Record<string, string | undefined>> | undefined = undefined;
  /** Transactions begun. */
  transactions = 0;
  accepted = 0;

  constructor(ports: SmtpPorts, profile: SmtpProfile, peer: SmtpPeer) {
    this.ports = ports;
    this.profile = profile;
    this.client = new Client(ports, profile, peer);
    this.conduct = new Conduct(profile.limits);
  }

  get isLmtp(): boolean {
    return this.profile.kind === 'lmtp';
  }

  /** The message whose bytes are coming in, also between its chunks, or a chunk that is read away. */
  get underWay(): MessageUnderWay | undefined {
    const { reading } = this;
    if (reading.of === 'message') return reading.reception;
    return reading.of === 'chunk' ? reading.chunk.underWay : this.transaction?.chunks;
  }

  /** Reads on as told; back to commands without an argument. */
  read(reading: Reading = COMMANDS): void {
    this.reading = reading;
  }

  /** HELO or EHLO was accepted. */
  greet(helo: string, extended: boolean): void {
    this.client.named(helo, extended);
    this.endTransaction();
  }

  /** TLS is up: nothing that was said before it counts. */
  secured(tls: TlsFacts): void {
    this.client.secured(tls);
    this.#beginAnew();
    this.findings.forget('hello', 'auth');
  }

  /** A trusted proxy said whose session this is: it stands where it did after the banner, as that client's. */
  becomes(attributes: Attributes): void {
    this.client.becomes(attributes);
    this.#beginAnew();
    this.findings.forget('connect', 'hello', 'auth');
  }

  #beginAnew(): void {
    this.endTransaction();
    this.read();
    this.forwarded = undefined;
  }

  /** Throws the transaction away; its writer too, unless it was handed to the sink. */
  endTransaction(): void {
    this.transaction?.discard();
    this.transaction = undefined;
  }

  /** Logs with the session's id; not for the hot path of a level that is off. */
  log(level: 'info' | 'warn' | 'error', event: string, fields: LogFields): void {
    this.ports.log[level](event, { session: this.client.sessionId, ...fields });
  }

  /** Logs and counts a refusal. The cause is private. */
  logRefusal(stage: string, reply: Reply, fields: LogFields): void {
    const { address, user } = this.client;
    this.ports.counters.add(reply.code < 500 ? 'smtp.deferred' : 'smtp.rejected');
    this.log('info', reply.code < 500 ? 'smtp.deferred' : 'smtp.rejected', {
      stage,
      client: address,
      ...(user === undefined ? {} : { user }),
      reply: `${reply.code} ${reply.enhanced} ${reply.text}`,
      ...fields,
    });
  }

  /** The last line of the session in the log. */
  logEnd(): void {
    const { client, transactions, accepted, conduct } = this;
    this.ports.counters.add('smtp.closed');
    this.log('info', 'smtp.closed', { client: client.address, transactions, accepted, errors: conduct.errors });
  }
}
