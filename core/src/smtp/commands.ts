/**
 * THE table: every verb of SMTP, in the order a session uses them. For each command the session calls `runCommand`, which
 * goes through the verb's row: `rule` (is it in place?), `check` (syntax, and what needs no plugin), `ask` (the hook
 * stage), `act` (do it). A reply from `rule` or `check`, or a verdict that refuses, ends it. The cells are in verbs/.
 */
import { trimBlanks } from '../wire/blanks.ts';
import { Reply } from '../wire/reply.ts';
import { anything, type Command, noArgument, row } from './command.ts';
import type { Conversation } from './conversation.ts';
import {
  badChunk501,
  bareLineEnd500,
  controlCharacter500,
  lineTooLong500,
  notDone502,
  notSmtp421,
  refusedSession503,
  startTlsFirst530,
  unknownCommand500,
} from './replies.ts';
import { afterVerdict, refuseOr, type Answer } from './verdict.ts';
import { logIn, mayLogIn, mechanismAndResponse } from './verbs/auth.ts';
import { askBeforeFirstChunk, chunkSize, readChunkAway, takeChunk, takesChunks } from './verbs/bdat.ts';
import { askData, noArgumentToData, takeMessage, takesData } from './verbs/data.ts';
import { askHello, greet, helloName, speaks } from './verbs/hello.ts';
import { help } from './verbs/help.ts';
import { askMail, beginTransaction, mayBegin, sender } from './verbs/mail.ts';
import { doNothing } from './verbs/noop.ts';
import { quit } from './verbs/quit.ts';
import { addRecipient, askRcpt, recipient, takesRecipients } from './verbs/rcpt.ts';
import { reset } from './verbs/rset.ts';
import { beginTls, tlsCanBegin } from './verbs/starttls.ts';
import { somebody, verify } from './verbs/vrfy.ts';
import { becomeClient, clientAttributes, mayNameClient } from './verbs/xclient.ts';
import { keepAttributes, mayTellOrigin, originAttributes } from './verbs/xforward.ts';

const COMMANDS: ReadonlyMap<string, Command> = new Map([
  row('HELO', { rule: speaks('SMTP'), check: helloName, stage: 'hello', ask: askHello('HELO'), act: greet('HELO') }),
  row('EHLO', {
    rule: speaks('SMTP'),
    check: helloName,
    stage: 'hello',
    ask: askHello('EHLO'),
    act: greet('EHLO'),
    beforeTls: true,
  }),
  row('LHLO', {
    rule: speaks('LMTP'),
    check: helloName,
    stage: 'hello',
    ask: askHello('LHLO'),
    act: greet('LHLO'),
    beforeTls: true,
  }),
  row('STARTTLS', { rule: tlsCanBegin, check: noArgument, act: beginTls, beforeTls: true }),
  // Its stage, auth, comes after the exchange, which may take several lines: see the end of verbs/auth.ts.
  row('AUTH', { rule: mayLogIn, check: mechanismAndResponse, act: logIn }),
  row('XCLIENT', { rule: mayNameClient, check: clientAttributes, act: becomeClient }),
  row('XFORWARD', { rule: mayTellOrigin, check: originAttributes, act: keepAttributes }),
  row('MAIL', { rule: mayBegin, check: sender, stage: 'mail', ask: askMail, act: beginTransaction }),
  row('RCPT', { rule: takesRecipients, check: recipient, stage: 'rcpt', ask: askRcpt, act: addRecipient }),
  // The stage message, at the end of data: smtp/acceptance.ts.
  row('DATA', { rule: takesData, check: noArgumentToData, stage: 'data', ask: askData, act: takeMessage }),
  row('BDAT', {
    rule: takesChunks,
    check: chunkSize,
    stage: 'data',
    ask: askBeforeFirstChunk,
    act: takeChunk,
    refuse: readChunkAway,
  }),
  row('RSET', { check: noArgument, act: reset, idle: true }),
  row('NOOP', { check: anything, act: doNothing, idle: true, beforeTls: true }),
  row('VRFY', { check: somebody, act: verify, idle: true }),
  row('HELP', { check: anything, act: help, idle: true }),
  row('QUIT', { check: noArgument, act: quit, beforeTls: true }),
]);

/** Verbs that the RFCs know and this server does not do: 502 instead of 500 (RFC 5321 §4.2.4), and why not. */
const NOT_IMPLEMENTED: ReadonlyMap<string, Reply> = new Map([
  ['EXPN', notDone502('EXPN', 'lists are not told')],
  // RFC 1985 lets a client start the queue: ours is delivered as it comes, and nobody but the operator may hurry it.
  ['ETRN', notDone502('ETRN', 'the queue needs no client to start it')],
  ['TURN', notDone502('TURN', 'it would give mail to whoever says a name')],
  ...['SEND', 'SOML', 'SAML'].map((verb) => [verb, notDone502(verb, 'mail goes to mailboxes')] as const),
]);
/** A web browser, or a script in one, that was pointed at a mail port. */
const HTTP = new Set(['GET', 'POST', 'PUT', 'HEAD', 'DELETE', 'OPTIONS', 'PATCH', 'CONNECT', 'TRACE', 'PRI']);

const BAD_LINES = {
  'too-long': lineTooLong500,
  'bare-line-end': bareLineEnd500,
  'control-character': controlCharacter500,
} as const;

/**
 * The reply to a line that could not be read.
 * @param begin how the line begins. What follows a request of HTTP, or a BDAT whose size nobody knows, is not read on.
 */
export function badLine(begin: string, problem: keyof typeof BAD_LINES): Reply {
  const verb = /^[A-Za-z]*/.exec(begin)![0].toUpperCase();
  if (HTTP.has(verb)) return notSmtp421;
  return verb === 'BDAT' ? badChunk501 : BAD_LINES[problem];
}

/** Runs one command line, without its CRLF. */
export function runCommand(conversation: Conversation, line: string): Answer {
  const blank = line.indexOf(' ');
  const verb = (blank < 0 ? line : line.slice(0, blank)).toUpperCase();
  const command = COMMANDS.get(verb);
  if (command === undefined) {
    if (HTTP.has(verb)) return notSmtp421;
    conversation.conduct.unknownCommand();
    return NOT_IMPLEMENTED.get(verb) ?? unknownCommand500;
  }
  if (command.idle) conversation.conduct.idleCommand();
  const argument = blank < 0 ? '' : trimBlanks(line.slice(blank + 1));
  const misplaced = barred(conversation, verb, command) ?? command.rule(conversation);
  if (misplaced !== undefined) return command.refuse(conversation, argument, misplaced);
  const parsed = command.check(conversation, argument);
  if (parsed instanceof Reply) return command.refuse(conversation, argument, parsed);
  const asked = command.ask(conversation, parsed);
  return afterVerdict(asked, (verdict) => {
    if (asked === null) return command.act(conversation, parsed, verdict);
    const refusal = refuseOr(conversation, command.stage, verdict);
    if (refusal !== undefined) return command.refuse(conversation, argument, refusal);
    return command.act(conversation, parsed, verdict);
  });
}

/** What the state of the session forbids, whatever the command. */
function barred({ refused, profile, client }: Conversation, verb: string, { beforeTls }: Command): Reply | undefined {
  if (refused && verb !== 'QUIT') return refusedSession503;
  return profile.requireTls && client.tls === undefined && !beforeTls ? startTlsFirst530 : undefined;
}
