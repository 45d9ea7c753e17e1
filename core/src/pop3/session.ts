/**
 * The POP3 session (RFC 1939, 2449, 2595): bytes in, replies out. Driven by dispatch/connection through wire/session.
 * It alone reads, writes, counts errors, changes state and closes; verbs (pop3/commands.ts) return outcomes. Replies of
 * one turn go out in one write; while an answer is awaited, or the peer does not take what it asked for, input is kept
 * aside, bounded. Nothing here throws: a failing port is logged and answered with -ERR. However it ends other than by
 * QUIT, nothing is deleted and the lock is given up.
 */
import { MAX_SASL_LINE_BYTES } from '../auth/sasl.ts';
import { Backlog } from '../wire/backlog.ts';
import { LineReader, type LineEvent } from '../wire/line-reader.ts';
import type { Session, SessionOutput, TlsFacts } from '../wire/session.ts';
import { type SessionFacts, tlsForPlugins } from '../hook/contract.ts';
import { runCommand } from './commands.ts';
import { assertNever, type Conversation, type State, type Tally } from './conversation.ts';
import { fail, ok, refusalOf, refuse, type Outcome } from './outcome.ts';
import type { Pop3Ports, Pop3Profile } from './ports.ts';
import { Replies } from './replies.ts';
import { when } from './when.ts';

/** Who is at the other end. `tls` is set when TLS was on before the first byte. */
export interface Pop3Peer {
  readonly address: string;
  readonly port: number;
  readonly tls?: TlsFacts;
  readonly sessionId: string;
}

/** Input kept while an answer is awaited: the rest of a chunk and what a paused connection still delivers. */
const MAX_BACKLOG_BYTES = 256 * 1024;

/**
 * Why no input is taken. `answer`: a port or a plugin is asked. `peer`: the peer does not take its replies.
 * `tls`: what comes now is not ours to read. `over`: the last reply was said, or the peer is gone.
 */
type Waiting = 'nothing' | 'answer' | 'peer' | 'tls' | 'over';

/**
 * Makes the session of one accepted connection; nothing is written before `start`.
 * @param profile what the listener is; one object for all of its sessions.
 */
export function createPop3Session(ports: Pop3Ports, profile: Pop3Profile, peer: Pop3Peer, output: SessionOutput): Session {
  return new Pop3Session(ports, profile, peer, output);
}

class Pop3Session implements Session, Conversation {
  readonly ports: Pop3Ports;
  readonly profile: Pop3Profile;
  readonly tally: Tally = { retrieved: 0, retrievedBytes: 0, deleted: 0, errors: 0, unknown: 0, idle: 0 };
  facts: SessionFacts;
  tls: TlsFacts | undefined;

  readonly #output: SessionOutput;
  readonly #replies: Replies;
  readonly #lines: LineReader;
  readonly #backlog = new Backlog(MAX_BACKLOG_BYTES);
  #state: State = { at: 'authorization' };
  #waiting: Waiting = 'answer';
  #paused = false;
  #draining = false;
  #closed = false;
  /** Takes the next line in place of the table of commands. */
  #next: Outcome['next'];
  #endedBy = '';

  constructor(ports: Pop3Ports, profile: Pop3Profile, peer: Pop3Peer, output: SessionOutput) {
    this.ports = ports;
    this.profile = profile;
    this.facts = {
      sessionId: peer.sessionId,
      listener: profile.listener,
      clientAddress: peer.address,
      clientPort: peer.port,
      helo: '',
      ...(peer.tls === undefined ? {} : { tls: tlsForPlugins(peer.tls) }),
    };
    this.tls = peer.tls;
    this.#output = output;
    this.#replies = new Replies(output);
    this.#lines = new LineReader(profile.maxLineBytes);
  }

  get over(): boolean {
    return this.#waiting === 'over';
  }

  get waitsFor(): 'command' | 'verdict' {
    return this.#waiting === 'answer' || this.#waiting === 'peer' ? 'verdict' : 'command';
  }

