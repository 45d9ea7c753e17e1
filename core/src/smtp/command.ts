/** The shape of a row of the command table (smtp/commands.ts), and what several rows have in common. */
import type { Stage, Verdict } from '../hook/contract.ts';
import type { Reply } from '../wire/reply.ts';
import type { Conversation } from './conversation.ts';
import { noArgumentAllowed501 } from './replies.ts';
import type { Answer } from './verdict.ts';

/** `Parsed` is what `check` makes of the argument and the later steps work with. */
export interface Row<Parsed> {
  /** Is the command in place? Without it, always. @returns the reply that refuses it, usually 503 */
  readonly rule?: (conversation: Conversation) => Reply | undefined;
  /** Syntax, and what needs no plugin. @param argument what stands after the verb, blanks at both ends taken off */
  readonly check: (conversation: Conversation, argument: string) => Parsed | Reply;
  /** The hook stage between `check` and `act`, for the log. */
  readonly stage?: Stage;
  /** Asks it; null where no plugin hooks it. */
  readonly ask?: (conversation: Conversation, parsed: Parsed) => Verdict | Promise<Verdict> | null;
  /** Does it. */
  readonly act: (conversation: Conversation, parsed: Parsed, verdict: Verdict) => Answer;
  /** For a command whose line is followed by octets: they are read away before `reply`, the refusal, is said. */
  readonly refuse?: (conversation: Conversation, argument: string, reply: Reply) => Reply;
  /** Brings no message nearer: counted, and too many in a row end the session. */
  readonly idle?: true;
  /** Done in clear even where the listener wants TLS (RFC 3207 §4). */
  readonly beforeTls?: true;
}

/** A row with every cell filled, as it is run. */
export interface Command {
  readonly rule: (conversation: Conversation) => Reply | undefined;
  readonly check: (conversation: Conversation, argument: string) => unknown;
  readonly stage: Stage | null;
  readonly ask: (conversation: Conversation, parsed: unknown) => Verdict | Promise<Verdict> | null;
  readonly act: (conversation: Conversation, parsed: unknown, verdict: Verdict) => Answer;
  readonly refuse: (conversation: Conversation, argument: string, reply: Reply) => Reply;
  readonly idle: boolean;
  readonly beforeTls: boolean;
}

/** Makes an entry of the table; every command has the same shape, whatever its row leaves out. */
export function row<Parsed>(verb: string, cells: Row<Parsed>): readonly [string, Command] {
  const { rule = anywhere, check, stage = null, ask = asksNobody, act, refuse = asItIs, idle = false, beforeTls = false } = cells;
  // `check` alone makes what `ask` and `act` are given.
  return [verb, { rule, check, stage, ask, act, refuse, idle, beforeTls } as Command];
}

const anywhere = (): undefined => undefined;
const asksNobody = (): null => null;
const asItIs = (_conversation: Conversation, _argument: string, reply: Reply): Reply => reply;

/** Check of commands that have no argument. */
export const noArgument = (_conversation: Conversation, argument: string): undefined | Reply =>
  argument === '' ? undefined : noArgumentAllowed501;
/** Check of commands whose argument says nothing. */
export const anything = (): undefined => undefined;
