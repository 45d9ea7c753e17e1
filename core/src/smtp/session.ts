/**
 * The SMTP receive session (RFC 5321): bytes in, replies out. Driven by dispatch/connection through wire/session.
 * It alone takes what is sent (intake.ts makes steps of it), runs the steps, counts errors, writes and closes; verbs
 * (smtp/commands.ts) return replies. While a reply is awaited, or the peer does not take those it has, input is kept
 * aside, bounded, and taken up in order afterwards. Nothing here throws: a failure of a port is logged and answered with
 * 4xx. When the peer is gone everything is given back.
 */
import type { Reply } from '../wire/reply.ts';
import type { MessageUnderWay, Session, SessionOutput, TlsFacts } from '../wire/session.ts';
import type { SmtpPeer } from './client.ts';
import type { Answered } from './conduct.ts';
import { Conversation } from './conversation.ts';
import { greet } from './greeting.ts';
import { Intake, type StepRunner } from './intake.ts';
import { Outbox } from './outbox.ts';
import type { SmtpPorts, SmtpProfile } from './ports.ts';
import { internalError421, localError451, shuttingDown421, talksEarly554, timedOut421, tooMuchInput421 } from './replies.ts';
import type { Answer } from './verdict.ts';

export type { SmtpPeer } from './client.ts';

/**
 * Why no step is run. `start`: the banner is not out. `verdict`: an answer is awaited. `delay`: an answer is held back.
 * `tls`: what comes now is not ours to read. `over`: the last reply was said, or the peer is gone.
 */
type Waiting = 'nothing' | 'start' | 'verdict' | 'delay' | 'tls' | 'over';

/**
 * Makes the session of one accepted connection; nothing is written before `start`.
 * @param profile what the listener is; one object for all of its sessions.
 */
export function createSmtpSession(ports: SmtpPorts, profile: SmtpProfile, peer: SmtpPeer, output: SessionOutput): Session {
  return new SmtpSession(new Conversation(ports, profile, peer), output);
}

class SmtpSession implements Session, StepRunner {
  readonly #conversation: Conversation;
  readonly #output: SessionOutput;
  readonly #intake: Intake;
  readonly #replies: Outbox;
  #waiting: Waiting = 'start';
  #closed = false;
  /** The banner, or what stands in its place, was said. */
  #greeted = false;
  #cancelDelay: (() => void) | undefined = undefined;
  /** Said as soon as nothing is under way. */
  #farewell: Reply | undefined = undefined;

  constructor(conversation: Conversation, output: SessionOutput) {
    this.#conversation = conversation;
    this.#output = output;
    this.#intake = new Intake(this, conversation, output);
    this.#replies = new Outbox(output);
  }

  get ready(): boolean {
    return this.#waiting === 'nothing' && !this.#replies.blocked;
  }

