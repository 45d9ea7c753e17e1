/**
 * One connection to a mail host: owns the socket, TLS, the timeouts and the streaming of large bodies; the talking is
 * remote/client's. Made by remote/destination, which gives it messages and hears what became of them.
 * Whatever breaks (connect, handshake, reset, timeout, a body that cannot be read) comes out once, as `ended`, after the
 * results of the messages it hit. One timer for each connection, looked at only when it fires.
 */
import { connect as connectTo, type Socket } from 'node:net';
import { basename } from 'node:path';
import { connect as connectTls } from 'node:tls';
import type { Clock } from '../../mail/clock.ts';
import type { Result } from '../reply.ts';
import { SmtpClient, type SessionEnd } from './client.ts';
import { DotStuffer } from './dot-stuff.ts';
import { lastChunkLine, OctetCounter } from './last-chunk.ts';
import type { Target } from './mx.ts';
import { type TlsPolicy, tlsOptions } from './tls-policy.ts';
import { type TlsSession, TlsSessions } from './tls-sessions.ts';
import type { OutgoingMessage } from './transaction.ts';

/** Waits in milliseconds (RFC 5321 §4.5.3.2); connect, handshake, idle and quit are our own. */
export interface ClientTimeouts {
  readonly connectMs: number;
  readonly greetingMs: number;
  readonly handshakeMs: number;
  /** EHLO, AUTH, MAIL, RCPT, RSET. */
  readonly commandMs: number;
  readonly dataMs: number;
  /** For each block of a body. */
  readonly blockMs: number;
  /** From the final dot to its reply. */
  readonly dotMs: number;
  /** How long an unused connection is kept. */
  readonly idleMs: number;
  readonly quitMs: number;
}

export const defaultTimeouts: ClientTimeouts = {
  connectMs: 30_000,
  greetingMs: 300_000,
  handshakeMs: 60_000,
  commandMs: 300_000,
  dataMs: 120_000,
  blockMs: 180_000,
  dotMs: 600_000,
  idleMs: 5_000,
  quitMs: 5_000,
};

/** A message with the source of its bytes, for when they are not at hand. */
export interface SendableMessage extends OutgoingMessage {
  body(): AsyncIterable<Uint8Array>;
}

/** What the owner hears; as in ClientOutput. */
export interface ConnectionEvents {
  idle(connection: Connection): void;
  following(connection: Connection): SendableMessage | undefined;
  finished(connection: Connection, message: OutgoingMessage, results: readonly Result[]): void;
  /** QUIT was said: it takes nothing more, and `ended` follows when the peer has answered. */
  leaving(connection: Connection): void;
  ended(connection: Connection, end: SessionEnd): void;
}

export interface ConnectionOptions {
  readonly target: Target;
  readonly policy: TlsPolicy;
  readonly hostname: string;
  readonly protocol?: 'lmtp';
  readonly timeouts: ClientTimeouts;
  readonly clock: Clock;
  /** Absent: every handshake is a whole one. */
  readonly sessions?: TlsSessions;
}

/** `mx.example.org[192.0.2.1]:25`, for logs, hooks and bounces; of a unix socket `localhost[name]`, whose folder is nobody's business. */
export function nameOf({ host, address, port, socketPath }: Target): string {
  if (socketPath !== undefined) return `${host}[${basename(socketPath)}]`;
  return host === address ? `[${address}]:${port}` : `${host}[${address}]:${port}`;
}

/** What may be told of a failure in a reply: the system's own words hold paths of this machine. */
export function codeOf(error: unknown): string {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : String(error);
}

export class Connection {
  readonly client: SmtpClient;
  readonly target: Target;
  readonly name: string;
  /** A message is being read or converted for it, which may take long: it is not left for having nothing to do. */
  reserved = false;
  readonly #options: ConnectionOptions;
  readonly #events: ConnectionEvents;
  #socket: Socket;
  #connected = false;
  #cause = '';
  /** Why its name is not proven. */
  #doubt: string | undefined = 'no TLS';
  #closed = false;
  #cancelTimer: (() => void) | undefined;
  #timerAt = Infinity;
  #deadline = Infinity;
  #seen = -1;

