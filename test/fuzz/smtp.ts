/**
 * Throws damaged dialogues at the SMTP session, from every state of the protocol: the beginning of a dialogue, then lines
 * of all of them with bytes changed, cut, doubled and mixed, in chunks of any size, with hooks that answer early, late or
 * badly, and events in between. Short form: smtp.test.ts; long form: run.ts.
 */
import type { Pipeline, Verdict } from '@posthorn/core/hook/contract';
import type { Envelope } from '@posthorn/core/mail/envelope';
import { scanHeader, unfoldedValue } from '@posthorn/core/mail/header-scan';
import { createSmtpSession } from '@posthorn/core/smtp/session';
import { clientOf, kitOf, readDialogs, tlsFactsOf, type Dialog } from '../lib/smtp-dialog.ts';
import { RecordingOutput, settled, type Kit } from '../lib/smtp-ports.ts';
import { randomFrom, type Random } from './random.ts';
import { chunksOf, linesOf, scriptFrom, type Script } from './script.ts';
import type { FuzzTarget } from './target.ts';

const dialogs = readDialogs(new URL('../dialogs/smtp/', import.meta.url));
const lines = linesOf(dialogs);

/** The largest chunk a socket gives. */
const SOCKET_READ_BYTES = 64 * 1024;

export const smtpTarget: FuzzTarget = { playRound };

async function playRound(seed: number): Promise<number> {
  const random = randomFrom(seed);
  const script = scriptFrom(random, dialogs, lines, 12);
  const late = random(2) === 0;
  if (random(2) === 0) {
    // No events but the dialogue's: however the bytes are cut, and whether hooks answer at once or late while commands
    // wait behind them, the peer hears the same in the same order, and the same is stored.
    const whole = await play(script, randomFrom(seed), () => SOCKET_READ_BYTES, late, false);
    const cut = await play(script, randomFrom(seed), (below) => 1 + random(Math.min(below, 40)), false, false);
    // When a session that is going down finds nothing under way, and leaves, depends on what has come by then.
    const drained = script.actions.some((action) => action.do === 'drain');
    if (drained ? !agree(whole.said, cut.said) : whole.said !== cut.said)
      throw new Error(`cut differently, answered differently:\n${whole.said}\n---\n${cut.said}`);
    if (!drained && JSON.stringify(whole.kit.taken) !== JSON.stringify(cut.kit.taken))
      throw new Error('cut differently, stored differently');
    return 2;
  }
  await play(script, randomFrom(seed), (below) => 1 + random(Math.min(below, 200)), late, true);
  return 1;
}

/** Is one of two the beginning of the other, but for the goodbye? */
function agree(one: string, other: string): boolean {
  const [short = '', long = ''] = [one, other]
    .map((said) => said.replace(/421 4\.3\.2 .*/s, ''))
    .sort((a, b) => a.length - b.length);
  return long.startsWith(short);
}

/** Hooks of a round. Their answers depend only on how often they were asked, so cutting cannot change them. */
function hooksOf(random: Random, late: boolean): Partial<Pipeline> {
  const verdicts: Verdict[] = [
    { kind: 'pass', evidence: [], edits: [] },
    { kind: 'pass', evidence: [{ plugin: 'p', name: 'N', weight: 3, reason: 'r' }], edits: [] },
    { kind: 'pass', evidence: [], edits: [{ edit: 'remove-recipient', address: 'alice@example.org' }] },
    { kind: 'pass', evidence: [], edits: [{ edit: 'replace-header', name: 'Subject', value: 'x\r\n\r\ny' }] },
    { kind: 'pass', evidence: [], edits: [{ edit: 'defer-recipient', address: 'bob@example.org', text: 'no\r\n250 yes' }] },
    { kind: 'reject', evidence: [], edits: [], text: 'no\r\n250 yes' },
    { kind: 'defer', evidence: [], edits: [], text: '', code: 250 },
    { kind: 'quarantine', evidence: [], edits: [] },
  ];
  const hooks: Record<string, () => Verdict | Promise<Verdict>> = {};
  for (const stage of ['connect', 'hello', 'auth', 'mail', 'rcpt', 'data', 'message']) {
    if (random(3) !== 0) continue;
    let next = random(verdicts.length * 3);
    hooks[stage] = () => {
      const verdict = verdicts[next % (verdicts.length * 3)] ?? verdicts[0]!;
      next += 1;
      return late ? new Promise((resolve) => setImmediate(() => resolve(verdict))) : verdict;
    };
  }
  return hooks;
}

