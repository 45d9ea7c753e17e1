/**
 * Throws damaged dialogues at the SMTP session, from every state of the protocol: a valid prefix, then lines of the
 * dialogue files with bytes changed, cut, doubled and mixed, in chunks of any size, with hooks that answer early, late
 * or badly, and events in between. Deterministic for a seed. Short form: smtp.test.ts; long form:
 * `node test/fuzz/smtp.ts [rounds] [seed]`. Throws an error that names the seed of the round that broke a promise.
 */
import type { Pipeline, Verdict } from '@posthorn/core/hook/contract';
import { createSmtpSession } from '@posthorn/core/smtp/session';
import { readDialogs } from '../lib/smtp-dialog.ts';
import { createKit, RecordingOutput, settled, type Kit } from '../lib/smtp-ports.ts';

/** One prefix for each state; the last one leaves the session inside of it. */
const PREFIXES = [
  '',
  'EHLO client.example\r\n',
  'EHLO client.example\r\nMAIL FROM:<a@b.example>\r\n',
  'EHLO client.example\r\nMAIL FROM:<a@b.example>\r\nRCPT TO:<alice@example.org>\r\n',
  'EHLO client.example\r\nMAIL FROM:<a@b.example>\r\nRCPT TO:<alice@example.org>\r\nDATA\r\n',
  'EHLO client.example\r\nMAIL FROM:<a@b.example>\r\nRCPT TO:<team@example.org>\r\nDATA\r\nSubject: x\r\n\r\ntext\r\n.',
  'EHLO client.example\r\nMAIL FROM:<a@b.example> PRDR\r\nRCPT TO:<bob@example.org>\r\nRCPT TO:<team@example.org>\r\nDATA\r\n',
  'EHLO client.example\r\nMAIL FROM:<a@b.example>\r\nRCPT TO:<alice@example.org>\r\nBDAT 8\r\na: b\r\n\r\n',
  'EHLO client.example\r\nMAIL FROM:<a@b.example>\r\nRCPT TO:<alice@example.org>\r\nBDAT 800 LAST\r\na: b\r\n\r\n',
  'EHLO client.example\r\nMAIL FROM:<a@b.example> BODY=BINARYMIME\r\nRCPT TO:<alice@example.org>\r\nBDAT 9\r\na: b\r\n\r\n\n',
  'EHLO client.example\r\nBDAT 100\r\n',
  'EHLO client.example\r\nMAIL FROM:<a@b.example>\r\nRCPT TO:<nobody@example.org>\r\nBDAT 10\r\n0123456789',
  'EHLO client.example\r\nMAIL FROM:<j\xc3\xb6@b.example> SMTPUTF8\r\nRCPT TO:<j\xc3\xb6rg@example.org>\r\n',
  'EHLO client.example\r\nAUTH LOGIN\r\n',
  'EHLO client.example\r\nAUTH PLAIN AGFsaWNlAHNlY3JldA==\r\n',
  'EHLO client.example\r\nSTARTTLS\r\n',
  'EHLO client.example\r\nXCLIENT ADDR=198.51.100.9 HELO=c.example\r\nMAIL FROM:<a@b.example>\r\n',
  'LHLO client.example\r\nMAIL FROM:<a@b.example>\r\nRCPT TO:<team@example.org>\r\nRCPT TO:<bob@example.org>\r\nDATA\r\n',
];
const NASTY = [
  '\r',
  '\n',
  '\r\n',
  '\0',
  '.',
  '\r\n.\r\n',
  '\n.\n',
  '\r.\r',
  ' ',
  '<',
  '>',
  '@',
  '"',
  '\\',
  ':',
  '\xff',
  '*\r\n',
  '=',
  'BDAT 5\r\n',
  'bdat 0 last\r\n',
];

/** The largest chunk a socket gives. */
const SOCKET_READ_BYTES = 64 * 1024;

type Random = (below: number) => number;

/** mulberry32: small, good enough, the same everywhere. */
function randomFrom(seed: number): Random {
  let state = seed >>> 0;
  return (below) => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) % below;
  };
}

/** Plays `rounds` rounds. @throws Error that names the round's seed when a promise of the session is broken. */
export async function fuzzSmtp(rounds: number, seed: number): Promise<void> {
  const lines = readDialogs(new URL('../dialogs/smtp/', import.meta.url))
    .flatMap((dialog) => dialog.steps.map((step) => step.bytes.toString('latin1')))
    .flatMap((text) => text.split(/(?<=\r\n)/))
    .filter((line) => line !== '');
  for (let round = 0; round < rounds; round += 1) {
    try {
      await playRound(seed + round, lines);
    } catch (cause) {
      throw new Error(`fuzz seed ${seed + round}`, { cause });
    }
  }
}

async function playRound(seed: number, lines: readonly string[]): Promise<void> {
  const random = randomFrom(seed);
  const input = Buffer.from(PREFIXES[random(PREFIXES.length)]! + damagedLines(random, lines), 'latin1');
  const calm = random(2) === 0;
  if (calm) {
    // No events: however the bytes are cut, the peer hears the same and the same is stored.
    const whole = await play(input, randomFrom(seed), () => SOCKET_READ_BYTES, false);
    const cut = await play(input, randomFrom(seed), (below) => 1 + random(Math.min(below, 40)), false);
    if (whole.said !== cut.said) throw new Error(`cut differently, answered differently:\n${whole.said}\n---\n${cut.said}`);
    if (JSON.stringify(whole.kit.taken) !== JSON.stringify(cut.kit.taken)) throw new Error('cut differently, stored differently');
  } else {
    await play(input, randomFrom(seed), (below) => 1 + random(Math.min(below, 200)), true);
  }
}