  start(): void {
    this.ports.counters.add('pop3.sessions');
    this.#take(() => {
      const verdict = this.ports.hooks['pop3.connect']?.({ session: this.facts });
      const banner = ok(`${this.profile.hostname} Posthorn POP3 server ready`);
      if (verdict === undefined) return banner;
      return when(verdict, (answer) => {
        const refusal = refusalOf(answer);
        return refusal === undefined ? banner : { ...refusal, after: 'close' };
      });
    });
    this.#endTurn();
  }

  feed(chunk: Uint8Array): void {
    if (this.#waiting === 'over' || this.#waiting === 'tls') return;
    const bytes = Buffer.isBuffer(chunk) ? chunk : Buffer.from(chunk.buffer, chunk.byteOffset, chunk.length);
    let used = 0;
    if (this.#waiting === 'nothing') {
      used = this.#consume(bytes);
    } else if (!this.#paused) {
      // Only now: a client that waits for its answer sends nothing, and pausing is not free.
      this.#paused = true;
      this.#output.pause();
    }
    if (used < bytes.length && !this.#backlog.append(bytes, used, bytes.length)) {
      this.#replies.add(refuse('Too much sent ahead').line);
      this.#end('too much sent ahead');
    }
    this.#endTurn();
  }

  secured(tls: TlsFacts): void {
    this.tls = tls;
    this.facts = { ...this.facts, tls: tlsForPlugins(tls) };
    if (this.#waiting !== 'tls') return;
    this.#await();
    this.#endTurn();
  }

  drained(): void {
    this.#replies.drained();
    if (this.#waiting === 'peer') this.#goOn();
  }

  /** RFC 1939 §3: closes without a reply, deletes nothing. */
  timedOut(): void {
    this.#end('timeout');
  }

  drain(): void {
    this.#draining = true;
    if (this.#waiting !== 'answer') this.#leave();
  }

  closed(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#end('connection lost');
    const { clientAddress, sessionId, user } = this.facts;
    this.ports.log.info('pop3.closed', { session: sessionId, client: clientAddress, user, ended: this.#endedBy, ...this.tally });
  }

  /** Takes commands until the chunk ends or one has to wait. @returns how much was taken; what may not be read counts as taken. */
  #consume(bytes: Buffer): number {
    let at = 0;
    while (at < bytes.length && this.#waiting === 'nothing') {
      const event = this.#lines.next(bytes, at, bytes.length);
      at = this.#lines.at;
      if (event !== 'more') this.#take(() => this.#answer(event));
    }
    return this.over || this.#waiting === 'tls' ? bytes.length : at;
  }

  #answer(event: Exclude<LineEvent, 'more'>): Outcome | Promise<Outcome> {
    switch (event) {
      case 'line': {
        const next = this.#next;
        this.#next = undefined;
        if (next !== undefined) return next(this.#lines.text);
        if (this.#state.at === 'update') return refuse('The session is over');
        return runCommand(this, this.#state, this.#lines.text);
      }
      case 'too-long':
        return refuse('Line too long', undefined, 'close');
      case 'bare-line-end':
        return refuse('Lines end in CRLF here', undefined, 'close');
      case 'control-character':
        return refuse('No control characters here', undefined, 'close');
      default:
        return assertNever(event);
    }
  }

  /** Asks for an outcome and acts on it, at once or when it is there. */
  #take(ask: () => Outcome | Promise<Outcome>): void {
    this.#waiting = 'answer';
    let outcome: Outcome | Promise<Outcome>;
    try {
      outcome = ask();
    } catch (error) {
      outcome = this.#failed(error);
    }
    if (outcome instanceof Promise) {
      outcome
        .catch((error: unknown) => this.#failed(error))
        .then((settled) => this.#settle(settled))
        .catch((error: unknown) => this.#broken(error));
    } else {
      this.#apply(outcome);
    }
  }

  #settle(outcome: Outcome): void {
    this.#apply(outcome);
    this.#goOn();
  }

  #apply(outcome: Outcome): void {
    const { state } = outcome;
    if (this.over) {
      // The peer left while it was logged in.
      if (state?.at === 'transaction') state.drop.release();
      return;
    }
    if (state !== undefined) this.#enter(state);
    this.#replies.add(outcome.line);
    for (const piece of outcome.body ?? []) this.#replies.add(piece);
    if (outcome.fault && ++this.tally.errors >= this.profile.maxErrors) {
      this.ports.counters.add('pop3.too-many-errors');
      this.#end('too many errors');
      return;
    }
    if (this.tally.unknown > this.profile.maxUnknownCommands || this.tally.idle > this.profile.maxIdleCommands) {
      this.ports.counters.add('pop3.too-many-commands');
      this.#end('too many commands that do nothing');
      return;
    }
    this.#waiting = 'nothing';
    this.#next = outcome.next;
    this.#lines.maxLineBytes = outcome.next === undefined ? this.profile.maxLineBytes : MAX_SASL_LINE_BYTES;
    if (outcome.stream !== undefined) {
      this.#waiting = 'answer';
      this.#send(outcome.stream)
        .then(() => this.#sent())
        .catch((error: unknown) => this.#broken(error));
    } else if (outcome.after === 'close') {
      this.#end(this.#state.at === 'update' ? 'quit' : 'closed by the server');
    } else if (outcome.after === 'startTls') {
      this.#startTls();
    } else {
      this.#await();
    }
  }

  /** Sends what is made while it is sent, as fast as the peer takes it. */
  async #send(stream: Iterable<Uint8Array> | AsyncIterable<Uint8Array>): Promise<void> {
    for await (const piece of stream) {
      if (this.over) return;
      this.#replies.add(piece);
      if (this.#replies.blocked) await this.#replies.room();
    }
  }

  #sent(): void {
    if (this.over) return;
    this.#await();
    this.#goOn();
  }

  /** After a whole reply: takes the next command, unless the server goes down or the peer is behind. */
  #await(): void {
    if (this.#draining) this.#leave();
    else this.#waiting = this.#replies.blocked ? 'peer' : 'nothing';
  }

  /** Takes up input that was kept, then more from the connection. */
  #goOn(): void {
    if (this.#waiting === 'peer') this.#await();
    while (this.#waiting === 'nothing') {
      const kept = this.#backlog.shift();
      if (kept === undefined) break;
      this.#backlog.unshift(kept.subarray(this.#consume(kept)));
    }
    this.#endTurn();
    if (this.#waiting === 'nothing' && this.#paused) {
      this.#paused = false;
      this.#output.resume();
    }
  }

  #endTurn(): void {
    if (this.over) return;
    this.#replies.flush();
    if (this.#waiting === 'nothing' && this.#replies.blocked) this.#waiting = 'peer';
  }

  #startTls(): void {
    this.#replies.flush();
    this.#lines.reset();
    this.#backlog.clear();
    this.#waiting = 'tls';
    this.#paused = false;
    this.#output.startTls();
  }

  #enter(state: State): void {
    this.#state = state;
    if (state.at === 'transaction') this.facts = { ...this.facts, user: state.user };
  }

  #failed(error: unknown): Outcome {
    this.ports.log.error('pop3.command-failed', { session: this.facts.sessionId, cause: String(error) });
    return fail('Something went wrong here, try again later', 'SYS/TEMP');
  }

  /** An answer that was begun cannot be finished: closing without its end is the only way to say so. */
  #broken(error: unknown): void {
    this.ports.log.error('pop3.answer-broken', { session: this.facts.sessionId, cause: String(error) });
    this.#end('answer broken');
  }

  #leave(): void {
    if (this.over) return;
    this.#replies.add(fail('The server is going down', 'SYS/TEMP').line);
    this.#end('server going down');
  }

  /** The one end of a session. The maildrop is given up; only QUIT has committed before. */
  #end(endedBy: string): void {
    if (this.over) return;
    this.#endedBy = endedBy;
    if (this.#state.at === 'transaction') this.#state.drop.release();
    this.#backlog.clear();
    this.#replies.flush();
    this.#waiting = 'over';
    // Whoever waits for room finds that it is over.
    this.#replies.drained();
    this.#output.close();
  }
}
