/**
 * THE table: every verb of POP3, in the order a session uses them, with its file in verbs/. For each command the session
 * calls `runCommand`, which goes through the verb's row for the state of the session: `rule` (may it be done now?),
 * `check` (syntax of the argument), `ask` (the hook stage), `act` (do it). A refusal ends it at any of them.
 * A login asks pop3.auth and pop3.open where it comes together: login.ts. The greeting asks pop3.connect: greeting.ts.
 */
import type { Requests, Verdict } from '../hook/contract.ts';
import {
  anything,
  type Check,
  maybeMessageNumber,
  messageNumber,
  messageNumberAndLines,
  name,
  nameAndDigest,
  nothing,
  password,
} from './argument.ts';
import type { AuthorizationState, Conversation, TransactionState } from './conversation.ts';
import type { LineEvent } from '../wire/line-reader.ts';
import { refusalOf, refuse, type Outcome } from './outcome.ts';
import { apop, hasTimestamp } from './verbs/apop.ts';
import { auth } from './verbs/auth.ts';
import { capa } from './verbs/capa.ts';
import { dele } from './verbs/dele.ts';
import { lang } from './verbs/lang.ts';
import { list } from './verbs/list.ts';
import { noop } from './verbs/noop.ts';
import { nameWasGiven, pass } from './verbs/pass.ts';
import { quit, quitAndCommit } from './verbs/quit.ts';
import { retr } from './verbs/retr.ts';
import { rset } from './verbs/rset.ts';
import { stat } from './verbs/stat.ts';
import { stls, tlsCanBegin } from './verbs/stls.ts';
import { top } from './verbs/top.ts';
import { uidl } from './verbs/uidl.ts';
import { user, userMayCome } from './verbs/user.ts';
import { utf8 } from './verbs/utf8.ts';
import { when } from './when.ts';

interface Row<S, A> {
  /** What has to be so besides the state; the refusal where it is not. */
  readonly rule?: (c: Conversation, state: S) => Outcome | undefined;
  readonly check: Check<S, A>;
  /** The stage; undefined from it where no plugin hooks it. */
  readonly ask?: (c: Conversation, state: S, value: A) => Verdict | Promise<Verdict> | undefined;
  readonly act: (c: Conversation, state: S, value: A) => Outcome | Promise<Outcome>;
  /** Done in clear even where a listener wants TLS. */
  readonly beforeTls?: true;
  /** Keeps a session alive and does nothing else: so many in a row are too many. */
  readonly idle?: true;
  /** The session ends also when a plugin refuses. */
  readonly last?: true;
}

/** A row that may be run in the state it is for. */
interface Command<S> {
  readonly run: (c: Conversation, state: S, argument: string | undefined) => Outcome | Promise<Outcome>;
  readonly beforeTls: boolean;
  readonly idle: boolean;
}

const AUTHORIZATION: ReadonlyMap<string, Command<AuthorizationState>> = new Map([
  row('CAPA', { check: nothing, act: capa, beforeTls: true, idle: true }),
  row('STLS', { rule: tlsCanBegin, check: nothing, act: stls, beforeTls: true }),
  row('UTF8', { check: nothing, act: utf8, idle: true }),
  row('LANG', { check: anything, act: lang, idle: true }),
  row('USER', { rule: userMayCome, check: name, act: user }),
  row('PASS', { rule: nameWasGiven, check: password, act: pass }),
  row('APOP', { rule: hasTimestamp, check: nameAndDigest, act: apop }),
  row('AUTH', { check: anything, act: auth }),
  row('QUIT', { check: nothing, act: quit, beforeTls: true }),
]);

const TRANSACTION: ReadonlyMap<string, Command<TransactionState>> = new Map([
  row('CAPA', { check: nothing, act: capa, idle: true }),
  row('LANG', { check: anything, act: lang, idle: true }),
  row('STAT', { check: nothing, act: stat }),
  row('LIST', { check: maybeMessageNumber, act: list }),
  row('UIDL', { check: maybeMessageNumber, act: uidl }),
  row('RETR', { check: messageNumber, ask: stage('pop3.retrieve', about), act: retr }),
  row('TOP', { check: messageNumberAndLines, ask: stage('pop3.retrieve', aboutTop), act: top }),
  row('DELE', { check: messageNumber, ask: stage('pop3.delete', about), act: dele }),
  row('RSET', { check: nothing, act: rset, idle: true }),
  row('NOOP', { check: nothing, act: noop, idle: true }),
  row('QUIT', { check: nothing, ask: stage('pop3.commit', aboutAll), act: quitAndCommit, last: true }),
]);

