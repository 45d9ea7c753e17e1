/**
 * One accepted connection: owns the socket, TLS and the timeouts, and drives one pure session with bytes.
 * Made by the listener, watched by its sweeper. However it ends, the session hears `closed` once and the owner `onEnd` once.
 */
import type { Socket } from 'node:net';
import type { Session, SessionOutput } from '../wire/session.ts';
import type { Secured, ServerTls } from './server-tls.ts';

export interface ConnectionTimeouts {
  readonly commandMs: number;
  readonly dataMs: number;
  /** In place of `dataMs` while memory for messages is short. */
  readonly dataWhenShortMs: number;
  /** A whole message, and what it has to come in with on average after `dataMs`; 0 for any pace. */
  readonly messageMs: number;
  readonly minBytesPerSecond: number;
  readonly sessionMs: number;
  /** A TLS handshake, as a whole: bytes that drip in do not make it longer. */
  readonly handshakeMs: number;
}

export interface ConnectionOptions {
  readonly implicitTls: boolean;
  readonly tls: ServerTls | undefined;
  readonly timeouts: ConnectionTimeouts;
  /** Monotonic milliseconds, as the session's own clock. */
  readonly now: () => number;
  /** Was a message refused of late for want of memory? */
  readonly memoryShort: () => boolean;
  /** Makes the session; called before any byte is read. */
  readonly open: (output: SessionOutput) => Session;
  /** A handshake came to its end: its facts, or why it came to nothing. For the log only. */
  readonly onHandshake: (outcome: Secured) => void;
  /** Called once; `cause` is for the log only. */
  readonly onEnd: (cause: string | undefined) => void;
}

/** A peer that does not read: answers held for it past this close the connection. */
const MAX_UNSENT_BYTES = 4 * 1024 * 1024;
/** How long a peer may take to take the last reply and close after we did. */
const LINGER_MS = 5_000;

export class Connection {
  readonly #options: ConnectionOptions;
  readonly #session: Session;
  readonly #startedAtMs: number;
  #socket: Socket;
  #lastHeardAtMs: number;
  #phase: 'open' | 'handshake' | 'closing' | 'ended' = 'open';
  #drainAsked = false;
  #blocked = false;
  #peerEnded = false;

