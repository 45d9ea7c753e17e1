/**
 * What an SMTP session needs from the rest of the house. Plugged together in wiring; tests bring their own.
 * The session never sees a socket, a thread, the queue or a plugin: only these.
 */
import type { Pipeline, Verdict } from '../hook/contract.ts';
import type { Clock } from '../mail/clock.ts';
import type { Envelope } from '../mail/envelope.ts';
import type { MessageBytes } from '../mail/message-bytes.ts';
import type { Counters } from '../observe/counters.ts';
import type { Log } from '../observe/log.ts';
import type { Directory, MayWriteAs } from '../directory/directory.ts';
import type { Authenticator } from '../auth/authenticator.ts';
import type { Requests } from './requests.ts';

/** Collects the bytes of one message as they come in; owned by one transaction, given back by exactly one of `drop` or the sink. */
export interface MessageWriter {
  /**
   * Takes a copy of `chunk[from, to)`.
   * @returns false when the writer wants the session to stop feeding until `onDrain` (spilling to disk is behind).
   */
  write(chunk: Uint8Array, from: number, to: number): boolean;
  onDrain(then: () => void): void;
  readonly sizeBytes: number;
  /** Set once the writer could not keep the message (disk full, memory bound): the rest is read and thrown away, then deferred. */
  readonly failure: 'memory' | 'disk' | undefined;
  /** Ends writing; resolves when every byte is readable (a spill is on its file). Synchronous for messages in memory. Throws or rejects when `failure` is set. */
  seal(): MessageBytes | Promise<MessageBytes>;
  /** Gives the memory or the spool file back. Safe to call twice. */
  drop(): void;
}

/** A message ready to be stored. */
export interface Submission {
  readonly envelope: Envelope;
  /** Header lines to stand before the received bytes, CRLF-ended: Received, explaining headers. */
  readonly prepend: Uint8Array;
  /** Ranges of the received bytes to leave out (removed headers), ascending, not overlapping. */
  readonly cuts: readonly { readonly from: number; readonly to: number }[];
  readonly writer: MessageWriter;
}

export type Accepted =
  | { readonly ok: true }
  /** `full`: 452 4.3.1. `failed`: 451 4.3.0. */
  | { readonly ok: false; readonly why: 'full' | 'failed'; readonly cause: string };

export interface MessageSink {
  /** Starts collecting; undefined when memory for messages or disk space is short: 452 4.3.1 before the message is taken. */
  begin(declaredSizeBytes: number | undefined): MessageWriter | undefined;
  /** Resolves when the message is on disk (then the caller may say 250) or was refused. Drops the writer in either case. */
  accept(submission: Submission): Promise<Accepted>;
}

/** Sums up evidence at the end of data; `null` result means deliver as it is. Core's scoring behind wiring. */
export type Scoring = (message: Verdict) => {
  readonly action: 'pass' | 'tag' | 'quarantine' | 'reject';
  readonly score: number;
  /** Explaining header's value, folded with CRLF and a tab; empty when nothing had anything to say. */
  readonly explanation: string;
};

export interface SmtpLimits {
  readonly maxMessageBytes: number;
  /** RCPT commands accepted for one message. */
  readonly maxRecipients: number;
  /** Domains among the recipients of one message; 0: no limit. */
  readonly maxRecipientDomains: number;
  /** Command line with CRLF; RFC 5321 §4.5.3.1.4 says 512, AUTH and long parameters need more. */
  readonly maxLineBytes: number;
  /** Text line inside a message, RFC 5321 §4.5.3.1.6 says 1000; over it: 500 5.5.2 at the end of data. */
  readonly maxTextLineBytes: number;
  readonly maxHeaderBytes: number;
  /** Bad commands and rejected recipients before 421. */
  readonly maxErrors: number;
  /** Errors past this many are answered `errorDelayMs` late. */
  readonly errorsBeforeDelay: number;
  /** 0: no delay. */
  readonly errorDelayMs: number;
  /** Verbs that are in no table, before 421. */
  readonly maxUnknownCommands: number;
  /** NOOP, RSET, VRFY and HELP since the last message, before 421. */
  readonly maxIdleCommands: number;
  /** Commands without a message at their end before 421: NOOP, RSET and deferred recipients must not go on for ever. */
  readonly maxCommands: number;
  /** Received headers before a loop is assumed (RFC 5321 §6.3). */
  readonly maxHops: number;
  /** Transactions in one session before 421. */
  readonly maxMessages: number;
  /** Wait before the banner; 0 for none. */
  readonly bannerDelayMs: number;
}

/** What a listener is; one object for all of its sessions. */
export interface SmtpProfile {
  readonly listener: string;
  readonly hostname: string;
  /** `submission` asks for AUTH before MAIL. */
  readonly kind: 'smtp' | 'submission' | 'lmtp';
  readonly starttls: boolean;
  /** Nothing but EHLO, STARTTLS, NOOP and QUIT is done before TLS (RFC 3207 §4). */
  readonly requireTls: boolean;
  /** May a password come without TLS? */
  readonly plaintextLogin: 'never' | 'loopback' | 'always';
  /** What becomes of a client that talks before the banner. */
  readonly earlyTalkers: 'allow' | 'refuse';
  /** A bare CR or LF in a message: refused with the message, or made CRLF. Neither ever ends it. */
  readonly bareLineEnds: 'refuse' | 'normalise';
  /** Whose addresses a client that logged in may write as: see `MayWriteAs`. Only for `submission`. */
  readonly senderMustMatch: 'login' | 'domain' | 'off';
  /** What is added to a message tells nothing of where its client is. Only for `submission`. */
  readonly hideClient: boolean;
  /** Whom VRFY tells who is here: nobody, or those who may send anywhere. */
  readonly vrfy: 'off' | 'users';
  /** What clients may ask of delivery. */
  readonly requests: Requests;
  readonly limits: SmtpLimits;
}

export interface SmtpPorts {
  readonly hooks: Pipeline;
  readonly sink: MessageSink;
  readonly directory: Directory;
  readonly mayWriteAs: MayWriteAs;
  /** What becomes of a message of this size that surely does not fit into the mailbox; undefined where it may. */
  readonly full: (mailbox: string, sizeBytes: number) => 'defer' | 'reject' | 'never' | undefined;
  readonly authenticator: Authenticator;
  /** True when this client address may send anywhere without a password (`relay.from`). */
  readonly mayRelay: (clientAddress: string) => boolean;
  /** Hosts that may say whose session it is (`xclientFrom`), and whose mail they pass on (`xforwardFrom`). */
  readonly mayXclient: (address: string) => boolean;
  readonly mayXforward: (address: string) => boolean;
  readonly scoring: Scoring;
  /** A new queue id. */
  readonly newId: () => string;
  readonly clock: Clock;
  readonly log: Log;
  readonly counters: Counters;
}
