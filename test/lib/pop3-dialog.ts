/**
 * Reads a dialogue file of test/dialogs/pop3 and plays it to a session. The format, line by line:
 *   # comment
 *   @profile starttls=false plaintextLogin=never maxErrors=3     the listener
 *   @client 127.0.0.1        @implicit-tls                       the peer
 *   @message uidl text                                           a message of the maildrop; escapes as in C:
 *   @drop in-use | too-soon | failed | broken     @gone 2   @stuck 2   @forbidden 2    what the maildrop does (numbers of messages)
 *   @retention 30 90          days that somebody's mail is kept, and alice's, where they differ
 *   @logins secret scram bearer    @tls-has certificate exporter     test-tls.ts
 *   @hook pop3.delete reject Not this one                        what a stage says
 *   C: a line, sent with CRLF, UTF-8 as it is; escapes \r \n \t \\ \xNN \*N"text" (text N times); at its end \c: no CRLF
 *   S: a line of a reply, exactly
 *   @tls      the handshake that STLS asked for is done
 *   @drain    @timeout    @lost      (the peer is gone)
 *   @closes                          the server closes
 *   @deleted uidl uidl               what was deleted in the end; nothing else is
 */
import { readdirSync, readFileSync } from 'node:fs';
import type { StageRunner, Verdict } from '@posthorn/core/hook/contract';
import { createPop3Session, type Pop3Peer } from '@posthorn/core/pop3/session';
import { type Cutting, feedCut, stepsFor } from './cutting.ts';
import { createPop3Kit, type Pop3Kit, type Pop3KitOptions, type TestMessage } from './pop3-ports.ts';
import { RecordingOutput, settled } from './smtp-ports.ts';
import { formsOf, tlsOf } from './test-tls.ts';

export interface Pop3Dialog {
  readonly name: string;
  readonly settings: ReadonlyMap<string, readonly string[]>;
  readonly steps: readonly Pop3Step[];
  readonly expected: string;
}

interface Pop3Step {
  readonly do: 'send' | 'tls' | 'drain' | 'timeout' | 'lost';
  bytes: Buffer;
  /** All that the server is to have said after this step. */
  expected: string;
}

/** All dialogues of a folder, by name. */
export function readPop3Dialogs(folder: URL): Pop3Dialog[] {
  const names = readdirSync(folder).filter((name) => name.endsWith('.txt'));
  return names.sort().map((name) => parsePop3Dialog(name.slice(0, -4), readFileSync(new URL(name, folder), 'latin1')));
}

export function parsePop3Dialog(name: string, text: string): Pop3Dialog {
  const settings = new Map<string, string[]>();
  const steps: Pop3Step[] = [];
  let expected = '';
  let answered = true;
  for (const [index, line] of text.split('\n').entries()) {
    if (line.trim() === '' || line.startsWith('#')) continue;
    const rest = line.slice(3);
    const last = steps.at(-1);
    if (line.startsWith('C:')) {
      const bytes = Buffer.from(unescape(rest), 'latin1');
      // One step for all the client sends before it is answered.
      if (!answered && last?.do === 'send') last.bytes = Buffer.concat([last.bytes, bytes]);
      else steps.push({ do: 'send', bytes, expected });
      answered = false;
    } else if (line.startsWith('S:')) {
      expected += `${rest}\r\n`;
      if (last !== undefined) last.expected = expected;
      answered = true;
    } else if (/^@(tls|drain|timeout|lost)$/.test(line)) {
      steps.push({ do: line.slice(1) as 'tls', bytes: Buffer.alloc(0), expected });
      answered = true;
    } else {
      const [, key, value] = /^@([a-z-]+) ?(.*)$/.exec(line) ?? [];
      if (key === undefined || value === undefined) throw new SyntaxError(`${name}:${index + 1}: ${line}`);
      settings.set(key, [...(settings.get(key) ?? []), value]);
    }
  }
  return { name, settings, steps, expected };
}

export interface PlayedPop3 {
  /** The first step after which the server had not said just what it was to. */
  readonly late: { readonly expected: string; readonly said: string } | undefined;
  readonly text: string;
  readonly closed: boolean;
  readonly kit: Pop3Kit;
}

