/**
 * One message's dialogue from MAIL to the reply to the final dot (RFC 5321 §3.3), with or without PIPELINING (RFC 2920).
 * Made and fed by remote/client, which does the writing. Pure: takes replies, says what to do next, and ends with a
 * result for each recipient. A recipient that was refused is never part of what the message's end decides. In LMTP the
 * end has a reply for each recipient that was accepted, in their order (RFC 2033 §4.2).
 */
import type { Asked } from '../asked.ts';
import { type Handover, type Result, resultOf, statusOf } from '../reply.ts';
import type { Capabilities } from './capabilities.ts';
import { handoverTo, rcptRequests } from './delivery-requests.ts';
import { mailParameters } from './mail-parameters.ts';
import { type RawReply, textOf } from './reply-reader.ts';

/** A message to send, for recipients of one next hop. */
export interface OutgoingMessage {
  readonly reversePath: string;
  readonly recipients: readonly string[];
  /** Declared by SIZE (RFC 1870). */
  readonly sizeBytes: number;
  /** True when BODY=8BITMIME is to be passed on (RFC 6152). */
  readonly eightBit: boolean;
  /** It came as BODY=BINARYMIME (RFC 3030 §3): its bytes are no lines. */
  readonly binary?: boolean;
  /** Addresses or header may be UTF-8 (RFC 6531 §3.4). */
  readonly smtpUtf8?: boolean;
  /** MT-PRIORITY (RFC 6710), -9 to 9; absent is 0. */
  readonly priority?: number;
  /** REQUIRETLS (RFC 8689); the connection was opened for it. */
  readonly requireTls?: boolean;
  /** What is asked of its delivery; absent when that is nothing. */
  readonly asked?: Asked | undefined;
  /** It cannot be made fit for the peer: the permanent reply that says why. */
  readonly unfit?: string;
  /** The bytes of a small message; undefined: they are streamed when the peer is ready for them. */
  readonly content: Uint8Array | undefined;
}

/**
 * `send`: write `command`. `body`: send the message. `empty`: nobody is left, send a lone dot. `done`: `results` are whole.
 * `astray`: the reply answers something else; what the peer thinks it is told next is anybody's guess.
 */
export type Step = 'wait' | 'send' | 'body' | 'empty' | 'done' | 'astray';
type Stage = 'rset' | 'mail' | 'rcpt' | 'data' | 'body' | 'dot' | 'empty' | 'check' | 'done';

/** Of a 250 to what was not sent whole. */
export const ANSWERED_EARLY = '451 4.5.0 the mail host answered a message that it did not have yet';

export class Transaction {
  readonly message: OutgoingMessage;
  /** What to write when a step said `send`. */
  command = '';
  /** True after `done` when the peer still holds a transaction open: RSET before the next MAIL. */
  needsReset = false;
  #stage: Stage;
  readonly #pipelined: boolean;
  readonly #mail: string;
  readonly #results: (Result | undefined)[];
  #rcpt = 0;
  #accepted = 0;
  readonly #peer: string;
  readonly #lmtp: boolean;
  readonly #capabilities: Capabilities;
  /** Who has the message when it was taken, where its sender may want to know. */
  readonly #handover: Handover | undefined;
  /** The recipient that the next reply to the end is about, in LMTP. */
  #answered = 0;
  /** Of the peer's replies to this message; none means it was not tried. */
  #replies = 0;
  #mailRefusal: Result | undefined;

  /** @param peer by its name */
  constructor(message: OutgoingMessage, peer: string, capabilities: Capabilities, resetFirst: boolean, lmtp = false) {
    this.message = message;
    this.#peer = peer;
    this.#lmtp = lmtp;
    this.#capabilities = capabilities;
    this.#handover = message.asked === undefined ? undefined : handoverTo(capabilities, lmtp);
    this.#pipelined = capabilities.pipelining;
    this.#stage = resetFirst ? 'rset' : 'mail';
    this.#results = message.recipients.map(() => undefined);
    this.#mail = `MAIL FROM:<${message.reversePath}>${mailParameters(message, capabilities)}\r\n`;
  }

  get stage(): Stage {
    return this.#stage;
  }

  /** False until the peer answered anything of this message: then it may be sent elsewhere at once. */
  get wasTried(): boolean {
    return this.#replies > 0;
  }