/** A web browser, or a script in one, that was pointed at a mail port. */
const HTTP = new Set(['GET', 'POST', 'PUT', 'HEAD', 'DELETE', 'OPTIONS', 'PATCH', 'CONNECT', 'TRACE', 'PRI']);

/**
 * Runs one command line.
 * @param line without CRLF; one character for each byte.
 * @returns the outcome; rejects or throws only when a port does.
 */
export function runCommand(c: Conversation, line: string): Outcome | Promise<Outcome> {
  const blank = line.indexOf(' ');
  const verb = (blank < 0 ? line : line.slice(0, blank)).toUpperCase();
  const argument = blank < 0 || blank === line.length - 1 ? undefined : line.slice(blank + 1);
  const { state } = c;
  c.forgetName();
  if (state.at === 'update') return refuse(c.texts.sessionOver);
  return state.at === 'authorization'
    ? runIn(c, state, AUTHORIZATION, verb, argument)
    : runIn(c, state, TRANSACTION, verb, argument);
}

function runIn<S extends AuthorizationState | TransactionState>(
  c: Conversation,
  state: S,
  commands: ReadonlyMap<string, Command<S>>,
  verb: string,
  argument: string | undefined,
): Outcome | Promise<Outcome> {
  const command = commands.get(verb);
  c.conduct.idle = command?.idle === true ? c.conduct.idle + 1 : 0;
  if (command === undefined) return misplaced(c, state, verb);
  if (c.profile.requireTls && c.tls === undefined && !command.beforeTls) return refuse(c.texts.stlsFirst);
  return command.run(c, state, argument);
}

/** The answer to a line that could not be read: who sends such lines speaks another protocol, or means harm. */
export function badLine(c: Conversation, problem: Exclude<LineEvent, 'line' | 'more'>): Outcome {
  const texts = {
    'too-long': c.texts.lineTooLong,
    'bare-line-end': c.texts.bareLineEnd,
    'control-character': c.texts.controlCharacter,
  };
  return refuse(texts[problem], undefined, 'close');
}

function misplaced(c: Conversation, state: AuthorizationState | TransactionState, verb: string): Outcome {
  if (state.at === 'authorization' && TRANSACTION.has(verb)) return refuse(c.texts.loginFirst);
  if (state.at === 'transaction' && AUTHORIZATION.has(verb)) return refuse(c.texts.loggedInAlready);
  if (HTTP.has(verb)) return refuse(c.texts.notPop3, undefined, 'close');
  c.conduct.unknown += 1;
  return refuse(c.texts.unknownCommand);
}

function row<S, A>(verb: string, { rule, check, ask, act, beforeTls, idle, last }: Row<S, A>): readonly [string, Command<S>] {
  const run: Command<S>['run'] = (c, state, argument) => {
    const refused = rule?.(c, state);
    if (refused !== undefined) return refused;
    const checked = check(argument, c.texts, state);
    if (!checked.ok) return refuse(checked.text);
    const verdict = ask?.(c, state, checked.value);
    if (verdict === undefined) return act(c, state, checked.value);
    return when(verdict, (answer) => {
      // With the session its maildrop was given up: nothing may be done with it any more.
      if (c.over) return refuse(c.texts.sessionOver);
      const refusal = refusalOf(c, answer);
      if (refusal === undefined) return act(c, state, checked.value);
      return last === true ? { ...refusal, after: 'close' } : refusal;
    });
  };
  return [verb, { run, beforeTls: beforeTls === true, idle: idle === true }];
}

function stage<K extends keyof Requests, A>(
  name: K,
  request: (c: Conversation, state: TransactionState, value: A) => Requests[K],
): (c: Conversation, state: TransactionState, value: A) => Verdict | Promise<Verdict> | undefined {
  return (c, state, value) => c.ports.hooks[name]?.(request(c, state, value));
}

function about(c: Conversation, { drop }: TransactionState, index: number): Requests['pop3.retrieve'] {
  const { uidl, sizeBytes } = drop.messages[index]!;
  return { session: c.facts, message: { uidl, sizeBytes } };
}

function aboutTop(c: Conversation, state: TransactionState, { index }: { readonly index: number }): Requests['pop3.retrieve'] {
  return about(c, state, index);
}

function aboutAll(c: Conversation, { drop, marks }: TransactionState): Requests['pop3.commit'] {
  return { session: c.facts, deleted: [...marks].map((index) => drop.messages[index]!) };
}