/** Plays a dialogue, then tells the session that the connection is closed. `ports`: how they answer. */
export async function playPop3Dialog(
  dialog: Pop3Dialog,
  cutting: Cutting,
  ports: Pick<Pop3KitOptions, 'async' | 'streamBytes'> = {},
): Promise<PlayedPop3> {
  const kit = kitOf(dialog, ports);
  const output = new RecordingOutput();
  const session = createPop3Session(kit.ports, kit.profile, peerOf(dialog), output);
  session.start();
  await settled(session);
  let late: PlayedPop3['late'];
  for (const step of stepsFor(dialog.steps, cutting)) {
    if (step.do === 'tls') session.secured(tlsFactsOf(dialog));
    else if (step.do === 'drain') session.drain();
    else if (step.do === 'timeout') session.timedOut();
    else if (step.do === 'lost') session.closed();
    else feedCut(session, step.bytes, cutting);
    await settled(session);
    if (output.text !== step.expected && late === undefined) late = { expected: step.expected, said: output.text };
  }
  if (output.changed) throw new Error('bytes were changed while they were sent');
  const closed = output.closed;
  session.closed();
  await settled(session);
  return { late, text: output.text, closed, kit };
}

function unescape(text: string): string {
  const open = text.endsWith('\\c');
  const line = unescapeText(open ? text.slice(0, -2) : text);
  return open ? line : `${line}\r\n`;
}

function unescapeText(text: string): string {
  return text
    .replace(/\\\*(\d+)"([^"]*)"/g, (_all, count: string, part: string) => part.repeat(Number(count)))
    .replace(/\\(?:x([0-9a-f]{2})|(.))/g, (_all, hex: string | undefined, one: string | undefined) => {
      if (hex !== undefined) return String.fromCharCode(Number.parseInt(hex, 16));
      return { r: '\r', n: '\n', t: '\t' }[one ?? ''] ?? one ?? '';
    });
}

export function tlsFactsOf(dialog: Pop3Dialog): ReturnType<typeof tlsOf> {
  return tlsOf('X', (dialog.settings.get('tls-has')?.[0] ?? '').split(' '));
}

export function peerOf(dialog: Pop3Dialog): Pop3Peer {
  const peer = { address: dialog.settings.get('client')?.[0] ?? '192.0.2.7', port: 4025, sessionId: 'S1' };
  return dialog.settings.has('implicit-tls') ? { ...peer, tls: tlsFactsOf(dialog) } : peer;
}

/** The ports of a dialogue. @param ports how they answer. */
export function kitOf(dialog: Pop3Dialog, ports: Pick<Pop3KitOptions, 'async' | 'streamBytes'>): Pop3Kit {
  const profile: Record<string, unknown> = {};
  for (const pair of (dialog.settings.get('profile') ?? []).join(' ').split(' ')) {
    const [key = '', value = ''] = pair.split('=');
    if (key !== '')
      profile[key] = value === 'true' ? true : value === 'false' ? false : /^\d+$/.test(value) ? Number(value) : value;
  }
  const hooks: Record<string, StageRunner<'pop3.connect'>> = {};
  for (const line of dialog.settings.get('hook') ?? []) {
    const [stage = '', kind = '', ...words] = line.split(' ');
    const text = words.length === 0 ? {} : { text: Buffer.from(unescapeText(words.join(' ')), 'latin1').toString() };
    const verdict: Verdict = { kind: kind as Verdict['kind'], evidence: [], edits: [], ...text };
    hooks[stage] = () => (ports.async === true ? new Promise((resolve) => setImmediate(() => resolve(verdict))) : verdict);
  }
  const messages = (dialog.settings.get('message') ?? []).map((line): TestMessage => {
    const space = line.indexOf(' ');
    return space < 0 ? { uidl: line, text: '' } : { uidl: line.slice(0, space), text: unescapeText(line.slice(space + 1)) };
  });
  const indices = (key: string) => (dialog.settings.get(key) ?? []).map((number) => Number(number) - 1);
  const drop = dialog.settings.get('drop')?.[0] as Pop3KitOptions['drop'];
  const [leastDays, ownDays = leastDays] = (dialog.settings.get('retention')?.[0] ?? '').split(' ').filter(Boolean).map(Number);
  return createPop3Kit({
    profile,
    ...(leastDays === undefined
      ? {}
      : { retention: { leastDays, sameForAll: ownDays === leastDays, daysOf: () => ownDays ?? null } }),
    hooks,
    messages,
    forms: formsOf((dialog.settings.get('logins')?.[0] ?? '').split(' ')),
    gone: indices('gone'),
    stuck: indices('stuck'),
    forbidden: indices('forbidden'),
    ...(drop === undefined ? {} : { drop }),
    ...ports,
  });
}
