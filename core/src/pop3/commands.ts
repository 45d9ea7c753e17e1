/**
 * The commands of POP3, one row each: the states it is allowed in, the check of its argument, the stage of plugins that
 * is asked between check and action, the action. The session looks rows up here; what a verb does stands in verbs/.
 * USER, PASS and AUTH ask pop3.auth and pop3.open where a login stands, in login.ts.
 */
import type { Requests, StageRunner, Verdict } from '../hook/contract.ts';
import { anything, maybeMessageNumber, messageNumber, messageNumberAndLines, nothing, type Checked } from './argument.ts';
import type { AuthorizationState, Conversation, State, TransactionState } from './conversation.ts';
import { refusalOf, refuse, type Outcome } from './outcome.ts';
import { auth } from './verbs/auth.ts';
import { capa } from './verbs/capa.ts';
import { dele } from './verbs/dele.ts';
import { list } from './verbs/list.ts';
import { noop } from './verbs/noop.ts';
import { pass } from './verbs/pass.ts';
import { quit, quitAndCommit } from './verbs/quit.ts';
import { retr } from './verbs/retr.ts';
import { rset } from './verbs/rset.ts';
import { stat } from './verbs/stat.ts';
import { stls } from './verbs/stls.ts';
import { top } from './verbs/top.ts';
import { uidl } from './verbs/uidl.ts';
import { user } from './verbs/user.ts';
import { when } from './when.ts';

interface Row<S extends State, A> {
  readonly verb: string;
  readonly check: (argument: string | undefined, state: S) => Checked<A>;
  /** Undefined where no plugin hooks the stage. */
  readonly ask?: (c: Conversation, state: S, value: A) => Verdict | Promise<Verdict> | undefined;
  readonly act: (c: Conversation, state: S, value: A) => Outcome | Promise<Outcome>;
  /** The session ends also when a plugin refuses. */
  readonly last?: boolean;
}

/** What a listener with `requireTls` does in clear. */
const BEFORE_TLS = new Set(['CAPA', 'STLS', 'QUIT']);

/** Commands that keep a session alive and do nothing else. */
const IDLE = new Set(['NOOP', 'RSET', 'CAPA']);

/** A row, ready to run in the state it is for. */
type Run<S extends State> = (c: Conversation, state: S, argument: string | undefined) => Outcome | Promise<Outcome>;

const AUTHORIZATION = table<AuthorizationState>(
  row({ verb: 'USER', check: anything('the name of a mailbox'), act: user }),
  row({ verb: 'PASS', check: anything('a password'), act: pass }),
  row({ verb: 'AUTH', check: anything('a mechanism'), act: auth }),
  row({ verb: 'STLS', check: nothing, act: stls }),
  row({ verb: 'CAPA', check: nothing, act: capa }),
  row({ verb: 'QUIT', check: nothing, act: quit }),
);

const TRANSACTION = table<TransactionState>(
  row({ verb: 'STAT', check: nothing, act: stat }),
  row({ verb: 'LIST', check: maybeMessageNumber, act: list }),
  row({ verb: 'UIDL', check: maybeMessageNumber, act: uidl }),
  row({
    verb: 'RETR',
    check: messageNumber,
    ask: ask('pop3.retrieve', (c, state, index: number) => about(c, state, index)),
    act: retr,
  }),
  row({
    verb: 'TOP',
    check: messageNumberAndLines,
    ask: ask('pop3.retrieve', (c, state, { index }: { index: number }) => about(c, state, index)),
    act: top,
  }),
  row({
    verb: 'DELE',
    check: messageNumber,
    ask: ask('pop3.delete', (c, state, index: number) => about(c, state, index)),
    act: dele,
  }),
  row({ verb: 'NOOP', check: nothing, act: noop }),
  row({ verb: 'RSET', check: nothing, act: rset }),
  row({ verb: 'CAPA', check: nothing, act: capa }),
  row({
    verb: 'QUIT',
    check: nothing,
    ask: ask('pop3.commit', (c, { drop, marks }) => ({
      session: c.facts,
      deleted: [...marks].map((index) => drop.messages[index]!),
    })),
    act: quitAndCommit,
    last: true,
  }),
);

/**
 * Runs one command line.
 * @param text the line without CRLF; one character for each byte.
 * @returns the outcome; rejects or throws only when a port does.
 */
export function runCommand(
  c: Conversation,
  state: AuthorizationState | TransactionState,
  text: string,
): Outcome | Promise<Outcome> {
  const space = text.indexOf(' ');
  const verb = (space < 0 ? text : text.slice(0, space)).toUpperCase();
  const argument = space < 0 || space === text.length - 1 ? undefined : text.slice(space + 1);
  if (!AUTHORIZATION.has(verb) && !TRANSACTION.has(verb)) {
    c.tally.unknown += 1;
    return refuse('Unknown command');
  }
  c.tally.idle = IDLE.has(verb) ? c.tally.idle + 1 : 0;
  if (state.at === 'authorization') {
    const run = AUTHORIZATION.get(verb);
    if (run !== undefined) {
      const misplaced = c.profile.requireTls && c.tls === undefined && !BEFORE_TLS.has(verb);
      return misplaced ? refuse('Nothing without TLS: use STLS first') : run(c, state, argument);
    }
    return refuse('Log in first');
  }
  const run = TRANSACTION.get(verb);
  if (run !== undefined) return run(c, state, argument);
  return refuse('You are logged in already');
}

function table<S extends State>(...rows: readonly (readonly [string, Run<S>])[]): ReadonlyMap<string, Run<S>> {
  return new Map(rows);
}

function row<S extends State, A>({ verb, check, ask, act, last = false }: Row<S, A>): readonly [string, Run<S>] {
  const run: Run<S> = (c, state, argument) => {
    const checked = check(argument, state);
    if (!checked.ok) return refuse(checked.text);
    const verdict = ask?.(c, state, checked.value);
    if (verdict === undefined) return act(c, state, checked.value);
    return when(verdict, (answer) => {
      // With the session its maildrop was given up: nothing may be done with it any more.
      if (c.over) return refuse('The session is over');
      const refusal = refusalOf(answer);
      if (refusal === undefined) return act(c, state, checked.value);
      return last ? { ...refusal, after: 'close' } : refusal;
    });
  };
  return [verb, run];
}

function ask<K extends keyof Requests, A>(
  stage: K,
  request: (c: Conversation, state: TransactionState, value: A) => Requests[K],
): (c: Conversation, state: TransactionState, value: A) => Verdict | Promise<Verdict> | undefined {
  return (c, state, value) => {
    const runner: StageRunner<K> = c.ports.hooks[stage];
    return runner === null ? undefined : runner(request(c, state, value));
  };
}

function about(c: Conversation, { drop }: TransactionState, index: number): Requests['pop3.retrieve'] {
  const { uidl, sizeBytes } = drop.messages[index]!;
  return { session: c.facts, message: { uidl, sizeBytes } };
}
