/**
 * A message as the body of a reply, for RETR and TOP. Nothing is promised to the peer before the first bytes are read:
 * a file that is gone is an -ERR, not a broken answer. A client that did not say UTF8 gets a message whose header is UTF-8
 * as its surrogate (surrogate.ts).
 */
import { isPermanent } from '../mail/permanent.ts';
import type { Conversation, TransactionState } from './conversation.ts';
import { stuffChunks, stuffWhole } from './dot-stuffing.ts';
import { fail, type Outcome } from './outcome.ts';
import type { LentBytes, Maildrop } from './ports.ts';
import { sizeFor } from './sizes.ts';
import { surrogateOf, withSurrogateHeader } from './surrogate.ts';
import type { TopCutter } from './top-cutter.ts';
import { when } from './when.ts';

/** Larger ones are read while they are sent. */
const WHOLE_BYTES = 128 * 1024;
const LF = 10;
const BARE_LF = 'a LF without CR';

/**
 * @param cutter where to stop; undefined for the whole message.
 * @param reply the first line, given the octets of the message as they are sent.
 */
export function sendMessage(
  c: Conversation,
  { drop }: TransactionState,
  index: number,
  cutter: TopCutter | undefined,
  reply: (sizeBytes: number) => Outcome,
): Outcome | Promise<Outcome> {
  try {
    const sent = when(drop.readWhole(index, WHOLE_BYTES), (lent) =>
      lent === undefined ? stream(c, drop, index, cutter, reply) : whole(c, drop, index, lent, cutter, reply),
    );
    return sent instanceof Promise ? sent.catch((error: unknown) => gone(c, index, error)) : sent;
  } catch (error) {
    return gone(c, index, error);
  }
}

function whole(
  c: Conversation,
  drop: Maildrop,
  index: number,
  { bytes, giveBack }: LentBytes,
  cutter: TopCutter | undefined,
  reply: (sizeBytes: number) => Outcome,
): Outcome {
  try {
    const message = c.utf8 ? bytes : surrogateOf(bytes);
    const wanted = cutter === undefined ? message : (cutter.take(message) ?? message);
    const sizeBytes = octets(message);
    // As for the file: a line end that is missing at the end alone is not made much of.
    if (message.length !== sizeFor(c, drop.messages[index]!)) checkSize(c, drop, index, sizeBytes);
    return { ...reply(sizeBytes), body: stuffWhole(wanted, () => drop.distrust(index, BARE_LF)), giveBack };
  } catch (error) {
    giveBack();
    throw error;
  }
}

async function stream(
  c: Conversation,
  drop: Maildrop,
  index: number,
  cutter: TopCutter | undefined,
  reply: (sizeBytes: number) => Outcome,
): Promise<Outcome> {
  const sizeBytes = await drop.sizeOf(index);
  const source = drop.read(index)[Symbol.asyncIterator]();
  let outcome: Outcome | undefined;
  try {
    const begin = c.utf8 ? await asItIs(source) : await withSurrogateHeader(source);
    if (c.over) return fail(c.texts.sessionOver);
    if (begin === undefined) return fail(c.texts.needsUtf8, 'UTF8');
    const cut = cutter === undefined ? (chunk: Uint8Array) => chunk : (chunk: Uint8Array) => cutter.take(chunk);
    checkSize(c, drop, index, sizeBytes + begin.grownBytes);
    const body = stuffChunks(begin.first, source, cut, () => drop.distrust(index, BARE_LF));
    outcome = { ...reply(sizeBytes + begin.grownBytes), stream: body, giveBack: () => void source.return?.() };
    return outcome;
  } finally {
    // Where nobody will take the stream, nobody would close the file.
    if (outcome === undefined) await source.return?.();
  }
}

async function asItIs(source: AsyncIterator<Uint8Array>): Promise<{ first: Uint8Array | undefined; grownBytes: number }> {
  const { done, value } = await source.next();
  return { first: done === true ? undefined : value, grownBytes: 0 };
}

/**
 * The file's own size is looked after by the drop. That of a surrogate may be wrong where it is told. Where it is not, as in
 * names that other programs gave, it is left so: another name would make another message of it to them.
 */
function checkSize(c: Conversation, drop: Maildrop, index: number, sizeBytes: number): void {
  const { surrogateBytes } = drop.messages[index]!;
  if (!c.utf8 && surrogateBytes !== undefined && sizeBytes !== surrogateBytes)
    drop.distrust(index, `sent in ASCII as ${sizeBytes} octets`);
}

function gone(c: Conversation, index: number, error: unknown): Outcome {
  c.ports.log.warn('pop3.read-failed', { session: c.facts.sessionId, message: index + 1, cause: String(error) });
  return fail(c.texts.cannotRead, isPermanent(error) ? 'SYS/PERM' : 'SYS/TEMP');
}

/** Octets with the line end that is put behind a last line without one. */
function octets(bytes: Uint8Array): number {
  return bytes.length === 0 || bytes.at(-1) === LF ? bytes.length : bytes.length + 2;
}
