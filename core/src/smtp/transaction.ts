/**
 * One mail transaction: from MAIL to the end of data (RFC 5321 §3.3). Made by verbs/mail, thrown away whole at RSET,
 * EHLO, STARTTLS, at the end of data and when the peer is gone: there is nothing to clear and nothing to forget.
 * Owns the message's writer until it is dropped or handed to the sink. Holds no more recipients than the limit.
 */
import type { BodyKind, Recipient } from '../mail/envelope.ts';
import type { GivenEvidence } from '../hook/contract.ts';
import type { Resolution } from '../directory/directory.ts';
import type { MessageWriter } from './ports.ts';

export class Transaction {
  /** Without brackets; empty for the null reverse-path. */
  readonly reversePath: string;
  readonly declaredSizeBytes: number | undefined;
  readonly body: BodyKind;
  /** After aliases, by address: an address that is reached twice gets the message once. */
  readonly recipients = new Map<string, Recipient>();
  /** Evidence of the stages mail, rcpt and data. */
  readonly evidence: GivenEvidence[] = [];
  /** Reason, when a stage said quarantine. */
  quarantine: string | undefined = undefined;
  /** RCPT commands that were answered with 250. */
  acceptedRecipients = 0;
  /** The first accepted recipient as given, for the trace header. */
  firstRecipient = '';
  #writer: MessageWriter | undefined = undefined;

  constructor(reversePath: string, declaredSizeBytes: number | undefined, body: BodyKind) {
    this.reversePath = reversePath;
    this.declaredSizeBytes = declaredSizeBytes;
    this.body = body;
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
   */
  addRecipient(address: string, resolution: Resolution): void {
    if (resolution.is !== 'known') {
      this.#add({ address });
      return;
    }
    for (const target of resolution.targets) {
      this.#add({
        address: target.address,
        ...(target.address === address ? {} : { original: address }),
        ...(target.to === 'mailbox' ? { mailbox: target.mailbox } : {}),
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
    if (!this.recipients.has(recipient.address)) this.recipients.set(recipient.address, recipient);
  }
}
