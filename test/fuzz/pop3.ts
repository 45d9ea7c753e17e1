/**
 * Throws damaged dialogues at the POP3 session, from every state of the protocol: the beginning of a dialogue, then lines
 * of all of them with bytes changed, cut, doubled and mixed, in chunks of any size, with ports that answer early or late,
 * and events in between. Short form: pop3.test.ts; long form: run.ts.
 */
import type { Pipeline, Verdict } from '@posthorn/core/hook/contract';
import { createPop3Session } from '@posthorn/core/pop3/session';
import type { Session } from '@posthorn/core/wire/session';
import { kitOf, peerOf, type Pop3Dialog, readPop3Dialogs, tlsFactsOf } from '../lib/pop3-dialog.ts';
import type { Pop3Kit } from '../lib/pop3-ports.ts';
import { RecordingOutput, settled } from '../lib/smtp-ports.ts';
import { randomFrom, type Random } from './random.ts';
import { chunksOf, linesOf, scriptFrom, type Script } from './script.ts';
import type { FuzzTarget } from './target.ts';

const dialogs = readPop3Dialogs(new URL('../dialogs/pop3/', import.meta.url));
const lines = linesOf(dialogs);

/** The largest chunk a socket gives. */
const SOCKET_READ_BYTES = 64 * 1024;
const STAGES = ['pop3.connect', 'pop3.auth', 'pop3.open', 'pop3.retrieve', 'pop3.delete', 'pop3.commit'] as const;
/** Whatever an engine says that lets a plugin's text or a client's bytes through, this finds. */
const FOREIGN_TEXT = 'no\r\n+OK yes';

export const pop3Target: FuzzTarget = { playRound };

/** How the ports of one play answer. What the peer hears must not depend on it. */
interface Manner {
  readonly async: boolean;
  readonly streamBytes?: number;
}

async function playRound(seed: number): Promise<number> {
  const random = randomFrom(seed);
  const script = scriptFrom(random, dialogs, lines, 12);
  if (random(2) === 0) {
    // No events but the dialogue's: however the bytes are cut, and whether ports answer at once or late while commands wait
    // behind them, the peer hears the same in the same order, and the same is deleted.
    const late: Manner = random(2) === 0 ? { async: true } : { async: true, streamBytes: 20 + random(200) };
    const whole = await play(script, randomFrom(seed), () => SOCKET_READ_BYTES, late, false);
    const cut = await play(script, randomFrom(seed), (below) => 1 + random(Math.min(below, 40)), { async: false }, false);
    if (whole.said !== cut.said) throw new Error(`cut differently, answered differently:\n${whole.said}\n---\n${cut.said}`);
    if (whole.kit.deleted.join() !== cut.kit.deleted.join()) throw new Error('cut differently, deleted differently');
    if (whole.kit.logins !== cut.kit.logins) throw new Error('cut differently, logged in differently');
    return 2;
  }
  const manner: Manner = random(2) === 0 ? { async: true, streamBytes: 20 + random(200) } : { async: random(2) === 0 };
  await play(script, randomFrom(seed), (below) => 1 + random(Math.min(below, 200)), manner, true);
  return 1;
}

/** Hooks of a round. Their answers depend only on how often they were asked, so cutting cannot change them. */
function hooksOf(random: Random, late: boolean): Partial<Pipeline> {
  const kinds = ['pass', 'pass', 'pass', 'accept', 'reject', 'defer', 'quarantine'] as const;
  const hooks: Record<string, () => Verdict | Promise<Verdict>> = {};
  for (const stage of STAGES) {
    if (random(4) !== 0) continue;
    let next = random(kinds.length);
    hooks[stage] = () => {
      const verdict: Verdict = { kind: kinds[next++ % kinds.length]!, evidence: [], edits: [], text: FOREIGN_TEXT };
      return late ? new Promise((resolve) => setImmediate(() => resolve(verdict))) : verdict;
    };
  }
  return hooks;
}

