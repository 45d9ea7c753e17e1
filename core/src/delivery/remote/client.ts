/**
 * The SMTP client as a pure engine: bytes of a server in, commands out (RFC 5321). No socket, no clock: its owner is
 * remote/connection, which writes, starts TLS, and tells of timeouts and broken connections.
 * It greets (EHLO, else HELO; LHLO where it speaks LMTP), upgrades and logs in as its policy says, then sends one message after another, the next
 * one's MAIL right behind the final dot where the peer pipelines. Each message ends in exactly one of `finished`, with a
 * result for each recipient, or the `untried` list of `ended`. Nothing a peer sends makes it throw.
 */
import type { Result } from '../reply.ts';
import { loginSteps } from './login.ts';
import { type Capabilities, NO_CAPABILITIES, readCapabilities } from './capabilities.ts';
import { refuseForTime } from './delivery-requests.ts';
import { asLastChunk } from './last-chunk.ts';
import { stuffWhole } from './dot-stuff.ts';
import { linesOf, type RawReply, ReplyReader, textOf } from './reply-reader.ts';
import { ANSWERED_EARLY, type OutgoingMessage, Transaction } from './transaction.ts';
import type { TlsPolicy } from './tls-policy.ts';

export type Phase = 'greeting' | 'hello' | 'starttls' | 'handshake' | 'login' | 'idle' | 'busy' | 'quit' | 'ended';

/** How a session ended, and what was left. */
export interface SessionEnd {
  /** Where it was. */
  readonly phase: Phase;
  /** The peer's reply or our own reason. Undefined after QUIT. */
  readonly reply: string | undefined;
  /** Who said it, by its name; undefined when it is our own. */
  readonly peer: string | undefined;
  /** The peer will never take mail: 521 (RFC 7504), or it is no place for this mail (REQUIRETLS). */
  readonly permanent: boolean;
  /** STARTTLS broke, or TLS before the first word under it: a new connection may try without. */
  readonly tlsBroken: boolean;
  /** Messages the peer answered nothing of. */
  readonly untried: readonly OutgoingMessage[];
}

/** What the engine tells its owner. All are called from within `feed`, `send` and the other methods. */
export interface ClientOutput {
  write(bytes: Uint8Array): void;
  /** Start TLS as client on the connection now. */
  startTls(): void;
  /** Ready for a message: once after the session is set up, and after each one that nothing followed. */
  idle(): void;
  /** One more message to send behind the one whose body goes out now; it must have passed `refusal`. */
  following(): OutgoingMessage | undefined;
  /** The peer waits for the body of a streamed message: `body` with each chunk, then `endBody`. */
  streamBody(message: OutgoingMessage): void;
  finished(message: OutgoingMessage, results: readonly Result[]): void;
  /** Close the connection. Last call. */
  ended(end: SessionEnd): void;
}

export interface ClientOptions {
  /** The peer's name, for what it says. */
  readonly name: string;
  /** Our name in EHLO. */
  readonly hostname: string;
  /** LHLO, and a reply for each recipient at the end of a message (RFC 2033). */
  readonly protocol?: 'lmtp';
  readonly policy: TlsPolicy;
}

/** Bytes of a body that are sent in one piece, with what follows; larger ones are streamed. */
export const WHOLE_BODY_BYTES = 64 * 1024;

const AHEAD_OF_TLS = '451 4.7.5 the mail host sent replies ahead of the TLS handshake';

export class SmtpClient {
  readonly #options: ClientOptions;
  readonly #output: ClientOutput;
  #reader = new ReplyReader();
  #phase: Phase = 'greeting';
  #capabilities = NO_CAPABILITIES;
  #saysEhlo = true;
  #secure: boolean;
  #login: Iterator<string, void> | undefined;
  #current: Transaction | undefined;
  #following: Transaction | undefined;
  #needsReset = false;
  /** Why the peer is left for good before it got any mail. */
  #leaving: string | undefined;
  #progress = 0;
  /**
   * Something was asked since the chunk came that is being read. Nothing is asked before all else was answered, so what
   * follows in that chunk was sent before its question, and answers none.
   */
  #askedSince = false;
  /** The owner gave up. */
  #isLost = false;

  constructor(options: ClientOptions, output: ClientOutput) {
    this.#options = options;
    this.#output = output;
    this.#secure = options.policy.mode === 'implicit';
  }

