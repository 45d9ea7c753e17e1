/**
 * Reads a dialogue file of test/dialogs/smtp and plays it to a session. The format, line by line:
 *   # comment
 *   @profile kind=submission starttls=false plaintextLogin=always    the listener
 *   @limits maxErrors=3                                              its limits
 *   @requests dsn=true maxHoldSeconds=3600                           what may be asked of delivery
 *   @client 127.0.0.1                                                the peer's address
 *   @logins secret scram bearer    @tls-has certificate exporter     test-tls.ts
 *   @hook rcpt defer Come back later                                 what a stage says: pass, reject, defer, quarantine, evidence NAME WEIGHT
 *   @full alice=defer bob=never>100                                  mailboxes without room, for what is larger
 *   @sink begin=full | accept=full | accept=failed | writer=disk     what the sink does
 *   C: a line, sent with CRLF; escapes \r \n \t \\ \xNN \*N"text" (text N times); at its end \c: no CRLF
 *   S: a line of a reply, exactly
 *   S: @ehlo STARTTLS, AUTH PLAIN LOGIN    the reply to EHLO: what is always offered, and these
 *   @tls      the handshake that STARTTLS asked for is done
 *   @drain    @leave    @timeout    @closes
 *   @stored from=<…> to=a@b,c@d utf8 quarantine=… asks=JSON    the next message that was stored, and with M: its lines
 */
import { readdirSync, readFileSync } from 'node:fs';
import type { Envelope } from '@posthorn/core/mail/envelope';
import type { StageRunner, Verdict } from '@posthorn/core/hook/contract';
import { NO_REQUESTS } from '@posthorn/core/smtp/requests';
import { createSmtpSession } from '@posthorn/core/smtp/session';
import { type Cutting, feedCut, stepsFor } from './cutting.ts';
import { createKit, RecordingOutput, settled, TEST_LIMITS, type Kit, type KitOptions } from './smtp-ports.ts';
import { formsOf, tlsOf } from './test-tls.ts';

export interface Dialog {
  readonly name: string;
  readonly settings: readonly string[];
  readonly steps: readonly Step[];
  readonly expected: string;
  readonly closes: boolean;
  readonly stored: readonly StoredExpectation[];
}

/** `send`: the client's bytes up to where the server's answer is told. The others are events. */
interface Step {
  readonly do: 'send' | 'tls' | 'drain' | 'leave' | 'timeout';
  bytes: Buffer;
  /** All that the server is to have said after this step. */
  expected: string;
}

interface StoredExpectation {
  readonly envelope: string;
  readonly text: string;
}

/** All dialogues of a folder, by name. */
export function readDialogs(folder: URL): Dialog[] {
  const names = readdirSync(folder).filter((name) => name.endsWith('.txt'));
  return names.sort().map((name) => parseDialog(name.slice(0, -4), readFileSync(new URL(name, folder), 'utf8')));
}

export function parseDialog(name: string, text: string): Dialog {
  const settings: string[] = [];
  const steps: Step[] = [];
  const stored: { envelope: string; text: string }[] = [];
  let expected = '';
  let closes = false;
  let answered = true;
  for (const [index, line] of text.split('\n').entries()) {
    const mark = line.slice(0, 3);
    const rest = line.slice(3);
    if (line.trim() === '' || line.startsWith('#')) continue;
    const last = steps.at(-1);
    if (mark === 'C: ' || line === 'C:') {
      const bytes = unescape(rest);
      // One step for all the client sends before it is answered.
      if (!answered && last?.do === 'send') last.bytes = Buffer.concat([last.bytes, bytes]);
      else steps.push({ do: 'send', bytes, expected });
      answered = false;
    } else if (mark === 'S: ' || line === 'S:') {
      expected += rest.startsWith('@ehlo') ? offer(settings, rest.slice(6)) : `${Buffer.from(rest).toString('latin1')}\r\n`;
      if (last !== undefined) last.expected = expected;
      answered = true;
    } else if (mark === 'M: ' || line === 'M:') {
      const message = stored.at(-1);
      if (message === undefined) throw new SyntaxError(`${name}:${index + 1}: M: without @stored`);
      message.text += unescape(rest).toString('latin1');
    } else if (line.startsWith('@stored ')) stored.push({ envelope: line.slice(8), text: '' });
    else if (line === '@tls' || line === '@drain' || line === '@leave' || line === '@timeout') {
      steps.push({ do: line.slice(1) as 'tls', bytes: Buffer.alloc(0), expected });
      answered = true;
    } else if (line === '@closes') closes = true;
    else if (line.startsWith('@')) settings.push(line.slice(1));
    else throw new SyntaxError(`${name}:${index + 1}: ${line}`);
  }
  return { name, settings, steps, expected, closes, stored };
}