  get waitsFor(): 'command' | 'data' | 'verdict' {
    if (this.#waiting === 'tls' || this.#waiting === 'over') return 'command';
    if (!this.#intake.ready) return 'verdict';
    const { of } = this.#conversation.reading;
    return of === 'message' || of === 'chunk' ? 'data' : 'command';
  }

  get message(): MessageUnderWay | undefined {
    return this.#conversation.underWay;
  }

  start(): void {
    const { bannerDelayMs } = this.#conversation.profile.limits;
    if (bannerDelayMs === 0) this.#greet();
    else this.#later(bannerDelayMs, () => this.#greet());
  }

  #greet(): void {
    try {
      this.run(() => greet(this.#conversation), 'command');
    } catch (cause) {
      this.fail(cause);
    }
    this.goOn();
  }

  feed(chunk: Uint8Array): void {
    if (this.#waiting === 'over' || this.#waiting === 'tls') return;
    if (!this.#greeted && this.#conversation.profile.earlyTalkers === 'refuse') {
      this.#conversation.logRefusal('connect', talksEarly554, {});
      this.#leave(talksEarly554);
      return;
    }
    if (!this.#intake.inflow.feed(chunk)) this.#leave(tooMuchInput421);
    this.#endTurn();
  }

  secured(tls: TlsFacts): void {
    // Before the banner (implicit TLS) or after STARTTLS: at no other time can a handshake end.
    if (this.#waiting !== 'tls' && this.#waiting !== 'start') return;
    this.#conversation.secured(tls);
    // The peer has taken all that was said in clear: it could not have shaken hands else.
    this.#replies.drained();
    if (this.#waiting === 'tls') this.#waiting = 'nothing';
  }

  drained(): void {
    this.#replies.drained();
    this.goOn();
  }

  timedOut(): void {
    // A message that is being stored is not given up: its answer comes first.
    if (this.#waiting === 'verdict') this.#farewell = timedOut421;
    else this.#leave(timedOut421);
  }

  drain(): void {
    this.#farewell ??= shuttingDown421;
    this.#leaveWhenIdle();
  }

  leave(): void {
    // Said in place of the verdict it would have a message that may be stored sent again.
    if (this.#waiting !== 'verdict') this.#leave(shuttingDown421);
  }

  closed(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#end();
    this.#conversation.logEnd();
  }

  /** Runs one step; its reply is written now, or when it is there. */
  run(step: () => Answer, to: Answered): void {
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
    // What the step took up while nobody was there to use it any more.
    if (this.#waiting === 'over') return this.#conversation.endTransaction();
    this.#waiting = 'nothing';
    this.#reply(reply, to);
    this.goOn();
  }

  /** Takes up input that was kept, then more from the connection. */
  goOn(): void {
    this.#intake.inflow.goOn();
    this.#endTurn();
  }

  /** Writes the replies of this turn in one piece, and reads on where reading was paused and nothing is waited for. */
  #endTurn(): void {
    // The rest of a line that was refused before may have been all that was under way.
    this.#leaveWhenIdle();
    this.#replies.flush();
    this.#intake.inflow.resume();
  }

  /** The one place where errors are counted, and what follows a reply is done. */
  #reply(given: Reply, to: Answered): void {
    if (given.after === 'readOn') return;
    const { conduct } = this.#conversation;
    const reply = conduct.judge(given, to);
    this.#greeted = true;
    if (reply.after === 'close') {
      this.#leave(reply);
    } else if (conduct.delayMs > 0) {
      this.#later(conduct.delayMs, () => {
        this.#replies.add(reply);
        this.#leaveWhenIdle();
        this.goOn();
      });
    } else {
      this.#replies.add(reply);
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
    this.#intake.clear();
    this.#replies.flush();
    if (this.#waiting === 'over') return;
    this.#waiting = 'tls';
    this.#intake.inflow.unpaused();
    this.#output.startTls();
  }

  /** Says the farewell that is due, if no command and no transaction is under way. */
  #leaveWhenIdle(): void {
    if (this.#farewell === undefined || !this.ready || this.#intake.inLine) return;
    const { reading, transaction } = this.#conversation;
    if (reading.of === 'commands' && transaction === undefined) this.#leave(this.#farewell);
  }

  fail(cause: unknown): void {
    this.#conversation.log('error', 'smtp.failed', { cause });
    this.#leave(internalError421);
  }

  /** Says a last reply and closes. */
  #leave(reply: Reply): void {
    if (this.#waiting === 'over') return;
    this.#replies.add(reply);
    this.#replies.flush();
    this.#end();
    this.#output.close();
  }

  /** Nothing is taken or accepted from here on. */
  #end(): void {
    if (this.#waiting === 'over') return;
    const isAsked = this.#waiting === 'verdict';
    this.#waiting = 'over';
    this.#cancelDelay?.();
    this.#conversation.over = true;
    this.#intake.clear();
    // While a verdict is awaited a hook may be reading the message: it is given back when the hook is done.
    if (!isAsked) this.#conversation.endTransaction();
  }
}