  get #isLmtp(): boolean {
    return this.#options.protocol === 'lmtp';
  }

  get phase(): Phase {
    return this.#phase;
  }
  /** Which wait of a transaction it is in, for the owner's timeout. */
  get stage(): Transaction['stage'] | undefined {
    return this.#current?.stage;
  }
  /** Rises with each reply and command: what a timeout is measured from. */
  get progress(): number {
    return this.#progress;
  }
  get capabilities(): Capabilities {
    return this.#capabilities;
  }

  /** Why this peer cannot take the message at all, as a permanent reply; undefined when it can be sent. */
  refusal(message: OutgoingMessage): string | undefined {
    if (message.unfit !== undefined) return message.unfit;
    const limit = this.#capabilities.size;
    if (limit !== undefined && limit > 0 && message.sizeBytes > limit) {
      return `552 5.3.4 message of ${message.sizeBytes} bytes is larger than the ${limit} bytes the mail host takes`;
    }
    // RFC 3030 §3: by DATA its bare CR and LF would be taken for line ends, or for the end.
    if (message.binary === true && !this.#capabilities.binaryMime) {
      return '554 5.6.3 message is binary and the mail host does not offer BINARYMIME';
    }
    // RFC 6531 §3.2: neither addresses nor header may be sent as UTF-8 to a host that does not know it.
    if (message.smtpUtf8 === true && !this.#capabilities.smtpUtf8) {
      return '553 5.6.7 message needs SMTPUTF8 and the mail host does not offer it';
    }
    // RFC 6152 §3: convert (remote/job), or fail for good. Sent anyway, a 7-bit hop would corrupt it unseen.
    if (message.eightBit && message.binary !== true && !this.#capabilities.eightBitMime) {
      return '554 5.6.3 message has 8-bit content and the mail host does not offer 8BITMIME';
    }
    return message.asked === undefined ? undefined : refuseForTime(message.asked, this.#capabilities, this.#isLmtp);
  }

  /** Sends a message; only when idle, and after `refusal` found nothing. */
  send(message: OutgoingMessage): void {
    if (this.#phase !== 'idle') throw new Error(`send while ${this.#phase}`);
    this.#phase = 'busy';
    this.#current = this.#open(message);
    this.#write(this.#current.opening());
  }

  /** The next piece of a streamed body, as it goes over the wire. The owner writes it, to see what the socket takes. */
  bodyEnds(): void {
    this.#progress++;
    this.#current?.bodySent();
  }

  /** Bytes from the peer. The buffer may be used again afterwards. */
  feed(chunk: Uint8Array): void {
    if (this.#phase === 'ended') return;
    // A reply that had begun before the question does not answer it either.
    this.#askedSince &&= this.#reader.isWithinReply;
    const left = this.#reader.feed(chunk, this.#take);
    if (left === 'too-long' || left === 'malformed') {
      this.#end(`451 4.5.0 the mail host sent ${left === 'malformed' ? 'what is no reply' : 'a reply without end'}`);
    } else if (left > 0 && this.#phase === 'handshake') {
      // RFC 3207 §6 and the injections of 2011: what came before TLS must not count after it.
      this.#end(AHEAD_OF_TLS);
    } else if (this.#phase === 'handshake') {
      this.#output.startTls();
    }
  }

  /** TLS is up: start over, since nothing the peer said before it can be believed. */
  secured(): void {
    this.#secure = true;
    this.#reader = new ReplyReader();
    this.#capabilities = NO_CAPABILITIES;
    if (this.#phase === 'handshake') this.#hello();
  }

  /** The owner gives up: a timeout, a reset, a failed handshake, a body that cannot be read. */
  fail(reply: string, permanent = false): void {
    if (this.#phase === 'quit') return this.#finish(this.#leaving, this.#leaving !== undefined);
    this.#isLost = true;
    this.#end(reply, permanent);
  }

  /** Says QUIT and waits for its answer. Only when idle. */
  quit(): void {
    if (this.#phase !== 'idle') throw new Error(`quit while ${this.#phase}`);
    this.#phase = 'quit';
    this.#write('QUIT\r\n');
  }

  /** RFC 8689 §4.2.1: a host that is no place for the mail is told QUIT; another one may be. */
  #leave(reply: string): void {
    this.#leaving = reply;
    this.#phase = 'quit';
    this.#write('QUIT\r\n');
  }

  #write(commands: string): void {
    this.#progress++;
    this.#askedSince = true;
    this.#output.write(Buffer.from(commands, 'utf8'));
  }

  #open(message: OutgoingMessage): Transaction {
    const transaction = new Transaction(message, this.#options.name, this.#capabilities, this.#needsReset, this.#isLmtp);
    this.#needsReset = false;
    return transaction;
  }

  readonly #take = (raw: RawReply): boolean => {
    this.#progress++;
    // 421 may come at any time, and to QUIT everything is an answer.
    if (this.#askedSince && raw.code !== 421 && this.#phase !== 'quit') this.#takeAhead();
    else if (this.#phase === 'busy' && raw.code !== 421) this.#takeBusy(raw);
    else this.#takeOther(raw);
    // After STARTTLS was answered, and after the end, nothing more of this chunk is read.
    const phase: Phase = this.#phase;
    return phase !== 'handshake' && phase !== 'ended';
  };

  /** Believed, it would be taken for the answer to another question, and each later one too: for the next recipient's, say. */
  #takeAhead(): void {
    const { stage } = this;
    if (stage === 'body' || stage === 'dot') return this.#end(ANSWERED_EARLY);
    if (this.#phase === 'starttls') return this.#end(AHEAD_OF_TLS);
    // It may have been so before, unseen.
    this.#current?.distrust();
    this.#end('451 4.5.0 the mail host answered before it was asked');
  }

  #takeOther(raw: RawReply): void {
    const ok = raw.code >= 200 && raw.code <= 299;
    switch (this.#phase) {
      case 'quit':
        this.#finish(this.#leaving, this.#leaving !== undefined);
        return;
      case 'greeting':
        if (!ok) this.#endAs(raw, raw.code === 521);
        else this.#hello();
        return;
      case 'hello':
        this.#takeHello(raw, ok);
        return;
      case 'starttls':
        if (ok) this.#phase = 'handshake';
        else if (raw.code === 421 || this.#options.policy.mode === 'required') this.#endAs(raw);
        else this.#afterTls();
        return;
      case 'login':
        this.#takeLogin(raw, ok);
        return;
      default:
        // 421 at any time is the peer's goodbye; any other reply that nobody asked for is out of step.
        if (raw.code === 421) this.#endAs(raw);
        else this.#end('451 4.5.0 the mail host sent a reply that nobody asked for');
    }
  }

  #hello(): void {
    this.#phase = 'hello';
    this.#saysEhlo = true;
    this.#write(`${this.#isLmtp ? 'LHLO' : 'EHLO'} ${this.#options.hostname}\r\n`);
  }

  #takeHello(raw: RawReply, ok: boolean): void {
    if (ok) {
      this.#capabilities = this.#saysEhlo ? readCapabilities(linesOf(raw)) : NO_CAPABILITIES;
      const { mode, demands } = this.#options.policy;
      if (this.#secure && demands === 'promise' && !this.#capabilities.requireTls) {
        return this.#leave('550 5.7.30 message needs REQUIRETLS and the mail host does not offer it');
      }
      if (this.#secure || mode === 'never') return this.#afterTls();
      if (this.#capabilities.startTls) {
        this.#phase = 'starttls';
        return this.#write('STARTTLS\r\n');
      }
      if (demands !== undefined) return this.#leave('550 5.7.10 message needs TLS and the mail host does not offer it');
      return mode === 'required' ? this.#end('451 4.7.4 the mail host does not offer the required TLS') : this.#afterTls();
    }
    // RFC 2033 §4.1: LMTP knows no HELO to go back to.
    if (raw.code < 500 || !this.#saysEhlo || this.#isLmtp) return this.#endAs(raw);
    this.#saysEhlo = false;
    this.#write(`HELO ${this.#options.hostname}\r\n`);
  }

  #afterTls(): void {
    const { credentials, plainSecret } = this.#options.policy;
    if (credentials === undefined) return this.#becomeIdle();
    if (!this.#secure && !plainSecret) return this.#end('451 4.7.0 not logging in to the mail host without TLS');
    this.#login = loginSteps(credentials, this.#capabilities.auth);
    const first = this.#login.next();
    if (first.done === true) return this.#end('451 4.7.0 the mail host offers neither AUTH PLAIN nor AUTH LOGIN');
    this.#phase = 'login';
    this.#write(`${first.value}\r\n`);
  }

  #takeLogin(raw: RawReply, ok: boolean): void {
    if (ok) {
      this.#capabilities = { ...this.#capabilities, loggedIn: true };
      return this.#becomeIdle();
    }
    const next = raw.code === 334 ? this.#login?.next() : undefined;
    // A refused login is a slip in our configuration: the mail waits until it is mended.
    if (next === undefined || next.done === true) return this.#end(`451 4.7.0 login refused by the mail host: ${textOf(raw)}`);
    this.#write(`${next.value}\r\n`);
  }

  #becomeIdle(): void {
    this.#phase = 'idle';
    this.#output.idle();
  }

  #takeBusy(raw: RawReply): void {
    const transaction = this.#current!;
    const early = transaction.stage === 'body';
    switch (transaction.take(raw)) {
      case 'wait':
        return;
      case 'send':
        this.#write(transaction.command);
        return;
      case 'empty':
        this.#write('.\r\n');
        // RFC 2033 §4.2: a reply for each accepted recipient, so none comes. What the peer sends from here on is a guess.
        if (this.#isLmtp) this.#end('451 4.5.0 the mail host took the message of no recipient');
        return;
      case 'body':
        this.#sendBody(transaction);
        return;
      case 'astray':
        transaction.distrust();
        return this.#end(`451 4.5.0 the mail host is out of step: ${textOf(raw)}`);
      case 'done':
        this.#current = undefined;
        this.#needsReset ||= transaction.needsReset;
        this.#output.finished(
          transaction.message,
          transaction.results({ outcome: 'deferred', reply: textOf(raw), peer: this.#options.name }),
        );
        // The dot can no longer be sent without making half a message whole: the connection is lost for others.
        if (!early) this.#advance();
        else if (raw.code < 400) this.#end(ANSWERED_EARLY);
        else this.#endAs(raw);
    }
  }

  #sendBody(transaction: Transaction): void {
    const { content } = transaction.message;
    this.#askedSince = true;
    if (content === undefined) {
      this.#output.streamBody(transaction.message);
      return;
    }
    this.#progress++;
    // LMTP answers an end several times: one answer too many would pass for one to what follows, so nothing does.
    const next = this.#capabilities.pipelining && !this.#isLmtp ? this.#output.following() : undefined;
    if (next !== undefined) this.#following = this.#open(next);
    transaction.bodySent();
    const behind = this.#following?.opening() ?? '';
    this.#output.write(transaction.message.binary === true ? asLastChunk(content, behind) : stuffWhole(content, behind));
  }

  /** A message is done: on with the one already under way behind it, or idle. */
  #advance(): void {
    // `finished` may have ended the session.
    const phase: Phase = this.#phase;
    if (phase === 'ended') return;
    this.#current = this.#following;
    this.#following = undefined;
    if (this.#current === undefined) this.#becomeIdle();
  }

  #end(reply: string, permanent = false): void {
    this.#finish(reply, permanent);
  }

  /** Ends with what the peer said. */
  #endAs(raw: RawReply, permanent = false): void {
    this.#finish(textOf(raw), permanent, this.#options.name);
  }

  #finish(reply: string | undefined, permanent: boolean, peer?: string): void {
    if (this.#phase === 'ended') return;
    const { phase } = this;
    this.#phase = 'ended';
    const untried: OutgoingMessage[] = [];
    for (const transaction of [this.#current, this.#following]) {
      if (transaction === undefined) continue;
      if (!transaction.wasTried) untried.push(transaction.message);
      else {
        const lost: Result = { outcome: 'deferred', reply: reply ?? '451 4.4.2 connection closed', peer };
        this.#output.finished(transaction.message, transaction.results(lost));
      }
    }
    this.#current = undefined;
    this.#following = undefined;
    // In TLS 1.3 a server refuses our handshake, as for the want of a certificate, after it is over for us (RFC 8446 §4.4.2.4).
    const isRefusedLate = phase === 'hello' && this.#secure && this.#isLost;
    const tlsBroken =
      phase === 'handshake' || isRefusedLate || (phase === 'starttls' && this.#options.policy.mode === 'opportunistic');
    this.#output.ended({ phase, reply, peer, permanent, tlsBroken, untried });
  }
}
