/**
 * The SMTP receive session (RFC 5321): bytes in, replies out. Driven by dispatch/connection through wire/session.
 * It alone reads and writes, counts errors and closes; verbs (smtp/commands.ts) return replies. Where a reply has to be
 * awaited, input is kept aside, bounded, and taken up in order afterwards. Nothing here throws: a failure of a port is
 * logged and answered with 4xx. When the peer is gone everything is given back.
 */
import { MAX_SASL_LINE_BYTES } from '../auth/sasl.ts';
import { Backlog } from '../wire/backlog.ts';
import { LineReader, type LineEvent } from '../wire/line-reader.ts';
import type { Reply } from '../wire/reply.ts';
import type { MessageUnderWay, Session, SessionOutput, TlsFacts } from '../wire/session.ts';
import { acceptMessage } from './acceptance.ts';
import { badLine, runCommand } from './commands.ts';
import type { Answered } from './conduct.ts';
import type { Chunk } from './chunk.ts';
import { Conversation, type SmtpPeer } from './conversation.ts';
import { greet } from './greeting.ts';
import type { SmtpPorts, SmtpProfile } from './ports.ts';
import type { Reception } from './reception.ts';
import {
  exchangeLineTooLong500,
  internalError421,
  localError451,
  shuttingDown421,
  talksEarly554,
  timedOut421,
  tooMuchInput421,
} from './replies.ts';
import type { Answer } from './verdict.ts';

export type { SmtpPeer } from './conversation.ts';

/** Replies gathered before they are written: one chunk of commands may ask for twenty times its size. */
const MAX_UNSENT_BYTES = 64 * 1024;
/** Input kept while an answer is awaited: the rest of a chunk and what a paused connection still delivers. */
const MAX_BACKLOG_BYTES = 256 * 1024;

/**
 * Why no input is taken. `start`: the banner is not out. `verdict`: an answer is awaited. `writer`: the message's writer
 * is behind. `peer`: the peer does not take its replies. `tls`: what comes now is not ours to read. `delay`: an answer
 * is held back.
 */
type Waiting = 'nothing' | 'start' | 'verdict' | 'writer' | 'peer' | 'tls' | 'delay';

const NO_BYTES = Buffer.alloc(0);

/**
 * Makes the session of one accepted connection; nothing is written before `start`.
 * @param profile what the listener is; one object for all of its sessions.
 */
export function createSmtpSession(ports: SmtpPorts, profile: SmtpProfile, peer: SmtpPeer, output: SessionOutput): Session {
  return new SmtpSession(new Conversation(ports, profile, peer), output);
}

class SmtpSession implements Session {
  readonly #conversation: Conversation;
  readonly #output: SessionOutput;
  readonly #lines: LineReader;
  readonly #maxLineBytes: number;
  readonly #backlog = new Backlog(MAX_BACKLOG_BYTES);
  #waiting: Waiting = 'start';
  #paused = false;
  /** The last reply was said, or the peer is gone. */
  #over = false;
  #closed = false;
  /** Replies of this turn, written in one piece. */
  #unsent: Buffer[] = [];
  #unsentBytes = 0;
  /** The banner, or what stands in its place, was said. */
  #greeted = false;
  #cancelDelay: (() => void) | undefined = undefined;
  /** Said as soon as nothing is under way. */
  #farewell: Reply | undefined = undefined;

  constructor(conversation: Conversation, output: SessionOutput) {
    this.#conversation = conversation;
    this.#output = output;
    this.#maxLineBytes = conversation.profile.limits.maxLineBytes;
    this.#lines = new LineReader(this.#maxLineBytes);
  }