/** The reply to EHLO. `plain-message.txt` has it in full. */
function offer(settings: readonly string[], more: string): string {
  const limits = new Map(Object.entries(TEST_LIMITS).map(([key, value]) => [key, String(value)]));
  for (const [, key = '', value = ''] of settings
    .filter((line) => line.startsWith('limits '))
    .join(' ')
    .matchAll(/(\w+)=(\d+)/g))
    limits.set(key, value);
  const domains = limits.get('maxRecipientDomains');
  const words = [
    'mx.example.org',
    'PIPELINING',
    'PIPECONNECT',
    `SIZE ${limits.get('maxMessageBytes')}`,
    '8BITMIME',
    'CHUNKING',
    'BINARYMIME',
    'SMTPUTF8',
    'PRDR',
    'ENHANCEDSTATUSCODES',
    `LIMITS MAILMAX=${limits.get('maxMessages')} RCPTMAX=${limits.get('maxRecipients')}${domains === undefined || domains === '0' ? '' : ` RCPTDOMAINMAX=${domains}`}`,
    'HELP',
    ...(more === '' ? [] : more.split(', ')),
  ];
  return words.map((word, at) => `250${at === words.length - 1 ? ' ' : '-'}${word}\r\n`).join('');
}

/** Text of a line to its bytes, with CRLF unless it ends in \c. */
function unescape(text: string): Buffer {
  const open = text.endsWith('\\c');
  const repeated = (open ? text.slice(0, -2) : text).replace(/\\\*(\d+)"([^"]*)"/g, (_all, count: string, part: string) =>
    part.repeat(Number(count)),
  );
  const plain = repeated.replace(/\\(?:x([0-9a-f]{2})|(.))/g, (_all, hex: string | undefined, one: string | undefined) => {
    if (hex !== undefined) return String.fromCharCode(Number.parseInt(hex, 16));
    return { r: '\r', n: '\n', t: '\t' }[one ?? ''] ?? one ?? '';
  });
  return Buffer.from(open ? plain : `${plain}\r\n`, 'latin1');
}

export interface Played {
  /** The first step after which the server had not said just what it was to. */
  readonly late: { readonly expected: string; readonly said: string } | undefined;
  readonly text: string;
  readonly closed: boolean;
  readonly stored: StoredExpectation[];
  readonly kit: Kit;
}

/** Plays a dialogue. `async`: hooks answer by promise. */
export async function playDialog(dialog: Dialog, cutting: Cutting, async = false): Promise<Played> {
  const kit = kitOf(dialog, async);
  const output = new RecordingOutput();
  const client = clientOf(dialog);
  const session = createSmtpSession(kit.ports, kit.profile, { address: client, port: 4025, sessionId: 'S1' }, output);
  session.start();
  await settled(session);
  let late: Played['late'];
  for (const step of stepsFor(dialog.steps, cutting)) {
    if (step.do === 'tls') session.secured(tlsFactsOf(dialog));
    else if (step.do === 'drain') session.drain();
    else if (step.do === 'leave') session.leave?.();
    else if (step.do === 'timeout') session.timedOut();
    else feedCut(session, step.bytes, cutting);
    await settled(session);
    if (output.text !== step.expected && late === undefined) late = { expected: step.expected, said: output.text };
  }
  session.closed();
  return { late, text: output.text, closed: output.closed, stored: storedBy(kit), kit };
}

function storedBy(kit: Kit): StoredExpectation[] {
  return kit.taken.map(({ envelope, text }) => ({
    envelope:
      `from=<${envelope.reversePath}> to=${envelope.recipients.map((one) => one.address).join(',')}` +
      (envelope.smtpUtf8 === true ? ' utf8' : '') +
      (envelope.quarantine === undefined ? '' : ` quarantine=${envelope.quarantine}`) +
      asksOf(envelope),
    text,
  }));
}