/** A listener of another kind than the dialogue's own. */
function otherListener(random: Random): Partial<Kit['profile']> {
  return {
    kind: (['smtp', 'submission', 'lmtp'] as const)[random(3)] ?? 'smtp',
    bareLineEnds: random(3) === 0 ? 'normalise' : 'refuse',
    plaintextLogin: random(2) === 0 ? 'always' : 'never',
    requireTls: random(8) === 0,
    senderMustMatch: (['login', 'domain', 'off'] as const)[random(3)] ?? 'login',
    hideClient: random(2) === 0,
    vrfy: random(2) === 0 ? 'users' : 'off',
  };
}

/** Answers that come late by the clock, which is a turn of the loop here; early talkers may be refused. */
function delayAnswers(random: Random, kit: Kit): void {
  const clock = {
    ...kit.ports.clock,
    after: (_ms: number, then: () => void): (() => void) => {
      const turn = setImmediate(then);
      return () => clearImmediate(turn);
    },
  };
  Object.assign(kit.ports, { clock });
  Object.assign(kit.profile.limits, { errorsBeforeDelay: random(4), errorDelayMs: 1000, bannerDelayMs: random(2) * 1000 });
  Object.assign(kit.profile, { earlyTalkers: random(2) === 0 ? 'allow' : 'refuse' });
}

async function play(
  { dialog, actions }: Script<Dialog>,
  random: Random,
  chunkBytes: Random,
  late: boolean,
  events: boolean,
): Promise<{ said: string; kit: Kit }> {
  const kit = kitOf(dialog, late);
  // The dialogue's listener, or one with other limits and with hooks that say anything.
  if (random(2) === 0) {
    Object.assign(kit.profile.limits, {
      maxErrors: 1 + random(20),
      maxMessages: 1 + random(4),
      maxMessageBytes: 200 + random(3000),
      maxTextLineBytes: 100 + random(900),
    });
    Object.assign(kit.ports.hooks, hooksOf(random, late));
    if (random(2) === 0) Object.assign(kit.profile, otherListener(random));
    if (random(3) === 0) delayAnswers(random, kit);
  }
  const prepare = kit.sink.prepare;
  if (events && prepare === undefined && random(4) === 0) kit.sink.prepare = (writer) => (writer.slow = true);
  const output = new RecordingOutput();
  const client = clientOf(dialog);
  const session = createSmtpSession(kit.ports, kit.profile, { address: client, port: 1, sessionId: 'S' }, output);
  session.start();
  // Who is early is told by the clock alone, and that is not the same twice.
  if (!events && kit.profile.earlyTalkers === 'refuse') await settled(session);
  for (const action of actions) {
    if (action.do !== 'send') {
      if (!events) await settled(session);
      if (action.do === 'tls') session.secured(tlsFactsOf(dialog));
      else if (action.do === 'drain') session.drain();
      else if (action.do === 'timeout') session.timedOut();
    }
    for (const chunk of chunksOf(action.bytes, chunkBytes)) {
      session.feed(chunk);
      chunk.fill('!');
      if (events && random(3) === 0) await happen(random(7), session, output, kit);
      else if (!events && output.paused) await settled(session);
    }
  }
  // Whoever held things up lets go, until the session has nothing left to do.
  if (prepare === undefined) delete kit.sink.prepare;
  output.open = true;
  for (let turn = 0; turn < 200 && (turn < 5 || session.waitsFor === 'verdict'); turn += 1) {
    for (const writer of kit.writers) writer.release();
    session.drained();
    await new Promise<void>((resolve) => setImmediate(resolve));
  }
  if (session.waitsFor === 'verdict') throw new Error('hangs: it awaits a verdict that was given');
  session.closed();
  await new Promise<void>((resolve) => setImmediate(resolve));
  await new Promise<void>((resolve) => setImmediate(resolve));
  check(kit, output, dialog);
  return { said: output.text, kit };
}

async function happen(
  event: number,
  session: ReturnType<typeof createSmtpSession>,
  output: RecordingOutput,
  kit: Kit,
): Promise<void> {
  if (event === 0) session.secured({ version: 'TLSv1.3', cipher: 'X' });
  else if (event === 1) session.drain();
  else if (event === 2) session.timedOut();
  else if (event === 3) session.closed();
  else if (event === 4) output.open = !output.open;
  else if (event === 5) for (const writer of kit.writers) writer.release();
  else await new Promise<void>((resolve) => setImmediate(resolve));
  if (output.open) session.drained();
}

function endOfHeader(text: string): number {
  const at = text.indexOf('\r\n\r\n');
  return at < 0 ? text.length : at + 4;
}

