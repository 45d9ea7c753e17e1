/**
 * What the client sends, cut into steps for the session to run: command lines, lines of an AUTH exchange, messages, chunks.
 * Which of them comes next the conversation knows (`reading`). Input that may not be taken yet is kept by wire/inflow; so
 * is what comes of a message while its writer is behind. Nothing that was sent ahead of TLS survives it.
 */
import { MAX_SASL_LINE_BYTES } from '../auth/sasl.ts';
import { type ByteTaker, Inflow } from '../wire/inflow.ts';
import { type LineEvent, LineReader } from '../wire/line-reader.ts';
import type { SessionOutput } from '../wire/session.ts';
import { acceptMessage } from './acceptance.ts';
import type { Chunk } from './chunk.ts';
import { badLine, runCommand } from './commands.ts';
import type { Answered } from './conduct.ts';
import type { Conversation } from './conversation.ts';
import type { Reception } from './reception.ts';
import { exchangeLineTooLong500 } from './replies.ts';
import type { Answer } from './verdict.ts';

/** The session, as the intake sees it. */
export interface StepRunner {
  /** May a step be run now? */
  readonly ready: boolean;
  /** Runs one step: its reply goes out now, or when it is there. */
  run(step: () => Answer, to: Answered): void;
  /** A step threw. */
  fail(cause: unknown): void;
  /** More can be taken: the message's writer has caught up. */
  goOn(): void;
}

export class Intake implements ByteTaker {
  readonly inflow: Inflow;
  /** The message's writer is behind: no more of the message until it has caught up. */
  behind = false;
  readonly #session: StepRunner;
  readonly #conversation: Conversation;
  readonly #lines: LineReader;
  readonly #maxLineBytes: number;

  constructor(session: StepRunner, conversation: Conversation, output: Pick<SessionOutput, 'pause' | 'resume'>) {
    this.#session = session;
    this.#conversation = conversation;
    this.#maxLineBytes = conversation.profile.limits.maxLineBytes;
    this.#lines = new LineReader(this.#maxLineBytes);
    this.inflow = new Inflow(this, output);
  }

  get ready(): boolean {
    return !this.behind && this.#session.ready;
  }

  /** True in the middle of a line. */
  get inLine(): boolean {
    return this.#lines.begun;
  }

  /** Throws away all that was sent and not taken, a line that was begun, too. */
  clear(): void {
    this.#lines.reset();
    this.inflow.clear();
  }

  take(bytes: Buffer): number {
    const to = bytes.length;
    const { cleared } = this.inflow;
    let at = 0;
    try {
      while (this.inflow.cleared === cleared && this.ready) {
        const { reading } = this.#conversation;
        // Without bytes, too: a chunk may be whole whose answer could not be given before.
        if (reading.of === 'chunk' && reading.chunk.ended) this.#endChunk(reading.chunk);
        else if (at === to) break;
        else if (reading.of === 'chunk') {
          at = reading.chunk.take(bytes, at, to);
          const blocked = reading.chunk.blockedReception;
          if (blocked !== undefined) this.#awaitWriter(blocked);
        } else if (reading.of === 'message') {
          at = reading.reception.take(bytes, at, to);
          if (reading.reception.ended) this.#session.run(() => this.#endMessage(reading.reception), 'message');
          else if (reading.reception.blocked) this.#awaitWriter(reading.reception);
        } else {
          this.#lines.maxLineBytes = reading.of === 'dialog' ? MAX_SASL_LINE_BYTES : this.#maxLineBytes;
          const event = this.#lines.next(bytes, at, to);
          at = this.#lines.at;
          if (event === 'line') this.#session.run(() => this.#runLine(this.#lines.text), 'command');
          else if (event !== 'more') this.#session.run(() => this.#refuseLine(event), 'command');
        }
      }
    } catch (cause) {
      this.#session.fail(cause);
    }
    return at;
  }

  #runLine(line: string): Answer {
    const { reading } = this.#conversation;
    return reading.of === 'dialog' ? reading.next(line) : runCommand(this.#conversation, line);
  }

  /** A line that could not be read ends an AUTH exchange, too. */
  #refuseLine(event: Exclude<LineEvent, 'line' | 'more'>): Answer {
    const inExchange = this.#conversation.reading.of === 'dialog';
    this.#conversation.read();
    return inExchange && event === 'too-long' ? exchangeLineTooLong500 : badLine(this.#lines.text, event);
  }

  #endChunk(chunk: Chunk): void {
    const inMessage = chunk.sizeBytes > 0 && this.#conversation.transaction !== undefined;
    const to = chunk.endsMessage ? 'message' : inMessage ? 'chunk' : 'command';
    this.#session.run(() => chunk.answer(this.#conversation), to);
  }

  #endMessage(reception: Reception): Answer {
    const conversation = this.#conversation;
    const transaction = conversation.transaction!;
    // From here on the transaction belongs to the end of data alone, which gives it back.
    conversation.transaction = undefined;
    conversation.read();
    return acceptMessage(conversation, transaction, reception);
  }

  #awaitWriter(reception: Reception): void {
    this.behind = true;
    let atOnce = true;
    reception.writer.onDrain(() => {
      reception.blocked = false;
      this.behind = false;
      if (!atOnce) this.#session.goOn();
    });
    atOnce = false;
  }
}
