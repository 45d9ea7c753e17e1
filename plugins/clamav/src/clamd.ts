/**
 * One scan: a connection to clamd, the message in chunks behind zINSTREAM, one reply. A connection for each scan: clamd
 * keeps a thread for an open session, and connecting to a socket of the same machine costs a fraction of any scan.
 * Holds one chunk of the message at a time. Ends in a verdict or a ClamdError, and always with a destroyed socket.
 */
import { connect, type Socket } from 'node:net';
import { setImmediate, setTimeout } from 'node:timers/promises';
import type { Clock, MessageBytes } from '@posthorn/sdk';
import type { ClamdAddress } from './options.ts';

export type ScanVerdict =
  | { readonly kind: 'clean' }
  | { readonly kind: 'found'; readonly signature: string }
  | { readonly kind: 'oversize' };

/** clamd could not be asked, or did not give an answer. Always temporary. */
export class ClamdError extends Error {
  override readonly name = 'ClamdError';
}

const MAX_REPLY_BYTES = 4096;
const MAX_CHUNK_BYTES = 256 * 1024;
const COMMAND = Buffer.from('zINSTREAM\0');
const END = Buffer.alloc(4);

export interface ScanLimits {
  readonly connectTimeoutMs: number;
  /** For all of the scan, connecting included. */
  readonly timeoutMs: number;
}

/**
 * clamd answers and closes in the midst of a message that is too large for it. A write that meets the closed connection
 * fails, and with it goes an answer that was not read yet: so a connection that broke while sending is tried again, and
 * then an answer is given a moment before each piece.
 */
const SENDING_BROKE = new Set(['EPIPE', 'ECONNRESET']);
const ATTEMPTS = 3;
const MOMENT_MS = 1;

/**
 * Scans a message.
 * @throws ClamdError when clamd cannot be reached, is late, closes early or answers something else.
 */
export async function scan(address: ClamdAddress, bytes: MessageBytes, limits: ScanLimits, clock: Clock): Promise<ScanVerdict> {
  const endsAtMs = clock.monotonic() + limits.timeoutMs;
  for (let attempt = 1; ; attempt++) {
    try {
      const leftMs = Math.max(1, endsAtMs - clock.monotonic());
      return await scanOnce(address, bytes, { ...limits, timeoutMs: leftMs }, clock, attempt > 1);
    } catch (error) {
      const cause = error instanceof ClamdError ? (error.cause as NodeJS.ErrnoException | undefined) : undefined;
      if (attempt === ATTEMPTS || !SENDING_BROKE.has(cause?.code ?? '')) throw error;
    }
  }
}

async function scanOnce(
  address: ClamdAddress,
  bytes: MessageBytes,
  limits: ScanLimits,
  clock: Clock,
  patient: boolean,
): Promise<ScanVerdict> {
  const socket = connect({ ...address, noDelay: true });
  const cancelTimeout = clock.after(limits.timeoutMs, () => socket.destroy(new ClamdError('no answer in time')));
  const cancelConnect = clock.after(limits.connectTimeoutMs, () => {
    if (socket.connecting) socket.destroy(new ClamdError('no connection in time'));
  });
  try {
    const reply = readReply(socket);
    // clamd may answer and close before it has seen everything (a size limit): then its answer counts, not our failed write.
    const sent = send(socket, bytes, patient).then(
      () => reply,
      () => reply,
    );
    return parseReply(await Promise.race([reply, sent]));
  } finally {
    cancelTimeout();
    cancelConnect();
    socket.destroy();
  }
}

async function send(socket: Socket, bytes: MessageBytes, patient: boolean): Promise<void> {
  await write(socket, COMMAND);
  for await (const chunk of bytes.chunks()) {
    for (let at = 0; at < chunk.length; at += MAX_CHUNK_BYTES) {
      const piece = chunk.subarray(at, at + MAX_CHUNK_BYTES);
      const length = Buffer.alloc(4);
      length.writeUInt32BE(piece.length);
      socket.cork();
      socket.write(length);
      // Waiting for the write keeps one chunk in memory, and the chunk's buffer ours until it was sent.
      const written = write(socket, piece);
      socket.uncork();
      await written;
      // What came meanwhile is read before more is written.
      await (patient ? setTimeout(MOMENT_MS) : setImmediate());
    }
  }
  await write(socket, END);
}

function write(socket: Socket, data: Uint8Array): Promise<void> {
  return new Promise((resolve, reject) => {
    socket.write(data, (error) => (error === undefined || error === null ? resolve() : reject(error)));
  });
}

/** Collects the reply up to its NUL, or to the end of the connection. */
function readReply(socket: Socket): Promise<string> {
  return new Promise((resolve, reject) => {
    let text = '';
    let failure: Error | undefined;
    socket.on('data', (data) => {
      text += data.toString('latin1');
      const end = text.indexOf('\0');
      if (end >= 0) resolve(text.slice(0, end));
      else if (text.length > MAX_REPLY_BYTES) reject(new ClamdError('a reply without an end'));
    });
    socket.on('error', (error) => void (failure = error));
    socket.on('close', () => {
      if (failure instanceof ClamdError) reject(failure);
      else if (text !== '') resolve(text);
      else reject(new ClamdError(failure === undefined ? 'closed without an answer' : failure.message, { cause: failure }));
    });
  });
}

/** Replies as clamd(8) gives them: `stream: OK`, `stream: NAME FOUND`, `… ERROR`. */
export function parseReply(reply: string): ScanVerdict {
  const line = reply.trim();
  if (line === 'stream: OK') return { kind: 'clean' };
  const found = /^stream: (.+) FOUND$/.exec(line);
  if (found !== null) return { kind: 'found', signature: found[1]! };
  if (/^INSTREAM size limit exceeded/i.test(line)) return { kind: 'oversize' };
  throw new ClamdError(`clamd answered ${JSON.stringify(line.slice(0, 200))}`);
}
