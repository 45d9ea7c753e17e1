/**
 * One next hop: the messages that are ready for it, its connections, and whether it is down. Made and kept by remote/pool.
 * Strategies, by name:
 * - *probe*: until the destination has answered, one connection at a time is opened; the others follow its success.
 * - *reuse*: a connection takes message after message, the next one prepared while one is under way (pipelining).
 * - *failover*: addresses in order of preference; one that broke lately comes last.
 * - *down*: when none could be reached, everything ready for it and what comes in the next minute is deferred at once,
 *   with that reason.
 * - *shed*: when it holds up everything else, what waits for it goes back to the queue for a while.
 * Each job ends in exactly one call of its `done`; nothing here throws.
 */
import type { Clock } from '../../mail/clock.ts';
import type { Result } from '../reply.ts';
import type { RemoteHop } from '../route.ts';
import type { SessionEnd } from './client.ts';
import { type ClientTimeouts, Connection, type ConnectionEvents } from './connection.ts';
import { type Job, type Prepared, prepare } from './job.ts';
import { findTargets, type MxPorts, type Target } from './mx.ts';
import { tlsPolicyFor } from './tls-policy.ts';

export interface DestinationOptions {
  readonly hostname: string;
  readonly timeouts: ClientTimeouts;
  /** Connections at the most. */
  readonly connections: number;
  /** Messages over one connection. */
  readonly messagesPerConnection: number;
  /** How long a destination that cannot be reached is left alone. */
  readonly downMs: number;
  /** How long an address that broke comes last. */
  readonly avoidMs: number;
}

/** What a destination asks of the pool it is in. */
export interface DestinationHost {
  readonly clock: Clock;
  readonly mx: MxPorts;
  readonly options: DestinationOptions;
  /** A connection may be opened; else `pump` is called when one may. */
  acquire(destination: Destination): boolean;
  release(): void;
  /** Its connection is unused, or no longer so. */
  setIdle(connection: Connection, idle: boolean): void;
  /** Others wait for a connection: one that has done its share gives way. */
  othersWait(): boolean;
  /** Nothing is left to do or to remember. */
  empty(destination: Destination): void;
}

/** A connection and the message prepared to go next on it. */
interface Line {
  readonly connection: Connection;
  sent: number;
  next: Prepared | 'preparing' | undefined;
}

/** The addresses one new connection is tried on. */
interface Opening {
  readonly targets: readonly Target[];
  at: number;
  plain: boolean;
  /** Every address so far failed for good. */
  permanent: boolean;
}

/** Messages after which a connection gives way to a destination that waits. */
const SHARE = 20;
/** Connections that broke before a word on a message, after which the message waits for its next attempt. */
const MAX_TRIES = 3;

export class Destination {
  readonly hop: RemoteHop;
  readonly #host: DestinationHost;
  readonly #ready: Job[] = [];
  readonly #lines = new Map<Connection, Line>();
  /** All, also those that are not set up yet. */
  readonly #connections = new Set<Connection>();
  /** Addresses that broke, and until when they come last. */
  readonly #avoid = new Map<string, number>();
  #opening = 0;
  #answered = false;
  #down: { readonly untilMs: number; readonly reply: string } | undefined;
  #shedUntil = 0;
  #draining = false;
  #forget: (() => void) | undefined;

  constructor(hop: RemoteHop, host: DestinationHost) {
    this.hop = hop;
    this.#host = host;
  }

  /** Messages that wait for a connection. */
  get waiting(): number {
    return this.#ready.length;
  }

