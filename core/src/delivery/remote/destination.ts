/**
 * One next hop: the messages that are ready for it, its connections, and whether it is down. Made and kept by remote/pool.
 * Strategies, by name:
 * - *probe*: until the destination has answered, one connection at a time is opened; the others follow its success.
 * - *reuse*: a connection takes message after message, the next one prepared while one is under way (pipelining).
 * - *failover*: addresses in order of preference (remote/opening).
 * - *other host*: a message that a host cannot take for what it does not offer goes to the others of its domain.
 * - *cap*: a destination that refuses one more connection gets no more for a while than it has.
 * - *down*: when none could be reached, everything ready for it and what comes in the next minute is deferred at once,
 *   with that reason, but what the operator wants tried.
 * - *limits*: what a host announces of them is kept (RFC 9422): sessions end in time, recipients are split.
 * - *shed*: when it holds up everything else, what waits for it goes back to the queue for a while.
 * Each job ends in exactly one call of its `done`; nothing here throws.
 */
import { damageIn, failDamaged } from '../damage.ts';
import { insertRanked } from '../rank.ts';
import type { Result } from '../reply.ts';
import { type RemoteHop, withoutHost } from '../route.ts';
import type { SessionEnd } from './client.ts';
import { codeOf, type Connection, type ConnectionEvents } from './connection.ts';
import { type Job, partsFor, type Prepared, prepare } from './job.ts';
import { domainsOf, hasRoomForDomains } from './limits.ts';
import { Opener, type OpenerPorts } from './opening.ts';

export type DestinationOptions = OpenerPorts['options'] & {
  /** Connections at the most. */
  readonly connections: number;
  /** Messages over one connection. */
  readonly messagesPerConnection: number;
  /** Signed and encrypted mail is converted like other for hosts that do not take it as it is. */
  readonly convertsSealed: boolean;
  /** How long a destination that cannot be reached is left alone. */
  readonly downMs: number;
};

/** What a destination asks of the pool it is in. */
export interface DestinationHost extends OpenerPorts {
  readonly options: DestinationOptions;
  /** A connection may be opened; else `pump` is called when one may. */
  acquire(destination: Destination): boolean;
  release(): void;
  /** Connections to the same hop that are held beside its own. */
  heldOf(destination: Destination): number;
  /** QUIT was said on a connection. @returns true when its place may be released before the answer; `left` follows that */
  leaves(): boolean;
  left(): void;
  /** Its connection is unused, or no longer so. */
  setIdle(connection: Connection, idle: boolean): void;
  /** Hands a job on to another destination. */
  submit(hop: RemoteHop, job: Job): void;
  /** Others wait for a connection: one that has done its share gives way. */
  othersWait(): boolean;
  /** Nothing is left to do or to remember. */
  empty(destination: Destination): void;
}

/** A connection and the message prepared to go next on it. */
interface Line {
  readonly connection: Connection;
  sent: number;
  /** QUIT was said, and it holds no place any more. */
  isLeaving: boolean;
  next: Prepared | 'preparing' | undefined;
  /** Of recipients so far, where the host bounds them. */
  readonly domains: Set<string>;
  /** The next message has more domains than the session may have: it goes over another one. */
  full: boolean;
}

/** Messages after which a connection gives way to a destination that waits. */
const SHARE = 20;
/** Connections that broke before a word on a message, after which the message waits for its next attempt. */
const MAX_TRIES = 3;

/**
 * Mail that is to be delivered by some time is made ready for a free connection only: behind another message it could not be
 * taken back when its time is over, and its MAIL would not say how much is left when it is read (RFC 2852 §4.1).
 */
const hasTime = ({ asked }: Job): boolean => asked?.deliverBy !== undefined;

export class Destination {
  readonly hop: RemoteHop;
  readonly #host: DestinationHost;
  readonly #ready: Job[] = [];
  readonly #lines = new Map<Connection, Line>();
  readonly #opener: Opener;
  #opening = 0;
  /** Lines whose QUIT is not answered yet: they hold no place. */
  #leaving = 0;
  /** Messages whose bytes are being read. */
  #preparing = 0;
  #answered = false;
  #down: { readonly untilMs: number; readonly why: Result } | undefined;
  #shedUntil = 0;
  /** As many connections as it took when it refused one more, and until when that is believed. */
  #cap = { connections: Infinity, untilMs: 0 };
  #draining = false;
  #forget: (() => void) | undefined;

  constructor(hop: RemoteHop, host: DestinationHost) {
    this.hop = hop;
    this.#host = host;
    this.#opener = new Opener(hop, host);
  }

  /** Messages that wait for a connection. */
  get waiting(): number {
    return this.#ready.length;
  }

  /** Places that it takes. */
  get connections(): number {
    return this.#lines.size + this.#opening - this.#leaving;
  }