  constructor(socket: Socket, options: ConnectionOptions) {
    this.#options = options;
    this.#socket = socket;
    this.#startedAtMs = this.#lastHeardAtMs = options.now();
    this.#session = options.open({
      write: (bytes, taken) => this.#write(bytes, taken),
      startTls: () => this.#startTls(() => this.#socket.resume()),
      pause: () => void this.#socket.pause(),
      resume: () => void (this.#phase === 'open' && this.#socket.resume()),
      close: () => this.#close(),
    });
  }

  /** Begins to read and write. Apart from the constructor, so that the owner knows the connection before it can end. */
  start(): void {
    this.#listen();
    if (this.#options.implicitTls) this.#startTls(() => this.#session.start());
    else this.#session.start();
  }

  /** Ends what took too long. Called about once a second for every connection. */
  sweep(nowMs: number): void {
    if (this.#phase === 'ended') return;
    const silentMs = nowMs - this.#lastHeardAtMs;
    if (this.#peerEnded && this.#phase === 'open' && this.#session.waitsFor !== 'verdict') this.#close();
    else if (this.#phase === 'closing') {
      if (silentMs > LINGER_MS) this.#socket.destroy();
    } else if (this.#phase === 'handshake') {
      if (silentMs > this.#options.timeouts.handshakeMs) this.#end('took too long');
    } else if (nowMs - this.#startedAtMs > this.#options.timeouts.sessionMs) {
      this.#session.timedOut();
    } else {
      const waitsFor = this.#session.waitsFor;
      // While a verdict is awaited the delay is ours: hooks have deadlines of their own. A peer that does not take
      // its answer is another matter.
      const limitMs = waitsFor === 'data' ? this.#dataMs() : this.#options.timeouts.commandMs;
      const silent = silentMs > limitMs && (waitsFor !== 'verdict' || this.#blocked);
      if (silent || (waitsFor !== 'verdict' && this.#isTooSlow(nowMs))) this.#session.timedOut();
    }
  }

  #dataMs(): number {
    const { dataMs, dataWhenShortMs } = this.#options.timeouts;
    return this.#options.memoryShort() ? Math.min(dataMs, dataWhenShortMs) : dataMs;
  }

  /** A sender that drips is never silent: the whole message has a deadline, and a least pace. */
  #isTooSlow(nowMs: number): boolean {
    const { message } = this.#session;
    if (message === undefined) return false;
    const { messageMs, minBytesPerSecond } = this.#options.timeouts;
    const tookMs = nowMs - message.sinceMs;
    return tookMs > messageMs || message.sizeBytes * 1000 < minBytesPerSecond * (tookMs - this.#dataMs());
  }

  /** The server is going down: the session finishes what is under way and closes. */
  drain(): void {
    if (this.#phase === 'handshake') this.#end('draining');
    else if (this.#phase === 'open' && !this.#drainAsked) {
      this.#drainAsked = true;
      this.#session.drain();
    }
  }

  /** Closes at once, whatever is under way, not without a word (RFC 5321 §3.8). */
  destroy(): void {
    if (this.#phase === 'open') this.#session.leave?.();
    this.#end('closed by the server');
  }

  #listen(): void {
    const socket = this.#socket;
    // Only an open connection is kept alive by what comes: one that is closing ends whatever its peer still sends.
    socket.on('data', (chunk: Buffer) => {
      if (this.#phase !== 'open') return;
      this.#session.feed(chunk);
      // A piece of a command is no sign of life, or one that drips in would hold its place for as long as a session may
      // last; a whole one has its answer, which is.
      if (this.#session.waitsFor !== 'command') this.#lastHeardAtMs = this.#options.now();
    });
    socket.on('drain', () => {
      this.#blocked = false;
      if (this.#phase !== 'open') return;
      this.#lastHeardAtMs = this.#options.now();
      this.#session.drained();
    });
    // A peer that sent all it had and half-closed still gets the answer to its last command; one that leaves in the
    // handshake (a look whether the port is open) has none to get.
    socket.on('end', () => {
      if (this.#phase === 'open' && this.#session.waitsFor === 'verdict') this.#peerEnded = true;
      else this.#close();
    });
    socket.on('error', (error) => this.#end(causeOf(error)));
    socket.on('close', () => this.#end(undefined));
  }

  #write(bytes: Uint8Array, taken: (() => void) | undefined): boolean {
    if (this.#phase !== 'open') {
      if (taken !== undefined) queueMicrotask(taken);
      return true;
    }
    this.#lastHeardAtMs = this.#options.now();
    // Node calls back once, also for what a socket that was destroyed never sent.
    if (this.#socket.write(bytes, taken && (() => taken()))) return true;
    this.#blocked = true;
    if (this.#socket.writableLength > MAX_UNSENT_BYTES) this.#end('peer does not read');
    return false;
  }

  #startTls(then: () => void): void {
    const { tls } = this.#options;
    if (tls === undefined || this.#phase !== 'open') return;
    this.#phase = 'handshake';
    this.#lastHeardAtMs = this.#options.now();
    const plain = this.#socket;
    plain.removeAllListeners('data');
    plain.removeAllListeners('drain');
    plain.removeAllListeners('end');
    const secure = tls.secure(plain);
    this.#socket = secure;
    this.#listen();
    secure.once('secure', () => {
      if (this.#phase !== 'handshake') return;
      const secured = tls.secured(secure);
      if (!secured.ok) {
        this.#end(secured.cause);
        return;
      }
      this.#phase = 'open';
      this.#lastHeardAtMs = this.#options.now();
      this.#options.onHandshake(secured);
      this.#session.secured(secured.facts);
      then();
    });
  }

  #close(): void {
    if (this.#phase === 'ended' || this.#phase === 'closing') return;
    if (this.#phase === 'handshake') {
      this.#end('closed by the client');
      return;
    }
    this.#phase = 'closing';
    this.#lastHeardAtMs = this.#options.now();
    // What still comes in is read and thrown away: unread bytes at close would turn the last reply into a reset.
    this.#socket.end();
    this.#socket.resume();
  }

  #end(cause: string | undefined): void {
    if (this.#phase === 'ended') return;
    if (this.#phase === 'handshake') this.#options.onHandshake({ ok: false, cause: cause ?? 'connection lost' });
    this.#phase = 'ended';
    this.#socket.destroy();
    this.#session.closed();
    this.#options.onEnd(cause);
  }
}

/** OpenSSL's message has an address and a line of its source in it; its reason says what was wrong. */
function causeOf(error: Error & { readonly reason?: string }): string {
  return error.reason ?? error.message;
}