/** What is asked of delivery, as JSON: for the message, then for each recipient that has something. */
function asksOf({ ret, envid, deliverBy, hold, priority, requireTls, tlsOptional, recipients }: Envelope): string {
  const message = { ret, envid, deliverBy, hold, priority, requireTls, tlsOptional };
  const asks = JSON.stringify([message, ...recipients.map(({ notify, orcpt, expanded }) => ({ notify, orcpt, expanded }))]);
  return /[a-z]/.test(asks) ? ` asks=${asks}` : '';
}

/** What its handshake makes known. */
export function tlsFactsOf(dialog: Dialog): ReturnType<typeof tlsOf> {
  return tlsOf('TLS_AES_128_GCM_SHA256', wordsOf(dialog, 'tls-has'));
}

/** Address of the peer. */
export function clientOf(dialog: Dialog): string {
  return valueOf(dialog, 'client') ?? '192.0.2.7';
}

function valueOf(dialog: Dialog, key: string): string | undefined {
  return dialog.settings.find((line) => line.startsWith(`${key} `))?.slice(key.length + 1);
}

function wordsOf(dialog: Dialog, key: string): string[] {
  return (valueOf(dialog, key) ?? '').split(' ');
}

/** `never>100` */
function fullOf(said: string): NonNullable<KitOptions['full']>[string] {
  const [full, roomBytes] = said.split('>');
  return { full: full as 'defer', ...(roomBytes === undefined ? {} : { roomBytes: Number(roomBytes) }) };
}

/** The listener, sink and hooks that a dialogue's settings ask for. `async`: hooks answer by promise. */
export function kitOf(dialog: Dialog, async: boolean): Kit {
  const pairs = (key: string): Record<string, unknown> =>
    Object.fromEntries(
      (valueOf(dialog, key) ?? '')
        .split(' ')
        .filter((pair) => pair !== '')
        .map((pair) => [pair.split('=')[0], scalar(pair.slice(pair.indexOf('=') + 1))]),
    );
  const hooks: Record<string, StageRunner<'mail'>> = {};
  for (const line of dialog.settings) {
    const [, stage, rest] = /^hook (\S+) (.*)$/.exec(line) ?? [];
    if (stage === undefined || rest === undefined) continue;
    const verdict = verdictOf(rest);
    hooks[stage] = () => (async ? new Promise((resolve) => setImmediate(() => resolve(verdict))) : verdict);
  }
  const forms = formsOf(wordsOf(dialog, 'logins'));
  const kit = createKit({
    profile: { ...pairs('profile'), requests: { ...NO_REQUESTS, ...pairs('requests') } },
    limits: pairs('limits'),
    hooks,
    forms,
    full: Object.fromEntries(Object.entries(pairs('full')).map(([name, said]) => [name, fullOf(String(said))])),
  });
  const sink = pairs('sink');
  if (sink['begin'] === 'full') kit.sink.begin = 'full';
  if (sink['accept'] !== undefined) kit.sink.accept = { ok: false, why: sink['accept'] as 'full', cause: 'as the test wants it' };
  if (sink['writer'] === 'disk') kit.sink.prepare = (writer) => (writer.failure = 'disk');
  return kit;
}

function scalar(text: string): unknown {
  return text === 'true' ? true : text === 'false' ? false : /^\d+$/.test(text) ? Number(text) : text;
}

function verdictOf(text: string): Verdict {
  const [kind = '', ...words] = text.split(' ');
  const nothing = { evidence: [], edits: [] };
  if (kind === 'evidence') {
    const evidence = { plugin: 'test', name: words[0] ?? '', weight: Number(words[1]), reason: 'the test says so' };
    return { kind: 'pass', evidence: [evidence], edits: [] };
  }
  if (kind === 'edit') return { kind: 'pass', evidence: [], edits: JSON.parse(words.join(' ')) as Verdict['edits'] };
  return {
    kind: kind as Verdict['kind'],
    ...nothing,
    ...(words.length === 0 ? {} : { text: words.join(' ').replaceAll('\\n', '\n') }),
  };
}