  /** Connects at once. */
  constructor(options: ConnectionOptions, events: ConnectionEvents) {
    this.#options = options;
    this.#events = events;
    this.target = options.target;
    this.name = nameOf(options.target);
    this.client = new SmtpClient(
      { ...options, name: this.name },
      {
        write: (bytes) => void this.#socket.write(bytes),
        startTls: () => this.#startTls(),
        idle: () => events.idle(this),
        following: () => events.following(this),
        streamBody: (message) => void this.#stream(message as SendableMessage),
        finished: (message, results) => events.finished(this, message, results),
        ended: (end) => this.#ended(end),
      },
    );
    const { address, port, socketPath } = options.target;
    this.#socket = socketPath === undefined ? connectTo({ host: address, port, noDelay: true }) : connectTo({ path: socketPath });
    this.#socket.once('connect', () => {
      this.#connected = true;
      if (options.policy.mode === 'implicit') this.#startTls();
      else this.#listen(this.#socket);
      this.#nextWait();
    });
    this.#watch(this.#socket);
    this.#rearm();
  }

  /** Why the peer's certificate proves nothing, `no TLS` among it; undefined when it has proven its name. */
  get doubt(): string | undefined {
    return this.#doubt;
  }

  /** The handshake broke that was to resume a session, and no certificate was found wanting: a whole one may do. */
  get brokeResuming(): boolean {
    return (this.#handshaking || this.#refusedLate) && this.#resuming !== undefined && !this.#refused;
  }

  /** Sends a message; only when idle. */
  send(message: SendableMessage): void {
    this.client.send(message);
    this.#rearm();
  }

  /** Ends an idle connection politely; nothing happens when it is not idle. */
  quit(): void {
    if (this.client.phase !== 'idle') return;
    this.client.quit();
    this.#rearm();
    this.#events.leaving(this);
  }

  /** Ends it now; what it holds is deferred with `reply` or given back untried. */
  abort(reply: string): void {
    this.client.fail(reply);
  }

  #listen(socket: Socket): void {
    socket.on('data', (chunk: Uint8Array) => {
      this.client.feed(chunk);
      this.#rearm();
    });
  }

  #watch(socket: Socket): void {
    socket.on('error', (error) => {
      this.#cause = codeOf(error);
    });
    socket.once('close', () => {
      if (socket === this.#socket) this.client.fail(this.#lossReply(), this.#isNoPlace());
    });
  }

  #lossReply(): string {
    const why = this.#cause === '' ? 'closed by the mail host' : this.#cause;
    if (!this.#connected) return `451 4.4.1 no connection to ${this.name} (${why})`;
    if (this.#isNoPlace()) return `550 5.7.10 ${this.name} could not prove its name, which the message needs (${why})`;
    return this.client.phase === 'handshake' || this.#handshaking
      ? `451 4.7.5 TLS handshake with ${this.name} failed (${why})`
      : `451 4.4.2 connection to ${this.name} lost ${this.#where()} (${why})`;
  }

  /** The handshake was whole and the certificate does not hold: trying again would not help (RFC 8689 §4.2.1). */
  #isNoPlace(): boolean {
    return this.#options.policy.demands !== undefined && this.#refused;
  }

  #where(): string {
    const { phase, stage } = this.client;
    if (phase !== 'busy') return `at ${phase}`;
    return stage === 'dot' ? 'after the end of the message' : `at ${stage}`;
  }

  #handshaking = false;
  /** The handshake was over for us, and the peer ended it. */
  #refusedLate = false;
  /** The certificate was looked at, and found wanting. */
  #refused = false;
  /** The session that the handshake began with. */
  #resuming: TlsSession | undefined;

  #startTls(): void {
    const { policy, target, sessions, clock } = this.#options;
    const key = TlsSessions.key(target, policy);
    const resuming = sessions?.find(key);
    this.#resuming = resuming;
    const plain = this.#socket;
    plain.removeAllListeners('data');
    plain.removeAllListeners('close');
    this.#handshaking = true;
    const secure = connectTls({
      ...tlsOptions(policy, target),
      socket: plain,
      ...(resuming === undefined ? {} : { session: resuming.ticket }),
    });
    this.#socket = secure;
    // Before `close`, which tells the engine.
    secure.once('error', () => {
      this.#refused = this.#handshaking && Boolean(secure.authorizationError);
    });
    this.#watch(secure);
    let proof: Omit<TlsSession, 'ticket'> | undefined;
    // Comes after `secureConnect`, but to nobody who did not listen before.
    secure.on('session', (ticket: Buffer) => {
      if (proof !== undefined) sessions?.keep(key, { ticket, doubt: proof.doubt, provenAtMs: proof.provenAtMs });
    });
    secure.once('secureConnect', () => {
      this.#handshaking = false;
      const resumed = secure.isSessionReused() ? resuming : undefined;
      const doubt = secure.authorized ? undefined : String(secure.authorizationError);
      proof = resumed ?? { doubt, provenAtMs: clock.monotonic() };
      this.#doubt = proof.doubt;
      if (policy.mode !== 'implicit') this.client.secured();
      this.#nextWait();
    });
    this.#listen(secure);
    this.#nextWait();
  }

  async #stream(message: SendableMessage): Promise<void> {
    const binary = message.binary === true;
    const framing = binary ? new OctetCounter(message.sizeBytes) : new DotStuffer();
    let end: Uint8Array;
    try {
      if (binary) this.#socket.write(lastChunkLine(message.sizeBytes));
      for await (const chunk of message.body()) {
        // The chunk is only lent until the next is asked for, so it has to be out by then; that is the backpressure too.
        if (!(await this.#flush(framing.push(chunk)))) return;
        this.#deadline = this.#options.clock.monotonic() + this.#options.timeouts.blockMs;
      }
      end = framing.end();
    } catch (error) {
      this.client.fail(`451 4.3.0 the message could not be read: ${codeOf(error)}`);
      return;
    }
    if (this.#closed || this.client.stage !== 'body') return;
    this.client.bodyEnds();
    if (end.length > 0) this.#socket.write(end);
    this.#rearm();
  }

  /** @returns false when the connection or the transaction ended meanwhile */
  #flush(bytes: Uint8Array): Promise<boolean> {
    return new Promise((resolve) => {
      if (this.#closed) return resolve(false);
      this.#socket.write(bytes, (error) => resolve(!error && !this.#closed && this.client.stage === 'body'));
    });
  }

  /** Sets the deadline anew after progress; bytes that complete no reply are none. */
  #rearm(): void {
    if (this.#closed) return;
    const { progress } = this.client;
    if (progress === this.#seen && this.#connected) return;
    this.#seen = progress;
    const now = this.#options.clock.monotonic();
    this.#deadline = now + this.#waitMs();
    if (this.#deadline < this.#timerAt) this.#arm(now);
  }

  /** Another wait begins though the engine made no step: connected, handshake begun, handshake done. */
  #nextWait(): void {
    this.#seen = -1;
    this.#rearm();
  }

  #arm(now: number): void {
    this.#cancelTimer?.();
    this.#timerAt = this.#deadline;
    this.#cancelTimer = this.#options.clock.after(Math.max(1, this.#deadline - now), () => this.#timer());
  }

  #timer(): void {
    this.#timerAt = Infinity;
    this.#cancelTimer = undefined;
    const now = this.#options.clock.monotonic();
    if (now < this.#deadline) return this.#arm(now);
    if (this.client.phase === 'idle') {
      if (!this.reserved) return this.quit();
      this.#deadline = now + this.#waitMs();
      return this.#arm(now);
    }
    const reply = !this.#connected
      ? `451 4.4.1 no connection to ${this.name} (timed out)`
      : `451 4.4.2 ${this.name} timed out ${this.#where()}`;
    this.client.fail(reply);
  }

  #waitMs(): number {
    const { timeouts } = this.#options;
    if (!this.#connected) return timeouts.connectMs;
    if (this.#handshaking) return timeouts.handshakeMs;
    switch (this.client.phase) {
      case 'greeting':
        return timeouts.greetingMs;
      case 'idle':
        return timeouts.idleMs;
      case 'quit':
        return timeouts.quitMs;
      case 'busy':
        break;
      default:
        return timeouts.commandMs;
    }
    switch (this.client.stage) {
      case 'data':
        return timeouts.dataMs;
      case 'body':
        return timeouts.blockMs;
      case 'dot':
      case 'empty':
        return timeouts.dotMs;
      default:
        return timeouts.commandMs;
    }
  }

  #ended(end: SessionEnd): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#cancelTimer?.();
    this.#socket.destroy();
    this.#refusedLate = end.tlsBroken && !this.#handshaking;
    const tlsBroken = end.tlsBroken || this.#handshaking;
    if (this.brokeResuming) this.#options.sessions?.forget(TlsSessions.key(this.target, this.#options.policy));
    this.#events.ended(this, { ...end, tlsBroken });
  }
}
