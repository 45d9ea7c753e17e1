/** The shape of a row of the command table (smtp/commands.ts); each file in verbs/ exports one. */
import type { Stage, Verdict } from '../hook/contract.ts';
import type { Reply } from '../wire/reply.ts';
import type { Conversation } from './conversation.ts';
import type { Answer } from './verdict.ts';

/** `Parsed` is what `check` makes of the argument and the later steps work with. */
export interface Command<Parsed = unknown> {
  readonly verb: string;
  /** Brings no message nearer: counted, and too many in a row end the session. */
  readonly idle?: true;
  /** The hook stage that is asked between `check` and `proceed`; null for none. */
  readonly stage: Stage | null;
  /** Is the command in place? @returns the reply that refuses it, usually 503. */
  rule(conversation: Conversation): Reply | undefined;
  /** @param argument what stands after the verb, blanks at both ends taken off. */
  check(conversation: Conversation, argument: string): Parsed | Reply;
  /** Asks the stage; null where no plugin hooks it. */
  ask(conversation: Conversation, parsed: Parsed): Verdict | Promise<Verdict> | null;
  proceed(conversation: Conversation, parsed: Parsed, verdict: Verdict): Answer;
  /** For a command whose line is followed by octets: they are read away before `reply`, the refusal, is said. */
  refuse?(conversation: Conversation, argument: string, reply: Reply): Reply;
}

/** For commands that no hook sees. */
export const asksNobody = (): null => null;
/** For commands that are always in place. */
export const anywhere = (): undefined => undefined;
