/**
 * Runs SPF, DKIM, ARC and DMARC over one message with mailauth. The body is streamed in copied chunks, never held whole.
 * What would cost an attacker little and us much (a header without an end, dozens of signatures) is checked by SPF and
 * DMARC only. Throws nothing for any message; a defect of the library is logged and comes back as no result.
 */
import { Readable } from 'node:stream';
import type { Log, MessageBytes, SessionFacts } from '@posthorn/sdk';
import { authenticate, type AuthenticateResult, type DNSResolver } from 'mailauth';
import type { HeaderView } from './header.ts';
import type { Options } from './options.ts';

export interface Subject {
  readonly session: SessionFacts;
  readonly reversePath: string;
  readonly bytes: MessageBytes;
  readonly header: HeaderView;
}

export interface Checked {
  readonly result: AuthenticateResult;
  /** Why signatures were not looked at; undefined when they were. */
  readonly unchecked: string | undefined;
}

/** @returns what the checks came to, or undefined when the library failed on this message. */
export async function check(
  subject: Subject,
  hostname: string,
  options: Options,
  resolver: DNSResolver,
  log: Log,
): Promise<Checked | undefined> {
  const { session, header } = subject;
  const unchecked = reasonNotToVerify(header, options);
  const input = unchecked === undefined ? inputOf(subject) : Buffer.from(`${header.from}\r\n`, 'latin1');
  try {
    const result = await authenticate(input, {
      ip: session.clientAddress,
      helo: session.helo,
      sender: subject.reversePath,
      mta: hostname,
      resolver,
      minBitLength: options.minKeyBits,
      disableBimi: true,
      strict: true,
    });
    return { result, unchecked };
  } catch (error) {
    log.error('sender-auth.check.failed', { session: session.sessionId, error: String(error) });
    return undefined;
  }
}

function reasonNotToVerify(header: HeaderView, options: Options): string | undefined {
  if (!header.complete) return 'header section too large';
  if (header.signatures > options.maxSignatures) return `more than ${options.maxSignatures} signatures`;
  return undefined;
}

/** Without a signature the body proves nothing, and is not read. */
function inputOf({ header, bytes }: Subject): Readable | Buffer {
  if (header.signatures === 0 && !header.sealed) return Buffer.from(bytes.header);
  return Readable.from(copies(bytes), { objectMode: false });
}

const COPY_BYTES = 64 * 1024;

/** The message in pieces of its own memory: chunks are reused by their owner, and mailauth keeps some of them. */
async function* copies(bytes: MessageBytes): AsyncGenerator<Buffer> {
  if (bytes.whole === undefined) {
    for await (const chunk of bytes.chunks()) yield Buffer.from(chunk);
    return;
  }
  for (let at = 0; at < bytes.whole.length; at += COPY_BYTES) yield Buffer.from(bytes.whole.subarray(at, at + COPY_BYTES));
}