  get waitsFor(): 'command' | 'data' | 'verdict' {
    if (this.#waiting !== 'nothing' && this.#waiting !== 'tls') return 'verdict';
    const { of } = this.#conversation.reading;
    return of === 'message' || of === 'chunk' ? 'data' : 'command';
  }

  get message(): MessageUnderWay | undefined {
    return this.#conversation.reception;
  }

  start(): void {
    const { bannerDelayMs } = this.#conversation.profile.limits;
    if (bannerDelayMs === 0) this.#greet();
    else this.#later(bannerDelayMs, () => this.#greet());
  }

  #greet(): void {
    try {
      this.#run(() => greet(this.#conversation), 'command');
    } catch (cause) {
      this.#fail(cause);
    }
    if (this.#waiting === 'nothing') this.#goOn();
  }

  feed(chunk: Uint8Array): void {
    if (this.#over || this.#waiting === 'tls') return;
    if (!this.#greeted && this.#conversation.profile.earlyTalkers === 'refuse') {
      this.#conversation.logRefusal('connect', talksEarly554, {});
      this.#leave(talksEarly554);
      return;
    }
    let used = 0;
    if (this.#waiting === 'nothing') {
      used = this.#consume(Buffer.isBuffer(chunk) ? chunk : Buffer.from(chunk.buffer, chunk.byteOffset, chunk.length));
    } else if (!this.#paused) {
      // Only now: a client that waits for its answer sends nothing, and pausing is not free.
      this.#paused = true;
      this.#output.pause();
    }
    if (used < chunk.length && !this.#backlog.append(chunk, used, chunk.length)) this.#leave(tooMuchInput421);
    this.#endTurn();
  }

  secured(tls: TlsFacts): void {
    // Before the banner (implicit TLS) or after STARTTLS: at no other time can a handshake end.
    if (this.#waiting !== 'tls' && this.#waiting !== 'start') return;
    this.#conversation.secured(tls);
    if (this.#waiting === 'tls') this.#waiting = 'nothing';
  }

  drained(): void {
    if (this.#waiting !== 'peer') return;
    this.#goOn();
  }

  timedOut(): void {
    if (this.#over) return;
    // A message that is being stored is not given up: its answer comes first.
    if (this.#waiting === 'verdict') this.#farewell = timedOut421;
    else this.#leave(timedOut421);
  }

  drain(): void {
    if (this.#over) return;
    this.#farewell ??= shuttingDown421;
    this.#leaveWhenIdle();
  }

  closed(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#end();
    const { ports, peer, transactions, accepted } = this.#conversation;
    ports.counters.add('smtp.closed');
    ports.log.info('smtp.closed', {
      session: peer.sessionId,
      client: peer.address,
      transactions,
      accepted,
      errors: this.#conversation.conduct.errors,
    });
  }

  /** Takes input up to the end of the chunk or to where it has to wait. @returns how much was taken. */
  #consume(chunk: Buffer): number {
    const to = chunk.length;
    let at = 0;
    try {
      while (this.#waiting === 'nothing' && !this.#over) {
        const { reading } = this.#conversation;
        if (reading.of === 'chunk' && reading.chunk.ended) this.#endChunk(reading.chunk);
        else if (at === to) break;
        else if (reading.of === 'chunk') {
          at = reading.chunk.take(chunk, at, to);
          const blocked = reading.chunk.blockedReception;
          if (blocked !== undefined) this.#awaitWriter(blocked);
        } else if (reading.of === 'message') {
          at = reading.reception.take(chunk, at, to);
          if (reading.reception.ended) this.#run(() => this.#endMessage(reading.reception), 'message');
          else if (reading.reception.blocked) this.#awaitWriter(reading.reception);
        } else {
          this.#lines.maxLineBytes = reading.of === 'dialog' ? MAX_SASL_LINE_BYTES : this.#maxLineBytes;
          const event = this.#lines.next(chunk, at, to);
          at = this.#lines.at;
          if (event === 'line') this.#run(() => this.#runLine(this.#lines.text), 'command');
          else if (event !== 'more') this.#refuseLine(event);
        }
      }
    } catch (cause) {
      this.#fail(cause);
    }
    return this.#over || this.#waiting === 'tls' ? to : at;
  }

  #runLine(line: string): Answer {
    const { reading } = this.#conversation;
    return reading.of === 'dialog' ? reading.next(line) : runCommand(this.#conversation, line);
  }

  /** A line that could not be read ends an AUTH exchange, too. */
  #refuseLine(event: Exclude<LineEvent, 'line' | 'more'>): void {
    const inExchange = this.#conversation.reading.of === 'dialog';
    this.#conversation.read();
    const reply = inExchange && event === 'too-long' ? exchangeLineTooLong500 : badLine(this.#lines.text, event);
    this.#reply(reply, 'command');
  }

  #endChunk(chunk: Chunk): void {
    const inMessage = chunk.sizeBytes > 0 && this.#conversation.transaction !== undefined;
    this.#run(() => chunk.answer(this.#conversation), chunk.endsMessage ? 'message' : inMessage ? 'chunk' : 'command');
  }

  #endMessage(reception: Reception): Answer {
    const conversation = this.#conversation;
    const transaction = conversation.transaction!;
    // From here on the transaction belongs to the end of data alone, which gives it back.
    conversation.transaction = undefined;
    conversation.read();
    return acceptMessage(conversation, transaction, reception);
  }

  /** Runs one step; its reply is written now, or when it is there. */
  #run(step: () => Answer, to: Answered): void {
    const answer = step();
    if (answer instanceof Promise) {
      this.#waiting = 'verdict';
      void answer.then(
        (reply) => this.#answered(reply, to),
        (cause: unknown) => {
          this.#conversation.log('error', 'smtp.failed', { cause });
          this.#answered(localError451, to);
        },
      );
    } else {
      this.#waiting = 'nothing';
      this.#reply(answer, to);
    }
  }

  #answered(reply: Reply, to: Answered): void {
    this.#waiting = 'nothing';
    // What the step took up while nobody was there to use it any more.
    if (this.#over) this.#conversation.endTransaction();
    else {
      this.#reply(reply, to);
      if (this.#waiting === 'nothing') this.#goOn();
      else this.#endTurn();
    }
  }

  /** The writer is behind: no more of the message until it has caught up. */
  #awaitWriter(reception: Reception): void {
    this.#waiting = 'writer';
    let atOnce = true;
    reception.writer.onDrain(() => {
      reception.blocked = false;
      if (this.#waiting !== 'writer') return;
      if (atOnce) this.#waiting = 'nothing';
      else this.#goOn();
    });
    atOnce = false;
  }

  /** Takes up the input that was kept, then reads on. */
  #goOn(): void {
    this.#waiting = 'nothing';
    do {
      // Without bytes, too: a chunk may be whole whose answer could not be given before.
      const chunk = this.#backlog.shift() ?? NO_BYTES;
      const used = this.#consume(chunk);
      this.#backlog.unshift(chunk.subarray(used));
    } while (!this.#over && this.#waiting === 'nothing' && !this.#backlog.isEmpty);
    this.#endTurn();
  }

  /** Writes the replies of this turn in one piece, and reads on where reading was paused and nothing is waited for. */
  #endTurn(): void {
    // The rest of a line that was refused before may have been all that was under way.
    this.#leaveWhenIdle();
    this.#send();
    if (!this.#paused || this.#over || this.#waiting !== 'nothing') return;
    this.#paused = false;
    this.#output.resume();
  }

  /** The one place where a reply goes out, errors are counted, and what follows a reply is done. */
  #reply(given: Reply, to: Answered): void {
    if (given.after === 'readOn') return;
    const { conduct } = this.#conversation;
    const reply = conduct.judge(given, to);
    this.#greeted = true;
    if (reply.after === 'close') {
      this.#leave(reply);
    } else if (conduct.delayMs > 0) {
      this.#later(conduct.delayMs, () => {
        this.#say(reply);
        this.#leaveWhenIdle();
        if (!this.#over) this.#goOn();
      });
    } else {
      this.#say(reply);
      if (reply.after === 'startTls') this.#startTls();
      else this.#leaveWhenIdle();
    }
  }

  /** Holds this session alone: what it sends meanwhile is kept aside. */
  #later(delayMs: number, then: () => void): void {
    this.#waiting = 'delay';
    this.#cancelDelay = this.#conversation.ports.clock.after(delayMs, () => {
      this.#waiting = 'nothing';
      then();
    });
  }

  /** RFC 3207 §4.2, §6: whatever came before TLS is thrown away. */
  #startTls(): void {
    this.#backlog.clear();
    this.#lines.reset();
    this.#send();
    if (this.#over) return;
    this.#waiting = 'tls';
    this.#paused = false;
    this.#output.startTls();
  }

  /** Says the farewell that is due, if no command and no transaction is under way. */
  #leaveWhenIdle(): void {
    if (this.#farewell === undefined || this.#waiting !== 'nothing' || this.#lines.begun) return;
    const { reading, transaction } = this.#conversation;
    if (reading.of === 'commands' && transaction === undefined) this.#leave(this.#farewell);
  }

  #fail(cause: unknown): void {
    this.#conversation.log('error', 'smtp.failed', { cause });
    this.#leave(internalError421);
  }

  /** Says a last reply and closes. */
  #leave(reply: Reply): void {
    if (this.#over) return;
    this.#say(reply);
    this.#send();
    this.#end();
    this.#output.close();
  }

  /** Nothing is taken or accepted from here on. */
  #end(): void {
    this.#over = true;
    this.#cancelDelay?.();
    // Nothing comes late any more.
    if (this.#waiting === 'delay') this.#waiting = 'nothing';
    this.#conversation.over = true;
    this.#backlog.clear();
    // While a verdict is awaited a hook may be reading the message: it is given back when the hook is done.
    if (this.#waiting !== 'verdict') this.#conversation.endTransaction();
  }

  #say(reply: Reply): void {
    this.#unsent.push(reply.bytes);
    this.#unsentBytes += reply.bytes.length;
    if (this.#unsentBytes > MAX_UNSENT_BYTES) this.#send();
  }

  #send(): void {
    const unsent = this.#unsent;
    if (unsent.length === 0) return;
    this.#unsent = [];
    this.#unsentBytes = 0;
    const open = this.#output.write(unsent.length === 1 ? unsent[0]! : Buffer.concat(unsent));
    if (!open && this.#waiting === 'nothing') this.#waiting = 'peer';
  }
}
