/**
 * The envelope of a message: who sent it, to whom, and how it came in.
 * Made by a reception (SMTP session, bounce, `posthorn send`), kept by the queue store as JSON, read by delivery.
 * Never changed after acceptance: what happens to a recipient later is `DeliveryState` (queue/store.ts).
 */

/** How a message was received: what the trace header, the log and the hooks tell of its origin. */
export interface Origin {
  /** Name of the listener in the configuration, or `internal` for a bounce and `local` for `posthorn send`. */
  readonly listener: string;
  readonly clientAddress: string;
  readonly clientPort: number;
  /** As a trusted proxy says it looked it up (XCLIENT NAME). */
  readonly clientName?: string;
  /** What the client called itself in HELO or EHLO; empty when it did not. */
  readonly helo: string;
  /** RFC 3848 keyword: SMTP, ESMTP, ESMTPS, ESMTPA, ESMTPSA, LMTP, LMTPS. */
  readonly protocol: string;
  /** The authenticated user, if any. */
  readonly user?: string;
  readonly sessionId: string;
}

/** One RCPT, after aliases were expanded. */
export interface Recipient {
  /** Address as delivered to: local part as given, domain in lower case. */
  readonly address: string;
  /** Address as the client gave it, when an alias or an edit changed it (RFC 3461 original recipient). */
  readonly original?: string;
  /** Mailbox (user name) for a local recipient; absent means the next hop is found by its domain. */
  readonly mailbox?: string;
  /** NOTIFY= (RFC 3461 §4.1); empty for NEVER, absent when not given: failures and delays are told then. */
  readonly notify?: readonly Notify[];
  /** It is one of several that an alias leads to (RFC 3461 §5.2.7.3). */
  readonly expanded?: true;
  /** ORCPT= as given, `type;xtext` (RFC 3461 §4.2). */
  readonly orcpt?: string;
}

/** What a sender wants a delivery status notification of (RFC 3461 §4.1). */
export type Notify = 'success' | 'failure' | 'delay';

/** BODY= of MAIL: RFC 6152, and RFC 3030 §3 for binary. */
export type BodyKind = '7bit' | '8bitmime' | 'binarymime';

/** BY= of MAIL (RFC 2852 §4), its seconds made a time. */
export interface DeliverBy {
  readonly atMs: number;
  /** Past the time: give up and bounce, or go on and tell the sender. */
  readonly mode: 'return' | 'notify';
  /** T: each server that passes the message on tells the sender so. */
  readonly trace: boolean;
}

/** HOLDFOR= or HOLDUNTIL= of MAIL (RFC 4865 §4.2): no delivery is tried before. */
export interface Hold {
  readonly untilMs: number;
  /** As asked, for notifications (RFC 4865 §5.1.2): `for;` and seconds, or `until;` and the date. */
  readonly request: string;
}

export interface Envelope {
  /** Queue id, unique over slots and restarts, sorts by time of reception. Also in the Received header and each log line. */
  readonly id: string;
  readonly receivedAtMs: number;
  /** RFC 5321 reverse-path without brackets; empty for the null reverse-path. */
  readonly reversePath: string;
  readonly recipients: readonly Recipient[];
  readonly origin: Origin;
  /** Size of the message as stored: added headers and received bytes. */
  readonly sizeBytes: number;
  readonly body: BodyKind;
  /** SMTPUTF8 of MAIL (RFC 6531 §3.4): header or addresses may be UTF-8; next hops must offer it too. */
  readonly smtpUtf8?: true;
  /** RET= (RFC 3461 §4.3): what a failure notification carries of the message. */
  readonly ret?: 'full' | 'headers';
  /** ENVID= as given, xtext (RFC 3461 §4.4). */
  readonly envid?: string;
  readonly deliverBy?: DeliverBy;
  readonly hold?: Hold;
  /** MT-PRIORITY= (RFC 6710 §4), -9 to 9; absent is 0. */
  readonly priority?: number;
  /** REQUIRETLS of MAIL (RFC 8689 §4.2.1). */
  readonly requireTls?: true;
  /** The header field `TLS-Required: No` (RFC 8689 §5), where REQUIRETLS was not given: delivery matters more than TLS. */
  readonly tlsOptional?: true;
  /** Set when scoring or a plugin said quarantine: local delivery files it apart, and none but the next hops of our own domains get it. */
  readonly quarantine?: string;
}

/** From when on a message is to be delivered: how long it may be tried, and when its sender is warned, counts from here. */
export function releasedAtMs({ hold, receivedAtMs }: Pick<Envelope, 'hold' | 'receivedAtMs'>): number {
  return hold === undefined ? receivedAtMs : Math.max(receivedAtMs, hold.untilMs);
}
