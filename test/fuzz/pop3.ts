/**
 * Throws damaged dialogues at the POP3 session, from every state of the protocol: a valid prefix, then lines of the
 * dialogue files with bytes changed, cut and doubled, in chunks of any size, with ports that answer early or late, and
 * events in between. Short form: pop3.test.ts; long form: run.ts.
 */
import type { Pipeline, Verdict } from '@posthorn/core/hook/contract';
import { createPop3Session } from '@posthorn/core/pop3/session';
import type { Session } from '@posthorn/core/wire/session';
import { readPop3Dialogs } from '../lib/pop3-dialog.ts';
import { createPop3Kit, type Pop3Kit } from '../lib/pop3-ports.ts';
import { RecordingOutput, settled } from '../lib/smtp-ports.ts';
import { randomFrom, type Random } from './random.ts';
import type { FuzzTarget } from './target.ts';

const LOGIN = 'USER alice\r\nPASS secret word\r\n';
/** One prefix for each state; the last one leaves the session inside of it. */
const PREFIXES = [
  '',
  'USER alice\r\n',
  'AUTH PLAIN\r\n',
  LOGIN,
  `${LOGIN}DELE 1\r\n`,
  `${LOGIN}RETR 2\r\n`,
  `${LOGIN}DELE 2\r\nQUIT\r\n`,
  'STLS\r\n',
];
const NASTY = ['\r', '\n', '\r\n', '\0', '.', ' ', '*\r\n', '=', '\xff', '0', '-1', '99999999999', 'QUIT\r\n'];
const MESSAGES = [
  { uidl: 'a', text: 'A: 1\r\n\r\n.\r\n..\r\ntext\r\n' },
  { uidl: 'b', text: `B: 2\r\n\r\n${'long line '.repeat(30)}\r\n`.repeat(5) },
  { uidl: 'c', text: 'no end of line' },
];

const lines = readPop3Dialogs(new URL('../dialogs/pop3/', import.meta.url))
  .flatMap((dialog) => dialog.steps.map((step) => step.bytes.toString('latin1')))
  .flatMap((text) => text.split(/(?<=\r\n)/))
  .filter((line) => line !== '');

export const pop3Target: FuzzTarget = { playRound };

async function playRound(seed: number): Promise<number> {
  const random = randomFrom(seed);
  let text = PREFIXES[random(PREFIXES.length)]!;
  for (let count = 1 + random(10); count > 0; count--) text += damaged(random, lines[random(lines.length)]!);
  const input = Buffer.from(text, 'latin1');
  if (random(2) === 0) {
    // No events: however the bytes are cut, the peer hears the same and the same is deleted.
    const whole = await play(input, randomFrom(seed), () => input.length, false);
    const cut = await play(input, randomFrom(seed), (below) => 1 + random(Math.min(below, 40)), false);
    if (whole.said !== cut.said) throw new Error(`cut differently, answered differently:\n${whole.said}\n---\n${cut.said}`);
    if (whole.kit.deleted.join() !== cut.kit.deleted.join()) throw new Error('cut differently, deleted differently');
    return 2;
  }
  await play(input, randomFrom(seed), (below) => 1 + random(Math.min(below, 100)), true);
  return 1;
}

function damaged(random: Random, line: string): string {
  let text = line;
  for (let times = Math.max(0, random(5) - 2); times > 0; times--) {
    const at = random(text.length + 1);
    const kind = random(4);
    if (kind === 0) text = text.slice(0, at) + NASTY[random(NASTY.length)]! + text.slice(at);
    else if (kind === 1) text = text.slice(0, at) + text.slice(at + 1 + random(4));
    else if (kind === 2) text = text.slice(0, at) + String.fromCharCode(random(256)) + text.slice(at + 1);
    else text = text.slice(0, at) + text.slice(at, at + 1).repeat(random(300)) + text.slice(at);
  }
  return text;
}

