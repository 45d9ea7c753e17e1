/**
 * The POP3 session (RFC 1939, 2449, 2595, 6856): bytes in, replies out. Driven by dispatch/connection through
 * wire/session. It alone reads (intake.ts), writes (replies.ts), changes what is known (conversation.ts) and closes; verbs
 * (the table in commands.ts) return outcomes. Replies of one turn go out in one write; while an answer is awaited, or
 * the peer does not take what it asked for, no command is taken. Nothing here throws: a failing port is logged and
 * answered with -ERR. However it ends other than by QUIT, nothing is deleted and the lock is given up.
 */
import { MAX_SASL_LINE_BYTES } from '../auth/sasl.ts';
import type { LineEvent } from '../wire/line-reader.ts';
import type { Session, SessionOutput, TlsFacts } from '../wire/session.ts';
import { badLine, runCommand } from './commands.ts';
import { Conversation, type Pop3Peer } from './conversation.ts';
import { greet } from './greeting.ts';
import { Intake, type LineTaker } from './intake.ts';
import { fail, refuse, type Outcome } from './outcome.ts';
import type { Pop3Ports, Pop3Profile } from './ports.ts';
import { Replies } from './replies.ts';

export type { Pop3Peer } from './conversation.ts';

/**
 * Why no input is taken. `answer`: a port or a plugin is asked. `tls`: what comes now is not ours to read.
 * `over`: the last reply was said, or the peer is gone.
 */
type Waiting = 'nothing' | 'answer' | 'tls' | 'over';

/**
 * Makes the session of one accepted connection; nothing is written before `start`.
 * @param profile what the listener is; one object for all of its sessions.
 */
export function createPop3Session(ports: Pop3Ports, profile: Pop3Profile, peer: Pop3Peer, output: SessionOutput): Session {
  return new Pop3Session(new Conversation(ports, profile, peer), output);
}

class Pop3Session implements Session, LineTaker {
  readonly #conversation: Conversation;
  readonly #output: SessionOutput;
  readonly #replies: Replies;
  readonly #intake: Intake;
  #waiting: Waiting = 'answer';
  #draining = false;
  #closed = false;
  /** Takes the next line in place of the table of commands. */
  #next: Outcome['next'];
  #endedBy = '';

  constructor(conversation: Conversation, output: SessionOutput) {
    this.#conversation = conversation;
    this.#output = output;
    this.#replies = new Replies(output, conversation.ports.buffers);
    this.#intake = new Intake(this, output, conversation.profile.maxLineBytes);
  }

  get ready(): boolean {
    return this.#waiting === 'nothing' && !this.#replies.blocked;
  }

  get waitsFor(): 'command' | 'verdict' {
    return this.#waiting === 'answer' || (this.#waiting === 'nothing' && this.#replies.blocked) ? 'verdict' : 'command';
  }

  start(): void {
    this.#conversation.ports.counters.add('pop3.sessions');
    this.#ask(() => greet(this.#conversation));
    this.#endTurn();
  }

