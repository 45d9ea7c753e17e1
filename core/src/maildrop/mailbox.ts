/** How a message goes into a mailbox; by default into the inbox, whatever there is already. */
export interface Manner {
  readonly folder?: 'inbox' | 'quarantine';
  /** Of the message as stored, without `head`: given, it is refused where the quota has no room for it. */
  readonly sizeBytes?: number;
}

/** Local delivery as a port: one message into one user's Maildir. */
export interface LocalMailbox {
  /**
   * Writes the message and makes it visible, synced (file and folder) before it resolves.
   * @param id queue id: a second delivery of the same id to the same mailbox after a crash finds the first and does nothing.
   * @param head header lines put in front (Return-Path, Delivered-To).
   * @throws MailboxError
   */
  deliver(mailbox: string, id: string, head: Uint8Array, body: AsyncIterable<Uint8Array>, manner?: Manner): Promise<void>;
}

export class MailboxError extends Error {
  readonly permanent: boolean;
  readonly enhanced: string;
  constructor(permanent: boolean, enhanced: string, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'MailboxError';
    this.permanent = permanent;
    this.enhanced = enhanced;
  }
}