/** Hooks of a round. Their answers depend only on how often they were asked, so cutting cannot change them. */
function hooksOf(random: Random): Partial<Pipeline> {
  const kinds = ['pass', 'pass', 'pass', 'accept', 'reject', 'defer', 'quarantine'] as const;
  const hooks: Record<string, () => Verdict | Promise<Verdict>> = {};
  for (const stage of ['pop3.connect', 'pop3.auth', 'pop3.open', 'pop3.retrieve', 'pop3.delete', 'pop3.commit']) {
    if (random(4) !== 0) continue;
    const late = random(2) === 0;
    let next = random(kinds.length);
    hooks[stage] = () => {
      const verdict: Verdict = { kind: kinds[next++ % kinds.length]!, evidence: [], edits: [], text: 'no\r\n+OK yes' };
      return late ? new Promise((resolve) => setImmediate(() => resolve(verdict))) : verdict;
    };
  }
  return hooks;
}

async function play(input: Buffer, random: Random, chunkBytes: Random, events: boolean): Promise<{ said: string; kit: Pop3Kit }> {
  const kit = createPop3Kit({
    profile: {
      maxErrors: 1 + random(20),
      plaintextLogin: random(3) === 0 ? 'never' : 'always',
      maxLineBytes: 60 + random(200),
      requireTls: random(8) === 0,
    },
    hooks: hooksOf(random),
    messages: MESSAGES,
    async: random(2) === 0,
    ...(random(2) === 0 ? { streamBytes: 20 + random(50) } : {}),
    gone: random(4) === 0 ? [1] : [],
    stuck: random(4) === 0 ? [1] : [],
  });
  const output = new RecordingOutput();
  const session = createPop3Session(kit.ports, kit.profile, { address: '192.0.2.7', port: 1, sessionId: 'S' }, output);
  session.start();
  for (let at = 0; at < input.length;) {
    const chunk = Buffer.from(input.subarray(at, at + chunkBytes(input.length)));
    at += chunk.length;
    session.feed(chunk);
    chunk.fill('!');
    if (events && random(3) === 0) await happen(random(7), session, output);
    else if (!events && output.paused) await settled(session);
  }
  output.open = true;
  for (let turn = 0; turn < 1000 && (turn < 3 || session.waitsFor === 'verdict'); turn++) {
    session.drained();
    await new Promise<void>((resolve) => setImmediate(resolve));
  }
  session.closed();
  for (let turn = 0; turn < 5; turn++) await new Promise<void>((resolve) => setImmediate(resolve));
  check(kit, output);
  return { said: output.text, kit };
}

async function happen(event: number, session: Session, output: RecordingOutput): Promise<void> {
  if (event === 0) session.secured({ version: 'TLSv1.3', cipher: 'X' });
  else if (event === 1) session.drain();
  else if (event === 2) session.timedOut();
  else if (event === 3) session.closed();
  else if (event === 4) output.open = !output.open;
  else await new Promise<void>((resolve) => setImmediate(resolve));
  if (output.open) session.drained();
}

function check(kit: Pop3Kit, output: RecordingOutput): void {
  if (kit.held !== 0) throw new Error('a lock was not given up');
  if (kit.reading !== 0) throw new Error('a message was left open');
  if (/[^\x20-\x7e\x80-\xff\r\n]|\r(?!\n)|(?<!\r)\n/.test(output.text)) throw new Error(`badly formed: ${output.text}`);
  if (output.text.includes('\n+OK yes')) throw new Error('a plugin wrote a reply of its own');
  const broken = kit.logged.find(({ event }) => event === 'pop3.answer-broken' || event === 'pop3.commit-failed');
  if (broken !== undefined) throw new Error('a failure was logged', { cause: broken.fields?.['cause'] });
  if (kit.deleted.length > 0 && !/\+OK Goodbye, |could not be deleted/.test(output.text) && !output.closed)
    throw new Error('deleted without QUIT');
}