  feed(chunk: Uint8Array): void {
    if (this.#waiting === 'over' || this.#waiting === 'tls') return;
    if (!this.#intake.inflow.feed(chunk)) {
      this.#say(refuse(this.#conversation.texts.tooMuchAhead).line);
      this.#end('too much sent ahead');
    }
    this.#endTurn();
  }

  secured(tls: TlsFacts): void {
    this.#conversation.secured(tls);
    // The peer has taken all that was said in clear: it could not have shaken hands else.
    this.#replies.drained();
    if (this.#waiting !== 'tls') return;
    this.#await();
    this.#endTurn();
  }

  drained(): void {
    this.#replies.drained();
    this.#goOn();
  }

  /** RFC 1939 §3: closes without a reply, deletes nothing. */
  timedOut(): void {
    this.#end('timeout');
  }

  drain(): void {
    this.#draining = true;
    if (this.#waiting !== 'answer') this.#leave();
  }

  closed(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#end('connection lost');
    this.#conversation.logEnd(this.#endedBy);
  }

  takeLine(event: Exclude<LineEvent, 'more'>, line: string): void {
    this.#ask(() => {
      if (event !== 'line') return badLine(this.#conversation, event);
      const next = this.#next;
      this.#next = undefined;
      return next === undefined ? runCommand(this.#conversation, line) : next(line);
    });
  }

  /** Asks for an outcome and acts on it, at once or when it is there. */
  #ask(answer: () => Outcome | Promise<Outcome>): void {
    this.#waiting = 'answer';
    let outcome: Outcome | Promise<Outcome>;
    try {
      outcome = answer();
    } catch (error) {
      outcome = this.#failed(error);
    }
    if (outcome instanceof Promise) {
      outcome
        .catch((error: unknown) => this.#failed(error))
        .then((settled) => {
          this.#apply(settled);
          this.#goOn();
        })
        .catch((error: unknown) => this.#broken(error));
    } else {
      this.#apply(outcome);
    }
  }

  #apply(outcome: Outcome): void {
    const { state, line, body, giveBack, stream, fault, after, next } = outcome;
    if (this.#waiting === 'over') {
      // The peer left while it was logged in.
      if (state?.at === 'transaction') state.drop.release();
      giveBack?.();
      return;
    }
    const { conduct, profile, ports } = this.#conversation;
    this.#conversation.settle(outcome);
    this.#say(line);
    for (const piece of body ?? []) this.#replies.add(piece);
    if (fault) conduct.errors += 1;
    const { excess } = conduct;
    if (stream === undefined || excess !== undefined) giveBack?.();
    if (excess !== undefined) {
      ports.counters.add(excess.counter);
      this.#end(excess.endedBy);
      return;
    }
    this.#next = next;
    this.#intake.maxLineBytes = next === undefined ? profile.maxLineBytes : MAX_SASL_LINE_BYTES;
    if (stream !== undefined) this.#pour(stream);
    else if (after === 'close') this.#end(this.#conversation.state.at === 'update' ? 'quit' : 'closed by the server');
    else if (after === 'startTls') this.#startTls();
    else this.#await();
  }

  /** Mostly ASCII, where a character is a byte and there is nothing to encode. */
  #say(line: string): void {
    this.#replies.add(this.#conversation.beyondAscii ? Buffer.from(line) : line);
  }

  /** Sends what is made while it is sent; the next command waits for its end. */
  #pour(stream: NonNullable<Outcome['stream']>): void {
    this.#waiting = 'answer';
    this.#replies
      .pour(stream, () => this.#waiting === 'over')
      .then(() => {
        if (this.#waiting === 'over') return;
        this.#await();
        this.#goOn();
      })
      .catch((error: unknown) => this.#broken(error));
  }

  /** After a whole reply: takes the next command, unless the server goes down. */
  #await(): void {
    if (this.#draining) this.#leave();
    else this.#waiting = 'nothing';
  }

  /** Takes up input that was kept, then more from the connection. */
  #goOn(): void {
    this.#intake.inflow.goOn();
    this.#endTurn();
  }

  /** Writes the replies of this turn, and reads on where reading was paused and nothing is waited for. */
  #endTurn(): void {
    if (this.#waiting === 'over') return;
    this.#replies.flush();
    this.#intake.inflow.resume();
  }

  #startTls(): void {
    this.#replies.flush();
    this.#intake.clear();
    this.#intake.inflow.unpaused();
    this.#waiting = 'tls';
    this.#output.startTls();
  }

  #failed(error: unknown): Outcome {
    const { ports, facts, texts } = this.#conversation;
    ports.log.error('pop3.command-failed', { session: facts.sessionId, cause: String(error) });
    return fail(texts.internalError, 'SYS/TEMP');
  }

  /** An answer that was begun cannot be finished: closing without its end is the only way to say so. */
  #broken(error: unknown): void {
    const { ports, facts } = this.#conversation;
    ports.log.error('pop3.answer-broken', { session: facts.sessionId, cause: String(error) });
    this.#end('answer broken');
  }

  #leave(): void {
    if (this.#waiting === 'over') return;
    this.#say(fail(this.#conversation.texts.goingDown, 'SYS/TEMP').line);
    this.#end('server going down');
  }

  /** The one end of a session. */
  #end(endedBy: string): void {
    if (this.#waiting === 'over') return;
    this.#endedBy = endedBy;
    this.#conversation.end();
    this.#intake.clear();
    this.#replies.end();
    this.#waiting = 'over';
    this.#output.close();
  }
}