function damagedLines(random: Random, lines: readonly string[]): string {
  let text = '';
  for (let count = 1 + random(12); count > 0; count -= 1) text += damaged(random, lines[random(lines.length)]!);
  return text;
}

function damaged(random: Random, line: string): string {
  let text = line;
  for (let times = random(4); times > 0; times -= 1) {
    const at = random(text.length + 1);
    const nasty = NASTY[random(NASTY.length)]!;
    const kind = random(5);
    if (kind === 0) text = text.slice(0, at) + nasty + text.slice(at);
    else if (kind === 1) text = text.slice(0, at) + text.slice(at + 1 + random(4));
    else if (kind === 2) text = text.slice(0, at) + String.fromCharCode(random(256)) + text.slice(at + 1);
    else if (kind === 3) text = text.slice(0, at) + text.slice(0, at);
    else text = text.slice(0, at) + text.slice(at, at + 1).repeat(random(700)) + text.slice(at);
  }
  return text;
}

/** Hooks of a round. Their answers depend only on how often they were asked, so cutting cannot change them. */
function hooksOf(random: Random): Partial<Pipeline> {
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
    const late = random(2) === 0;
    let next = random(verdicts.length * 3);
    hooks[stage] = () => {
      const verdict = verdicts[next % (verdicts.length * 3)] ?? verdicts[0]!;
      next += 1;
      return late ? new Promise((resolve) => setImmediate(() => resolve(verdict))) : verdict;
    };
  }
  return hooks;
}

async function play(input: Buffer, random: Random, chunkBytes: Random, events: boolean): Promise<{ said: string; kit: Kit }> {
  const submission = random(3) === 0;
  const kit = createKit({
    profile: {
      kind: submission ? 'submission' : random(4) === 0 ? 'lmtp' : 'smtp',
      bareLineEnds: random(4) === 0 ? 'normalise' : 'refuse',
      plaintextLogin: random(2) === 0 ? 'always' : 'never',
      requireTls: random(8) === 0,
    },
    limits: {
      maxErrors: 1 + random(20),
      maxMessages: 1 + random(4),
      maxMessageBytes: 200 + random(3000),
      maxTextLineBytes: 100 + random(900),
    },
    hooks: hooksOf(random),
  });
  if (events && random(4) === 0) kit.sink.prepare = (writer) => (writer.slow = true);
  const output = new RecordingOutput();
  const client = random(4) === 0 ? '192.0.2.99' : random(4) === 0 ? '127.0.0.1' : '192.0.2.7';
  const session = createSmtpSession(kit.ports, kit.profile, { address: client, port: 1, sessionId: 'S' }, output);
  session.start();
  let at = 0;
  while (at < input.length) {
    const chunk = Buffer.from(input.subarray(at, at + chunkBytes(input.length)));
    at += chunk.length;
    session.feed(chunk);
    chunk.fill('!');
    if (events && random(3) === 0) await happen(random(7), session, output, kit);
    else if (!events && output.paused) await settled(session);
  }
  // Whoever held things up lets go, until the session has nothing left to do.
  kit.sink.prepare = () => undefined;
  output.open = true;
  for (let turn = 0; turn < 200 && (turn < 5 || session.waitsFor === 'verdict'); turn += 1) {
    for (const writer of kit.writers) writer.release();
    session.drained();
    await new Promise<void>((resolve) => setImmediate(resolve));
  }
  session.closed();
  await new Promise<void>((resolve) => setImmediate(resolve));
  await new Promise<void>((resolve) => setImmediate(resolve));
  check(kit, output, client);
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

function check(kit: Kit, output: RecordingOutput, client: string): void {
  if (!/^(?:\d{3}(?:-[\x20-\x7e]{0,508}\r\n\d{3})* [\x20-\x7e]{0,508}\r\n)*$/.test(output.text))
    throw new Error(`badly formed: ${output.text}`);
  const failure = kit.logged.find((line) => line.event === 'smtp.failed' || line.event === 'smtp.accept-failed');
  if (failure !== undefined) throw new Error('a failure was logged', { cause: failure.fields?.['cause'] });
  if (kit.writers.some((writer) => writer.ended !== 1)) throw new Error('a writer was not given back');
  for (const { envelope, text } of kit.taken) {
    // Behind the header of a binary message anything may stand.
    const lines = envelope.body === 'binarymime' ? text.slice(0, endOfHeader(text)) : text;
    if (/\r(?!\n)|(?<!\r)\n/.test(lines)) throw new Error('a message with a bare CR or LF was stored');
    if (envelope.sizeBytes !== text.length) throw new Error('the envelope tells another size');
    const foreign = envelope.recipients.find(
      (one) => !/@(?:example\.org|relayed\.example|elsewhere\.example)$/.test(one.address),
    );
    if (foreign !== undefined && client !== '127.0.0.1' && envelope.origin.user === undefined)
      throw new Error(`relayed to ${foreign.address}`);
  }
}

if (import.meta.main) {
  const rounds = Number(process.argv[2] ?? 100_000);
  const seed = Number(process.argv[3] ?? Date.now() % 1e9);
  process.stdout.write(`${rounds} rounds from seed ${seed}\n`);
  await fuzzSmtp(rounds, seed);
}
