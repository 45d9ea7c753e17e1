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
  /** What the client called itself in HELO or EHLO; empty when it did not. */
  readonly helo: string;
  /** RFC 3848 keyword: SMTP, ESMTP, ESMTPS, ESMTPA, ESMTPSA. */
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
  /** BODY= of MAIL (RFC 6152). */
  readonly body: '7bit' | '8bitmime';
  /** Set when scoring or a plugin said quarantine: local delivery files it apart, nothing goes to other servers. */
  readonly quarantine?: string;
}
