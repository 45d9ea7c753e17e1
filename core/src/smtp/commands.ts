/**
 * THE table: every verb of SMTP, in the order a session uses them, with its file in verbs/. For each command the
 * session calls `runCommand`, which goes through its row: `rule` (is it in place?), `check` (syntax, and what needs no
 * plugin), `ask` (the hook stage), `proceed` (do it). A reply from `rule` or `check`, or a verdict that refuses, ends it.
 */
import { Reply } from '../wire/reply.ts';
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
import { auth } from './verbs/auth.ts';
import { bdat } from './verbs/bdat.ts';
import { data } from './verbs/data.ts';
import { ehlo, helo, lhlo } from './verbs/hello.ts';
import { help } from './verbs/help.ts';
import { mail } from './verbs/mail.ts';
import { noop } from './verbs/noop.ts';
import { quit } from './verbs/quit.ts';
import { rcpt } from './verbs/rcpt.ts';
import { rset } from './verbs/rset.ts';
import { starttls } from './verbs/starttls.ts';
import { vrfy } from './verbs/vrfy.ts';
import { xclient } from './verbs/xclient.ts';
import { xforward } from './verbs/xforward.ts';
import type { Command } from './command.ts';

const ROWS: readonly Command[] = [
  helo,
  ehlo,
  lhlo,
  starttls,
  auth,
  xclient,
  xforward,
  mail,
  rcpt,
  data,
  bdat,
  rset,
  noop,
  vrfy,
  help,
  quit,
];
const COMMANDS: ReadonlyMap<string, Command> = new Map(ROWS.map((row) => [row.verb, row]));

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

/** What a listener with `requireTls` does in clear (RFC 3207 §4). */
const BEFORE_TLS = new Set(['EHLO', 'LHLO', 'STARTTLS', 'NOOP', 'QUIT']);

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
  const argument = blank < 0 ? '' : line.slice(blank + 1).trim();
  const misplaced = barred(conversation, verb) ?? command.rule(conversation);
  if (misplaced !== undefined) return refused(conversation, command, argument, misplaced);
  const parsed = command.check(conversation, argument);
  if (parsed instanceof Reply) return refused(conversation, command, argument, parsed);
  const asked = command.ask(conversation, parsed);
  return afterVerdict(asked, (verdict) => {
    if (asked === null) return command.proceed(conversation, parsed, verdict);
    const refusal = refuseOr(conversation, command.stage, verdict);
    if (refusal !== undefined) return refused(conversation, command, argument, refusal);
    return command.proceed(conversation, parsed, verdict);
  });
}

/** What the state of the session forbids, whatever the command. */
function barred(conversation: Conversation, verb: string): Reply | undefined {
  if (conversation.refused && verb !== 'QUIT') return refusedSession503;
  if (conversation.profile.requireTls && conversation.tls === undefined && !BEFORE_TLS.has(verb)) return startTlsFirst530;
  return undefined;
}

function refused(conversation: Conversation, command: Command, argument: string, reply: Reply): Reply {
  return command.refuse === undefined ? reply : command.refuse(conversation, argument, reply);
}