  submit(job: Job): void {
    if (this.#draining || job.due.removed) return job.done(undefined, this.hop.key);
    const isDown = this.#down !== undefined && this.#host.clock.monotonic() < this.#down.untilMs;
    if (isDown && !job.due.forced) return this.#endAll(job, this.#down!.why);
    insertRanked(this.#ready, job);
    this.pump();
  }

  /** Ends a job that waits for a connection still. */
  withdraw(job: Job, result: Result): void {
    const at = this.#ready.indexOf(job);
    if (at < 0) return;
    this.#ready.splice(at, 1);
    this.#endAll(job, result);
  }

  /** Gives back what waits of a message, also behind another one; what is being sent goes on. */
  takeBack(id: string): void {
    for (const job of this.#ready.filter(({ due }) => due.envelope.id === id)) {
      this.#ready.splice(this.#ready.indexOf(job), 1);
      job.done(undefined, this.hop.key);
    }
    for (const line of this.#lines.values()) {
      const { next } = line;
      if (next === undefined || next === 'preparing' || next.job.due.envelope.id !== id) continue;
      line.next = undefined;
      next.job.done(undefined, this.hop.key);
    }
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
      if (!this.#mayOpen() || !this.#host.acquire(this)) break;
      this.#opening++;
      this.#opener.open({ opened: (connection) => this.#opened(connection), failed: (why) => this.#unreachable(why) });
    }
    if (this.#ready.length === 0) this.#retire();
  }

  #mayOpen(): boolean {
    const { clock, options } = this.#host;
    const all = this.#lines.size + this.#opening;
    // A peer that took so many and no more counts those that leave as well.
    if (all >= this.#cap.connections && clock.monotonic() < this.#cap.untilMs) return false;
    const own = this.connections;
    return own < (this.#answered ? options.connections : 1) && own + this.#host.heldOf(this) < options.connections;
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
    this.#opener.stop();
    for (const job of this.#ready.splice(0)) job.done(undefined, this.hop.key);
    for (const { connection } of this.#lines.values()) if (connection.client.phase === 'idle') connection.quit();
    this.#retire();
  }

  /** Ends every connection now. */
  abort(reply: string): void {
    this.drain();
    this.#opener.abort(reply);
  }

  /** The destination answered: messages go out on this connection, and others may be opened. */
  #opened(connection: Connection): ConnectionEvents {
    const line: Line = { connection, sent: 0, isLeaving: false, next: undefined, domains: new Set(), full: false };
    const first = !this.#answered;
    this.#lines.set(connection, line);
    this.#opening--;
    this.#answered = true;
    this.#down = undefined;
    // The first message is this connection's; the rest opens others.
    if (first) queueMicrotask(() => this.pump());
    return {
      idle: () => this.#feed(line),
      following: () => this.#following(line),
      finished: (_, message, results) => this.#finished((message as Prepared).job, results, connection.name),
      leaving: () => this.#leaves(line),
      ended: (_, end) => this.#lost(line, end),
    };
  }

  #finished(job: Job, results: readonly Result[], peer: string): void {
    const { damage, due } = job;
    job.done(damage === undefined ? results : failDamaged(this.#host.log, due.envelope.id, damage, results), peer);
  }

  #unreachable(why: Result): void {
    this.#opening--;
    this.#host.release();
    const { clock, options } = this.#host;
    const untilMs = clock.monotonic() + options.downMs;
    if (this.#lines.size > 0) {
      // It takes no more connections than it has: those do the work.
      this.#cap = { connections: this.#lines.size, untilMs };
      return this.pump();
    }
    this.#answered = false;
    if (why.outcome === 'deferred') this.#down = { untilMs, why };
    for (const job of this.#ready.splice(0)) this.#endAll(job, why);
    this.pump();
  }

  #endAll(job: Job, result: Result): void {
    job.done(
      job.recipients.map(() => result),
      this.hop.key,
    );
  }

  /** An idle connection gets its prepared message, or a ready one, or nothing. */
  #feed(line: Line): void {
    const { connection } = line;
    if (line.next === 'preparing') return;
    const spent = line.full || line.sent >= this.#mostOn(line) || (line.sent >= SHARE && this.#host.othersWait());
    if (line.next === undefined) {
      if (this.#draining || spent) return connection.quit();
      if (this.#prepareNext(line, this.#ready.shift() ?? this.#takeOver())) return;
      if (line.full) connection.quit();
      else this.#host.setIdle(connection, true);
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

  /** This host cannot take the message: another one of the domain may, and it fails when none can. */
  #refuse(line: Line, message: Prepared, reply: string): void {
    const { host } = line.connection.target;
    const others = this.#opener.hasOther(host) ? withoutHost(this.hop, host) : undefined;
    if (others !== undefined) return this.#host.submit(others, message.job);
    const result: Result = { outcome: 'failed', reply };
    message.job.done(
      message.recipients.map(() => result),
      line.connection.name,
    );
  }

  #prefetch(line: Line): void {
    const { pipelining } = line.connection.client.capabilities;
    if (!pipelining || line.next !== undefined || line.full || line.sent >= this.#mostOn(line)) return;
    if (this.#ready.length > 0 && !hasTime(this.#ready[0]!)) this.#prepareNext(line, this.#ready.shift());
  }

  /** Messages that may go over a connection in all. */
  #mostOn({ connection }: Line): number {
    return Math.min(this.#host.options.messagesPerConnection, connection.client.capabilities.limits.mailMax ?? Infinity);
  }

  /** A message that waits behind another one, for a connection that has nothing to do. */
  #takeOver(): Job | undefined {
    for (const line of this.#lines.values()) {
      const { next } = line;
      if (next === undefined || next === 'preparing' || line.connection.client.phase !== 'busy') continue;
      line.next = undefined;
      return next.job;
    }
    return undefined;
  }

  /** Gets the bytes of a message; they go out when the connection is free. @returns false when there is none for this one */
  #prepareNext(line: Line, job: Job | undefined): boolean {
    if (job === undefined) return false;
    const { capabilities } = line.connection.client;
    const parts = partsFor(job, capabilities);
    if (parts !== undefined) {
      const [first, ...others] = job.split(parts);
      this.#ready.unshift(...others);
      return this.#prepareNext(line, first);
    }
    if (!hasRoomForDomains(line.domains, job.recipients, capabilities.limits)) {
      line.full = true;
      this.#ready.unshift(job);
      // Not behind what this one is busy with.
      queueMicrotask(() => this.pump());
      return false;
    }
    if (capabilities.limits.rcptDomainMax !== undefined) for (const one of domainsOf(job.recipients)) line.domains.add(one);
    line.next = 'preparing';
    line.connection.reserved = true;
    this.#preparing++;
    this.#host.setIdle(line.connection, false);
    prepare(job, capabilities, this.#host.options.convertsSealed).then(
      (prepared) => {
        this.#preparing--;
        line.connection.reserved = false;
        if (job.due.removed) this.#notPrepared(line, () => job.done(undefined, this.hop.key));
        else this.#prepared(line, prepared);
      },
      (error: unknown) => {
        this.#preparing--;
        line.connection.reserved = false;
        job.damage ??= damageIn(error);
        const result: Result = { outcome: 'deferred', reply: `451 4.3.0 the message could not be read: ${codeOf(error)}` };
        const results = job.recipients.map(() => result);
        this.#notPrepared(line, () => this.#finished(job, results, this.hop.key));
      },
    );
    return true;
  }

  /** What was made ready ends here, and its connection is free for another. */
  #notPrepared(line: Line, end: () => void): void {
    line.next = undefined;
    end();
    if (line.connection.client.phase === 'idle') this.#feed(line);
    else this.pump();
  }

  #prepared(line: Line, prepared: Prepared): void {
    if (!this.#lines.has(line.connection)) {
      // The connection was lost meanwhile.
      line.next = undefined;
      this.#again(this.#notTooOften([prepared.job]));
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

  /** Another connection may be opened from here on, whenever the peer answers QUIT. */
  #leaves(line: Line): void {
    this.#host.setIdle(line.connection, false);
    if (!this.#host.leaves()) return;
    line.isLeaving = true;
    this.#leaving++;
    this.#host.release();
    this.pump();
  }

  #lost(line: Line, end: SessionEnd): void {
    const { connection } = line;
    this.#lines.delete(connection);
    this.#host.setIdle(connection, false);
    if (line.isLeaving) {
      this.#leaving--;
      this.#host.left();
    } else this.#host.release();
    if (end.phase === 'busy') this.#opener.avoid(connection.target);
    const untried = end.untried.map((message) => (message as Prepared).job);
    const jobs = this.#notTooOften(untried, end);
    if (line.next !== undefined && line.next !== 'preparing') jobs.push(line.next.job);
    this.#again(jobs);
  }

  /** Their connection broke before a word on them. @returns those to be tried on another one at once; others are deferred */
  #notTooOften(jobs: readonly Job[], end?: SessionEnd): Job[] {
    return jobs.filter((job) => {
      if (++job.tries < MAX_TRIES) return true;
      this.#endAll(job, { outcome: 'deferred', reply: end?.reply ?? '451 4.4.2 connection closed', peer: end?.peer });
      return false;
    });
  }

  /** Back to the front, in order. */
  #again(jobs: readonly Job[]): void {
    const { done = [], again = [] } = Object.groupBy(jobs, ({ due }) => (this.#draining || due.removed ? 'done' : 'again'));
    for (const job of done) job.done(undefined, this.hop.key);
    this.#ready.unshift(...again);
    this.pump();
  }

  /** Tells the pool when there is nothing left; what is to be remembered is kept until it is old. */
  #retire(): void {
    if (this.#ready.length > 0 || this.#opening > 0 || this.#preparing > 0 || this.#lines.size > 0) return;
    const now = this.#host.clock.monotonic();
    const untilMs = Math.max(this.#down?.untilMs ?? 0, this.#opener.remembersUntil);
    this.#forget?.();
    if (untilMs <= now || this.#draining) return this.#host.empty(this);
    this.#forget = this.#host.clock.after(untilMs - now + 1, () => this.#retire());
  }
}