  submit(job: Job): void {
    if (this.#draining) return job.done(undefined, this.hop.key);
    if (this.#down !== undefined && this.#host.clock.monotonic() < this.#down.untilMs) return this.#defer(job, this.#down.reply);
    this.#ready.push(job);
    this.pump();
  }

  /** Gives ready messages to idle connections, and opens more where that is allowed. */
  pump(): void {
    if (this.#ready.length > 0) {
      for (const line of this.#lines.values()) {
        if (line.next === undefined && line.connection.client.phase === 'idle') this.#feed(line);
        if (this.#ready.length === 0) break;
      }
    }
    while (this.#ready.length > this.#opening) {
      const limit = this.#answered ? this.#host.options.connections : 1;
      if (this.#lines.size + this.#opening >= limit || !this.#host.acquire(this)) break;
      this.#opening++;
      void this.#open();
    }
    if (this.#ready.length === 0) this.#retire();
  }

  /** Gives back what waits beyond one message for each connection, and takes little for a while. */
  shed(forMs: number): void {
    this.#shedUntil = this.#host.clock.monotonic() + forMs;
    for (const job of this.#ready.splice(this.#host.options.connections)) job.done(undefined, this.hop.key);
  }

  /** True while it was shed lately and has enough to do. */
  get isCongested(): boolean {
    return this.#ready.length >= this.#host.options.connections && this.#host.clock.monotonic() < this.#shedUntil;
  }

  /** Takes nothing more, gives back what was not begun, closes idle connections. */
  drain(): void {
    this.#draining = true;
    for (const job of this.#ready.splice(0)) job.done(undefined, this.hop.key);
    for (const { connection } of this.#lines.values()) if (connection.client.phase === 'idle') connection.quit();
    this.#retire();
  }

  /** Ends every connection now. */
  abort(reply: string): void {
    this.drain();
    for (const connection of this.#connections) connection.abort(reply);
  }

  async #open(): Promise<void> {
    const found = await findTargets(this.hop, this.#host.mx);
    if (!found.ok) return this.#unreachable(found.reply, found.permanent);
    const now = this.#host.clock.monotonic();
    const isAvoided = (target: Target): boolean => (this.#avoid.get(target.address) ?? 0) > now;
    const targets = [...found.targets.filter((one) => !isAvoided(one)), ...found.targets.filter(isAvoided)];
    this.#tryNext({ targets, at: 0, plain: false, permanent: true });
  }

  #tryNext(opening: Opening): void {
    const target = opening.targets[opening.at]!;
    const policy = tlsPolicyFor(this.hop, target);
    const { options, clock } = this.#host;
    let line: Line | undefined;
    const events: ConnectionEvents = {
      idle: (connection) => {
        if (line === undefined) {
          line = { connection, sent: 0, next: undefined };
          this.#lines.set(connection, line);
          this.#opening--;
          const first = !this.#answered;
          this.#answered = true;
          this.#down = undefined;
          this.#feed(line);
          if (first) this.pump();
        } else {
          this.#feed(line);
        }
      },
      following: () => (line === undefined ? undefined : this.#following(line)),
      finished: (connection, message, results) => (message as Prepared).job.done(results, connection.name),
      ended: (connection, end) => {
        this.#connections.delete(connection);
        if (line === undefined) this.#notOpened(opening, end);
        else this.#lost(line, end, connection);
      },
    };
    const mode = opening.plain ? 'never' : policy.mode;
    const settings = { target, policy: { ...policy, mode }, hostname: options.hostname, timeouts: options.timeouts, clock };
    this.#connections.add(new Connection(settings, events));
  }

  /** This address did not get as far as taking messages: once more in plain, the next address, or none is left. */
  #notOpened(opening: Opening, end: SessionEnd): void {
    const target = opening.targets[opening.at]!;
    const opportunistic = tlsPolicyFor(this.hop, target).mode === 'opportunistic';
    if (end.tlsBroken && opportunistic && !opening.plain) {
      opening.plain = true;
      return this.#tryNext(opening);
    }
    opening.permanent &&= end.permanent;
    this.#avoidFor(target);
    opening.plain = false;
    opening.at++;
    if (opening.at < opening.targets.length && !this.#draining) return this.#tryNext(opening);
    this.#unreachable(end.reply ?? '451 4.4.2 connection closed', opening.permanent);
  }

  #avoidFor({ address }: Target): void {
    this.#avoid.set(address, this.#host.clock.monotonic() + this.#host.options.avoidMs);
  }

  #unreachable(reply: string, permanent: boolean): void {
    this.#opening--;
    this.#host.release();
    // Others still work: it is their business then.
    if (this.#lines.size > 0) return this.pump();
    this.#answered = false;
    if (!permanent) {
      const { clock, options } = this.#host;
      this.#down = { untilMs: clock.monotonic() + options.downMs, reply };
    }
    for (const job of this.#ready.splice(0)) {
      if (permanent)
        job.done(
          job.recipients.map(() => ({ outcome: 'failed', reply }) as const),
          this.hop.key,
        );
      else this.#defer(job, reply);
    }
    this.pump();
  }

  #defer(job: Job, reply: string): void {
    const result: Result = { outcome: 'deferred', reply };
    job.done(
      job.recipients.map(() => result),
      this.hop.key,
    );
  }

  /** An idle connection gets its prepared message, or a ready one, or nothing. */
  #feed(line: Line): void {
    const { connection } = line;
    if (line.next === 'preparing') return;
    const { options } = this.#host;
    const spent = line.sent >= options.messagesPerConnection || (line.sent >= SHARE && this.#host.othersWait());
    if (line.next === undefined) {
      if (this.#draining || spent) return connection.quit();
      if (!this.#prepareNext(line)) this.#host.setIdle(connection, true);
      return;
    }
    const message = line.next;
    line.next = undefined;
    this.#send(line, message);
  }

  #send(line: Line, message: Prepared): void {
    const refusal = line.connection.client.refusal(message);
    if (refusal !== undefined) {
      this.#refuse(line, message, refusal);
      return this.#feed(line);
    }
    line.sent++;
    line.connection.send(message);
    this.#prefetch(line);
  }

  #refuse(line: Line, message: Prepared, reply: string): void {
    const result: Result = { outcome: 'failed', reply };
    message.job.done(
      message.recipients.map(() => result),
      line.connection.name,
    );
  }

  #prefetch(line: Line): void {
    const { pipelining } = line.connection.client.capabilities;
    if (pipelining && line.next === undefined && line.sent < this.#host.options.messagesPerConnection) this.#prepareNext(line);
  }

  /** Takes a ready message and gets its bytes; they go out when the connection is free. @returns false when there is none */
  #prepareNext(line: Line): boolean {
    const job = this.#ready.shift();
    if (job === undefined) return false;
    line.next = 'preparing';
    this.#host.setIdle(line.connection, false);
    prepare(job, line.connection.client.capabilities.eightBitMime).then(
      (prepared) => this.#prepared(line, prepared),
      (error: unknown) => {
        line.next = undefined;
        this.#defer(job, `451 4.3.0 the message could not be read: ${String(error)}`);
        if (line.connection.client.phase === 'idle') this.#feed(line);
      },
    );
    return true;
  }

  #prepared(line: Line, prepared: Prepared): void {
    if (!this.#lines.has(line.connection)) {
      // The connection was lost meanwhile.
      line.next = undefined;
      this.#again([prepared.job]);
      return;
    }
    line.next = prepared;
    if (line.connection.client.phase === 'idle') this.#feed(line);
  }

  #following(line: Line): Prepared | undefined {
    const { next } = line;
    if (next === undefined || next === 'preparing' || line.connection.client.refusal(next) !== undefined) return undefined;
    line.next = undefined;
    line.sent++;
    this.#prefetch(line);
    return next;
  }

  #lost(line: Line, end: SessionEnd, connection: Connection): void {
    this.#lines.delete(connection);
    this.#host.setIdle(connection, false);
    this.#host.release();
    if (end.phase === 'busy') this.#avoidFor(connection.target);
    const jobs: Job[] = [];
    for (const message of end.untried) {
      const { job } = message as Prepared;
      job.tries++;
      if (job.tries < MAX_TRIES) jobs.push(job);
      else this.#defer(job, end.reply ?? '451 4.4.2 connection closed');
    }
    if (line.next !== undefined && line.next !== 'preparing') jobs.push(line.next.job);
    this.#again(jobs);
  }

  /** Back to the front, in order. */
  #again(jobs: readonly Job[]): void {
    if (this.#draining) for (const job of jobs) job.done(undefined, this.hop.key);
    else this.#ready.unshift(...jobs);
    this.pump();
  }

  /** Tells the pool when there is nothing left; what is to be remembered is kept until it is old. */
  #retire(): void {
    if (this.#ready.length > 0 || this.#opening > 0 || this.#lines.size > 0) return;
    const now = this.#host.clock.monotonic();
    const untilMs = Math.max(this.#down?.untilMs ?? 0, ...this.#avoid.values());
    this.#forget?.();
    if (untilMs <= now || this.#draining) return this.#host.empty(this);
    this.#forget = this.#host.clock.after(untilMs - now + 1, () => this.#retire());
  }
}
