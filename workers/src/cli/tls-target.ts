/**
 * One TLS connection to a listener as any client makes it: in clear up to the go-ahead of STARTTLS or STLS where it
 * takes that, then the handshake. Used by tls-probe.ts again and again, each time with other offers.
 */
import { once } from 'node:events';
import { connect as connectPlain, type Socket } from 'node:net';
import { connect, type ConnectionOptions, type TLSSocket } from 'node:tls';

export interface TlsTarget {
  readonly host: string;
  readonly port: number;
  readonly how: 'implicit' | 'STARTTLS' | 'STARTTLS after LHLO' | 'STLS';
  /** Does the listener wait for a PROXY header from this address, which is ours? */
  readonly isProxy: (address: string) => boolean;
}

const DEADLINE_MS = 10_000;
const MAX_LINE_BYTES = 4096;

/** What a client says in clear: a line, and how the answer that lets it go on begins. */
const IN_CLEAR = {
  implicit: [],
  STARTTLS: [
    ['', '220'],
    ['EHLO tls-check.invalid', '250'],
    ['STARTTLS', '220'],
  ],
  'STARTTLS after LHLO': [
    ['', '220'],
    ['LHLO tls-check.invalid', '250'],
    ['STARTTLS', '220'],
  ],
  STLS: [
    ['', '+OK'],
    ['STLS', '+OK'],
  ],
} as const;

/**
 * The other end hung up once both had agreed on version, cipher and keys (TLS 1.2 and older). One that requires a client
 * certificate does, before its last word has come; in TLS 1.3 the handshake has ended here by then.
 */
export class HungUpError extends Error {
  /** As `getCipher().name`. */
  readonly cipher: string;

  constructor(cipher: string, cause?: Error) {
    super('hung up when the handshake was nearly done, as for the want of a client certificate', { cause });
    this.cipher = cipher;
  }
}

/**
 * Connects and finishes a handshake; the caller destroys the socket.
 * @throws Error: no connection, no TLS offered, the handshake failed (then with OpenSSL's `code`), or too late; HungUpError
 */
export async function connectTls(target: TlsTarget, options: ConnectionOptions): Promise<TLSSocket> {
  const plain = connectPlain({ host: target.host, port: target.port });
  const late = setTimeout(() => plain.destroy(new Error(`no answer within ${DEADLINE_MS / 1000} s`)), DEADLINE_MS);
  try {
    await opened(plain, target);
    for (const [line, answer] of IN_CLEAR[target.how]) await exchange(plain, line, answer);
    return await handshake(plain, options);
  } catch (error) {
    plain.destroy();
    throw error;
  } finally {
    clearTimeout(late);
  }
}

/**
 * Says one command in clear that a listener with `requireTls` must not do.
 * @returns whether it was refused
 */
export async function refusesClear(target: TlsTarget): Promise<boolean> {
  const plain = connectPlain({ host: target.host, port: target.port });
  const late = setTimeout(() => plain.destroy(new Error(`no answer within ${DEADLINE_MS / 1000} s`)), DEADLINE_MS);
  try {
    await opened(plain, target);
    await exchange(plain, '', target.how === 'STLS' ? '+OK' : '220');
    const reply = await exchange(plain, target.how === 'STLS' ? 'USER tls-check' : 'RSET', '');
    return /^(530|-ERR)/.test(reply);
  } finally {
    clearTimeout(late);
    plain.destroy();
  }
}

/** Where the listener takes this machine for a load balancer, the connection is said to be our own. */
async function opened(plain: Socket, target: TlsTarget): Promise<void> {
  await once(plain, 'connect');
  if (target.isProxy(plain.localAddress ?? '')) plain.write('PROXY UNKNOWN\r\n');
}

/** Says a line, if there is one. @returns the last line of the answer @throws Error with an answer that is another */
function exchange(socket: Socket, line: string, expected: string): Promise<string> {
  return new Promise((resolve, reject) => {
    let text = '';
    const stop = () => void socket.off('data', take).off('error', failed).off('close', closed);
    const failed = (error: Error) => {
      stop();
      reject(error);
    };
    const closed = () => failed(new Error(line === '' ? 'closed without a greeting' : `closed after ${line}`));
    const take = (chunk: Buffer) => {
      text += chunk.toString('latin1');
      if (text.length > MAX_LINE_BYTES) failed(new Error('answers without end'));
      // Behind the last line of an SMTP answer stands a blank, behind the others a dash.
      const last = /^(?!\d{3}-).*(?=\r\n$)/m.exec(text)?.[0];
      if (last === undefined || !text.endsWith('\r\n')) return;
      if (last.startsWith(expected)) {
        stop();
        resolve(last);
      } else failed(new Error(`${line === '' ? 'greeting' : line}: ${last}`));
    };
    socket.on('data', take).on('error', failed).on('close', closed);
    if (line !== '') socket.write(`${line}\r\n`);
  });
}

function handshake(plain: Socket, options: ConnectionOptions): Promise<TLSSocket> {
  return new Promise((resolve, reject) => {
    // Its certificate is looked at, not trusted.
    const socket = connect({ socket: plain, rejectUnauthorized: false, ...options });
    let cipher: string | undefined;
    socket.on('keylog', (line: Buffer) => {
      // The master secret; the secrets of TLS 1.3 have other labels.
      if (line.toString('latin1').startsWith('CLIENT_RANDOM ')) cipher = socket.getCipher().name;
    });
    const failed = (error?: Error) =>
      reject(cipher === undefined ? (error ?? new Error('closed in the handshake')) : new HungUpError(cipher, error));
    socket.once('secureConnect', () => resolve(socket));
    socket.once('close', () => failed());
    // Stays: what comes after the handshake (a server that wants a client certificate hangs up) is no matter here.
    socket.on('error', failed);
  });
}