  /** What to write first: everything up to DATA, or to BDAT, where the peer pipelines. */
  opening(): string {
    const reset = this.#stage === 'rset' ? 'RSET\r\n' : '';
    if (!this.#pipelined) return reset === '' ? this.#mail : reset;
    let text = reset + this.#mail;
    for (const recipient of this.message.recipients) text += this.#rcptTo(recipient);
    // RFC 3030 §2: BDAT waits for nobody, but a message for nobody is not worth its octets.
    return this.message.binary === true ? text : `${text}DATA\r\n`;
  }

  /** The final dot was written. */
  bodySent(): void {
    this.#stage = 'dot';
  }

  /** Takes the next reply to this transaction. */
  take(raw: RawReply): Step {
    if (this.#stage !== 'rset') this.#replies++;
    if (this.#isAstray(raw.code)) return 'astray';
    switch (this.#stage) {
      case 'rset':
        this.#stage = 'mail';
        return this.#pipelined ? 'wait' : this.#send(this.#mail);
      case 'mail':
        return this.#takeMail(raw);
      case 'rcpt':
        return this.#takeRcpt(raw);
      case 'data':
        return this.#takeData(raw);
      case 'body':
      case 'dot':
        return this.#takeEnd(raw);
      case 'empty':
      case 'check':
        return this.#finish(undefined);
      default:
        return 'done';
    }
  }

  /** Its replies were not meant for it, as it turned out: a refusal among them is none. What was delivered stays so. */
  distrust(): void {
    for (const [index, result] of this.#results.entries()) {
      if (result?.outcome === 'failed') this.#results[index] = undefined;
    }
  }

  /** The results; recipients without one get `otherwise`. */
  results(otherwise: Result): Result[] {
    return this.#results.map((result) => result ?? otherwise);
  }

  /**
   * A peer that is a reply behind would say 354 to the RSET after a message that came to nothing, and take the commands that
   * follow for its text.
   */
  #isAstray(code: number): boolean {
    switch (this.#stage) {
      case 'rset':
      case 'check':
        return code >= 300;
      case 'data':
        return code < 400 && code !== 354;
      case 'body':
        // What came before the end is dealt with there.
        return false;
      default:
        return code >= 300 && code <= 399;
    }
  }

  #rcptTo(recipient: string): string {
    const { asked, smtpUtf8 } = this.message;
    const utf8 = smtpUtf8 === true && this.#capabilities.smtpUtf8;
    const parameters =
      asked === undefined || this.#handover === undefined ? '' : rcptRequests(asked, recipient, this.#handover, utf8);
    return `RCPT TO:<${recipient}>${parameters}\r\n`;
  }

  #send(command: string): Step {
    this.command = command;
    return 'send';
  }

  #takeMail(raw: RawReply): Step {
    this.#stage = 'rcpt';
    if (raw.code < 200 || raw.code > 299) {
      this.#mailRefusal = resultOf(raw.code, textOf(raw), this.#peer);
      if (!this.#pipelined) return this.#finish(this.#mailRefusal);
    }
    return this.#pipelined ? 'wait' : this.#send(this.#rcptTo(this.message.recipients[0]!));
  }

  #takeRcpt(raw: RawReply): Step {
    if (raw.code >= 200 && raw.code <= 299 && this.#mailRefusal === undefined) {
      this.#accepted++;
    } else {
      this.#results[this.#rcpt] = this.#mailRefusal ?? this.#refusedRecipient(raw);
    }
    this.#rcpt++;
    if (this.#rcpt < this.message.recipients.length) {
      return this.#pipelined ? 'wait' : this.#send(this.#rcptTo(this.message.recipients[this.#rcpt]!));
    }
    if (this.message.binary === true) {
      this.needsReset = this.#accepted === 0 && this.#mailRefusal === undefined;
      if (this.#accepted === 0) return this.#finish(undefined);
      this.#stage = 'body';
      return 'body';
    }
    this.#stage = 'data';
    if (this.#pipelined) return 'wait';
    if (this.#accepted > 0) return this.#send('DATA\r\n');
    this.needsReset = true;
    return this.#finish(undefined);
  }

  /** RFC 5321 §4.5.3.1.10: 552 for too many recipients is an old spelling of 452; a full mailbox (5.2.x) is not meant. */
  #refusedRecipient(raw: RawReply): Result {
    const reply = textOf(raw);
    const tooMany = raw.code === 552 && this.#accepted > 0 && !statusOf(reply).startsWith('5.2.');
    return tooMany ? { outcome: 'deferred', reply, peer: this.#peer } : resultOf(raw.code, reply, this.#peer);
  }

  #takeData(raw: RawReply): Step {
    if (raw.code === 354) {
      // RFC 2920 §3.1: a peer may say 354 though it took no recipient; then a lone dot gets it out of DATA.
      this.#stage = this.#accepted > 0 ? 'body' : 'empty';
      return this.#accepted > 0 ? 'body' : 'empty';
    }
    const refusal = resultOf(raw.code, textOf(raw), this.#peer);
    this.#finish(refusal);
    this.needsReset = this.#mailRefusal === undefined;
    if (refusal.outcome !== 'failed' || this.#accepted === 0) return 'done';
    // From a peer that is a reply behind this is what it said of its last recipient, and would fail all the others by it: such
    // a one now says 354. A peer that says no more, and leaves, meant it.
    this.needsReset = false;
    this.#stage = 'check';
    return this.#send('RSET\r\n');
  }

  #takeEnd(raw: RawReply): Step {
    const early = this.#stage === 'body';
    const reply = textOf(raw);
    // Before the end was sent nothing can have been accepted.
    const result =
      early && raw.code < 400 ? ({ outcome: 'deferred', reply: ANSWERED_EARLY } as const) : resultOf(raw.code, reply, this.#peer);
    const told: Result =
      this.#handover === undefined || result.outcome !== 'delivered' ? result : { ...result, handover: this.#handover };
    return this.#lmtp ? this.#takeOne(told, early) : this.#finish(told);
  }

  #takeOne(result: Result, early: boolean): Step {
    const unanswered = (index: number): number => this.#results.indexOf(undefined, index);
    this.#answered = unanswered(this.#answered);
    this.#results[this.#answered] = result;
    // The connection ends here, and the others with it.
    if (early) return this.#finish({ ...result, outcome: 'deferred' });
    return unanswered(this.#answered) < 0 ? this.#finish(undefined) : 'wait';
  }

  #finish(rest: Result | undefined): Step {
    if (rest !== undefined) {
      for (let index = 0; index < this.#results.length; index++) this.#results[index] ??= rest;
    }
    this.#stage = 'done';
    return 'done';
  }
}