/** The dialogue's listener, or one of another kind with hooks that say anything. */
function kitFor(dialog: Pop3Dialog, random: Random, manner: Manner): Pop3Kit {
  const kit = kitOf(dialog, manner);
  if (random(2) === 0) return kit;
  Object.assign(kit.ports.hooks, hooksOf(random, manner.async));
  Object.assign(kit.profile, {
    maxErrors: 1 + random(20),
    maxIdleCommands: 1 + random(20),
    plaintextLogin: random(3) === 0 ? 'never' : 'always',
    starttls: random(3) !== 0,
    requireTls: random(8) === 0,
    loginDelayMs: random(2) * 60_000,
  });
  return kit;
}

async function play(
  { dialog, actions }: Script<Pop3Dialog>,
  random: Random,
  chunkBytes: Random,
  manner: Manner,
  events: boolean,
): Promise<{ said: string; kit: Pop3Kit }> {
  const kit = kitFor(dialog, random, manner);
  const output = new RecordingOutput();
  const session = createPop3Session(kit.ports, kit.profile, peerOf(dialog), output);
  session.start();
  for (const action of actions) {
    if (action.do !== 'send') {
      if (!events && session.waitsFor === 'verdict') await settled(session);
      if (action.do === 'tls') session.secured(tlsFactsOf(dialog));
      else if (action.do === 'drain') session.drain();
      else if (action.do === 'timeout') session.timedOut();
      else session.closed();
    }
    for (const chunk of chunksOf(action.bytes, chunkBytes)) {
      session.feed(chunk);
      chunk.fill('!');
      if (events && random(3) === 0) await happen(random(7), session, output);
      else if (!events && output.paused) await settled(session);
    }
  }
  // Whoever held things up lets go, until the session has nothing left to do.
  output.open = true;
  for (let turn = 0; turn < 2000 && session.waitsFor === 'verdict'; turn += 1) {
    session.drained();
    await new Promise<void>((resolve) => setImmediate(resolve));
  }
  if (session.waitsFor === 'verdict') throw new Error('hangs: it awaits an answer that was given');
  session.closed();
  for (let turn = 0; turn < 10 && (turn === 0 || kit.held > 0 || kit.reading > 0); turn += 1)
    await new Promise<void>((resolve) => setImmediate(resolve));
  check(kit, output, events);
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

function check(kit: Pop3Kit, output: RecordingOutput, events: boolean): void {
  const { text } = output;
  if (kit.held !== 0) throw new Error('a lock was not given up');
  if (kit.reading !== 0) throw new Error('a message was left open');
  // A peer that was lost in the middle of a message has half a line end at the most.
  if (/[^\x20-\x7e\x80-\xff\r\n]|\r(?!\n|$)|(?<!\r)\n/.test(text) || (!events && text.endsWith('\r')))
    throw new Error(`badly formed: ${text}`);
  if (text !== '' && !/^(?:\+OK|-ERR|\+ )/.test(text)) throw new Error(`begins with no reply: ${text}`);
  if (text.includes('\n+OK yes')) throw new Error('a plugin wrote a reply of its own');
  const failure = kit.logged.find(({ event }) => event === 'pop3.answer-broken' || event === 'pop3.commit-failed');
  if (failure !== undefined) throw new Error('a failure was logged', { cause: failure.fields?.['cause'] });
  // Only QUIT commits, and its answer is the last one.
  const ended = /(?:^|\n)(?:\+OK [^\r\n]+|-ERR \[SYS\/(?:TEMP|PERM)\] [^\r\n]+)\r\n$/.test(text);
  if (output.changed) throw new Error('bytes were changed while they were sent');
  if (kit.deleted.length > 0 && !events && !(output.closed && ended)) throw new Error('deleted without QUIT');
  if (kit.deleted.length > 0 && kit.logins === 0) throw new Error('deleted without a login');
}
