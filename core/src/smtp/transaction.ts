/**
 * One mail transaction: from MAIL to the end of data (RFC 5321 §3.3). Made by verbs/mail, thrown away whole at RSET,
 * EHLO, STARTTLS, at the end of data and when the peer is gone: there is nothing to clear and nothing to forget.
 * Owns the message's writer until it is dropped or handed to the sink. Holds the recipients that RCPT was taken for, as
 * many as the limit says, with what aliases make of them: beyond that no more than the configuration has addresses.
 */
import type { Notify, Recipient } from '../mail/envelope.ts';
import type { GivenEvidence } from '../hook/contract.ts';
import type { Resolution } from '../directory/directory.ts';
import type { Reply } from '../wire/reply.ts';
import type { MailParameters, RcptParameters } from './parameters.ts';
import type { MessageWriter } from './ports.ts';
import type { Reception } from './reception.ts';

/**
 * One recipient that two RCPT lead to: what either asked to be told is told (RFC 3461 §4.1). One that asked for nothing gives
 * way to the other; without NOTIFY failures and delays are told.
 */
function wishesOfBoth(known: Recipient, again: Recipient): Recipient {
  if (known.notify?.length === 0) return again;
  if (again.notify?.length === 0 || (known.notify === undefined && again.notify === undefined)) return known;
  const notify = new Set([...(known.notify ?? UNASKED), ...(again.notify ?? UNASKED)]);
  return { ...known, notify: [...notify] };
}

const UNASKED: readonly Notify[] = ['failure', 'delay'];

export class Transaction {
  /** Without brackets; empty for the null reverse-path. */
  readonly reversePath: string;
  readonly parameters: MailParameters;
  /** Each accepted RCPT has a reply of its own at the end of data (RFC 2033 §4.2). */
  readonly isLmtp: boolean;
  /** They were put together: see `replyToEach`. */
  repliedToEach = false;
  /** What XFORWARD said of this message, for the log. */
  forwarded: Readonly<Record<string, string | undefined>> | undefined = undefined;
  /** After aliases, by address: an address that is reached twice gets the message once. */
  readonly recipients = new Map<string, Recipient>();
  /** Evidence of the stages mail, rcpt and data. */
  readonly evidence: GivenEvidence[] = [];
  /** Reason, when a stage said quarantine. */
  quarantine: string | undefined = undefined;
  /** The addresses of RCPT commands that were answered with 250, as given, in order. */
  readonly accepted: string[] = [];
  /** Domains of the accepted recipients, where they are limited (RFC 9422 §4.3). */
  readonly domains = new Set<string>();
  /** What came by BDAT so far; undefined before its first chunk was taken. */
  chunks: Reception | undefined = undefined;
  /** The reply to a chunk that was refused: no later one of this message is taken (RFC 3030 §2). */
  chunksRefused: Reply | undefined = undefined;
  #writer: MessageWriter | undefined = undefined;

  constructor(reversePath: string, parameters: MailParameters, isLmtp: boolean) {
    this.reversePath = reversePath;
    this.parameters = parameters;
    this.isLmtp = isLmtp;
  }

  /** May one more recipient have this domain? */
  hasRoomForDomain(domain: string, limit: number): boolean {
    return this.domains.size < limit || this.domains.has(domain);
  }

  /** Does the client read a verdict for each recipient at the end of data? With one there is nothing to tell apart. */
  get answersEach(): boolean {
    return this.isLmtp || (this.parameters.prdr && this.accepted.length > 1);
  }

  /** BDAT was begun: neither DATA nor another recipient can come now. */
  get hasChunks(): boolean {
    return this.chunks !== undefined || this.chunksRefused !== undefined;
  }

  /** Nothing of the message is kept from here on. The first reply counts. */
  refuseChunks(reply: Reply): void {
    this.chunksRefused ??= reply;
    this.discard();
  }

  /** Takes ownership of the writer. */
  collect(writer: MessageWriter): void {
    this.#writer = writer;
  }

  /** Gives ownership of the writer away, to the sink. */
  release(): void {
    this.#writer = undefined;
  }

  /** Gives everything back. Safe to call twice, and after `release`. */
  discard(): void {
    this.#writer?.drop();
    this.#writer = undefined;
  }

  /**
   * Adds what an address leads to. `original` is kept where an alias changed the address.
   * @param address canonical text, such as `wire/address` gives it.
   * @param asked what its RCPT asked of delivery; kept through aliases (RFC 3461 §5.2.7.1).
   */
  addRecipient(address: string, resolution: Resolution, asked: RcptParameters = {}): void {
    if (resolution.is !== 'known') {
      this.#add({ address, ...asked });
      return;
    }
    for (const target of resolution.targets) {
      this.#add({
        address: target.address,
        ...(target.address === address ? {} : { original: address }),
        ...(target.to === 'mailbox' ? { mailbox: target.mailbox } : {}),
        ...(asked.notify === undefined || resolution.targets.length === 1 ? {} : { expanded: true }),
        ...asked,
      });
    }
  }

  /** Takes out every recipient that has this address, now or as it was given. */
  removeRecipient(address: string): void {
    const unwanted = address.toLowerCase();
    for (const [key, recipient] of this.recipients) {
      if (key.toLowerCase() === unwanted || recipient.original?.toLowerCase() === unwanted) this.recipients.delete(key);
    }
  }

  #add(recipient: Recipient): void {
    const known = this.recipients.get(recipient.address);
    this.recipients.set(recipient.address, known === undefined ? recipient : wishesOfBoth(known, recipient));
  }
}