function check(kit: Kit, output: RecordingOutput, dialog: Dialog): void {
  // VRFY with SMTPUTF8 may be told an address in UTF-8 (RFC 6531 §3.7.4.2), and nothing else may.
  const ascii = output.text.replaceAll(/(?<=^250 2\.1\.5 <)[\x20-\x7e\x80-\xff]{1,500}(?=>\r$)/gm, 'address');
  if (!/^(?:\d{3}(?:-[\x20-\x7e]{0,508}\r\n\d{3})* [\x20-\x7e]{0,508}\r\n)*$/.test(ascii))
    throw new Error(`badly formed: ${output.text}`);
  checkEnhancedCodes(output.text);
  const failure = kit.logged.find((line) => line.event === 'smtp.failed' || line.event === 'smtp.accept-failed');
  if (failure !== undefined && !wanted(failure.fields?.['cause']))
    throw new Error('a failure was logged', { cause: failure.fields?.['cause'] });
  if (kit.writers.some((writer) => writer.ended !== 1)) throw new Error('a writer was not given back');
  // Dialogues of clients that may relay, or of plugins that add recipients, reach others than ours.
  const relays = clientOf(dialog) === '127.0.0.1' || dialog.settings.some((line) => line.includes('add-recipient'));
  for (const { envelope, text } of kit.taken) {
    // Behind the header of a binary message anything may stand.
    const looked = envelope.body === 'binarymime' ? text.slice(0, endOfHeader(text)) : text;
    if (/\r(?!\n)|(?<!\r)\n/.test(looked)) throw new Error('a message with a bare CR or LF was stored');
    if (/(?<=^|\n)\0/.test(looked)) throw new Error('a line that begins with NUL was stored');
    if (kit.profile.kind === 'submission') checkSubmitted(kit, envelope, text);
    if (envelope.sizeBytes !== text.length) throw new Error('the envelope tells another size');
    const foreign = envelope.recipients.find(
      (one) => !/@(?:example\.org|relayed\.example|elsewhere\.example)$/.test(one.address),
    );
    if (foreign !== undefined && !relays && envelope.origin.user === undefined) throw new Error(`relayed to ${foreign.address}`);
  }
}

/** Who logged in wrote as himself, and what was left out is there (RFC 6409); Bcc is not. */
function checkSubmitted(kit: Kit, { reversePath, origin }: Envelope, text: string): void {
  const header = Buffer.from(text.slice(0, endOfHeader(text)), 'latin1');
  const fields = scanHeader(header);
  const names = fields.map(({ name }) => name);
  const { senderMustMatch, hideClient } = kit.profile;
  if (names.includes('bcc') || names.includes('resent-bcc')) throw new Error('Bcc was stored');
  for (const name of ['date', 'message-id']) if (!names.includes(name)) throw new Error(`${name} is missing`);
  if (hideClient && fields[0] !== undefined && unfoldedValue(header, fields[0]).startsWith('from'))
    throw new Error('the client is told');
  if (senderMustMatch === 'off' || origin.user === undefined) return;
  const from = fields.filter(({ name }) => name === 'from').map((field) => unfoldedValue(header, field));
  const own = (address: string): boolean => kit.ports.mayWriteAs(origin.user ?? '', address, senderMustMatch);
  if (from.length !== 1) throw new Error(`From is there ${from.length} times`);
  if (reversePath !== '' && !own(reversePath)) throw new Error(`sent as ${reversePath}`);
  // Whatever is in angle brackets outside of quotes and comments is somebody's address.
  const plain = (from[0] ?? '').replaceAll(/"(?:[^"\\]|\\.)*"(?!@)/g, '').replaceAll(/\([^()]*\)/g, '');
  for (const [, address = ''] of plain.matchAll(/<([^<>]*)>/g)) {
    if (!own(address.replace(/^@[^:]*:/, '').replaceAll(/\s/g, ''))) throw new Error(`From names ${address}`);
  }
}

/** Each line has one of the reply's class, but for 3xx, the banner, and HELO's and EHLO's answer (RFC 2034 §4). */
function checkEnhancedCodes(text: string): void {
  for (const [reply, code = ''] of text.matchAll(/(?<=^|\n)(?:(\d{3})-[^\r]*\r\n)*(\d{3}) [^\r]*\r\n/g)) {
    const first = reply.slice(0, 3);
    if (code !== '' && code !== first) throw new Error(`a reply of two codes: ${reply}`);
    if (first.startsWith('3') || reply.startsWith('mx.example.org', 4)) continue;
    const wanted = new RegExp(`^${first}[ -]${first[0]}\\.\\d{1,3}\\.\\d{1,3} `);
    for (const line of reply.split('\r\n').slice(0, -1)) if (!wanted.test(line)) throw new Error(`no enhanced code: ${line}`);
  }
}

/** Failures that the dialogue's own sink makes. */
function wanted(cause: unknown): boolean {
  return /as the test wants it|not kept: |the user file is gone/.test(String(cause));
}
