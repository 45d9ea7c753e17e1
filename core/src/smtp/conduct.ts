/**
 * How a client behaves in one session: counts its errors and the commands that led to no message, and says when it is
 * enough (421) and when an answer is to come late. Kept by the conversation, asked by the session for each reply.
 * Counters only: nothing here waits, and no limit of one session is felt by another.
 */
import type { Reply } from '../wire/reply.ts';
import type { SmtpLimits } from './ports.ts';
import { tooManyCommands421, tooManyErrors421, tooManyIdle421, tooManyUnknown421 } from './replies.ts';

/** What a reply is to. Commands are counted, and their errors; chunks of a message only where they were refused. */
export type Answered = 'command' | 'chunk' | 'message';

export class Conduct {
  errors = 0;
  /** How long the reply that was just judged is to be held back. */
  delayMs = 0;
  readonly #limits: SmtpLimits;
  /** Since the last message, as the idle ones. */
  #commands = 0;
  #idle = 0;
  #unknown = 0;

  constructor(limits: SmtpLimits) {
    this.#limits = limits;
  }

  /** A verb that no row of the table has. */
  unknownCommand(): void {
    this.#unknown += 1;
  }

  /** A command that brings no message nearer. */
  idleCommand(): void {
    this.#idle += 1;
  }

  /** @returns the reply, or the last one of the session where a limit was passed. */
  judge(reply: Reply, to: Answered): Reply {
    this.delayMs = 0;
    if (to === 'message') {
      this.#commands = 0;
      this.#idle = 0;
      // A refused message is no slip of the client's; an accepted one makes up for those that were.
      if (reply.code === 250) this.errors = 0;
      return reply;
    }
    const limits = this.#limits;
    const isError = to === 'command' && reply.code >= 500;
    if (to === 'command' || reply.code !== 250) this.#commands += 1;
    if (isError) this.errors += 1;
    if (this.errors > limits.maxErrors) return tooManyErrors421;
    if (reply.after === 'close') return reply;
    if (this.#unknown > limits.maxUnknownCommands) return tooManyUnknown421;
    if (this.#idle > limits.maxIdleCommands) return tooManyIdle421;
    if (this.#commands > limits.maxCommands) return tooManyCommands421;
    if (isError && this.errors > limits.errorsBeforeDelay) this.delayMs = limits.errorDelayMs;
    return reply;
  }
}
