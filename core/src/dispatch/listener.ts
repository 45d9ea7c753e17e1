/**
 * A listening socket of one session thread. All threads and processes listen on the same port (SO_REUSEPORT), the
 * kernel deals the connections out; why not handed over by the main thread: docs/decisions/session-placement.md.
 * Refuses at the door what admission refuses, keeps its connections, sweeps their timeouts.
 */
import { createServer, type Server, type Socket } from 'node:net';
import type { Counters } from '../observe/counters.ts';
import type { Log } from '../observe/log.ts';
import type { Session, SessionOutput } from '../wire/session.ts';
import type { Admission, Refusal } from './admission.ts';
import { Connection, type ConnectionTimeouts } from './connection.ts';
import { takeProxyHeader } from './proxied.ts';
import type { Secured, ServerTls } from './server-tls.ts';

/** Where a connection came from, noted at accept: a closed socket does not know it any more. */
export interface Peer {
  readonly address: string;
  readonly port: number;
  readonly sessionId: string;
}

export interface ListenerOptions {
  readonly name: string;
  readonly protocol: 'smtp' | 'pop3';
  readonly host: string;
  readonly port: number;
  readonly implicitTls: boolean;
  readonly hostname: string;
  readonly admission: Admission;
  readonly log: Log;
  readonly counters: Counters;
  readonly now: () => number;
  readonly newSessionId: () => string;
  /** Was a message refused of late for want of memory? Its slow senders are not waited for as long as else. */
  readonly memoryShort: () => boolean;
}

/** What a reload may change while connections go on; each connection keeps what it began with. */
export interface ListenerSettings {
  readonly timeouts: ConnectionTimeouts;
  readonly tls: ServerTls | undefined;
  readonly open: (peer: Peer, output: SessionOutput) => Session;
  /** Is this the address of a proxy, whose connections begin with a PROXY header, all of them? */
  readonly isProxy: (address: string) => boolean;
  readonly proxyHeaderMs: number;
}

/** RFC 5321 §3.8 (421 at any time), RFC 3463 codes; POP3 has RFC 2449 response codes. */
const REFUSALS: Record<Refusal, { readonly enhanced: string; readonly text: string }> = {
  draining: { enhanced: '4.3.2', text: 'going down, try again later' },
  'too-many': { enhanced: '4.3.2', text: 'too many connections, try again later' },
  'too-many-from-client': { enhanced: '4.7.0', text: 'too many connections from your address' },
  memory: { enhanced: '4.3.1', text: 'short of memory, try again later' },
  disk: { enhanced: '4.3.1', text: 'short of disk space, try again later' },
};

const SWEEP_MS = 1_000;
/** Connections that may be without their PROXY header at one time; none of them is counted by admission yet. */
const MAX_WITHOUT_HEADER = 1_000;

export class Listener {
  readonly #options: ListenerOptions;
  readonly #server: Server;
  readonly #connections = new Set<Connection>();
  readonly #withoutHeader = new Set<Socket>();
  readonly #sweeper: NodeJS.Timeout;
  #settings: ListenerSettings;
  #onEmpty: (() => void) | undefined;

  constructor(options: ListenerOptions, settings: ListenerSettings) {
    this.#options = options;
    this.#settings = settings;
    this.#server = createServer({ noDelay: true, allowHalfOpen: true }, (socket) => this.#accept(socket));
    this.#server.on('error', (error) => options.log.error('listener-failed', { listener: options.name, cause: error.message }));
    this.#sweeper = setInterval(() => {
      const nowMs = options.now();
      for (const connection of this.#connections) connection.sweep(nowMs);
    }, SWEEP_MS);
    this.#sweeper.unref();
  }

  /** @throws the system's error when the address cannot be bound. */
  async listen(): Promise<void> {
    await new Promise<void>((resolve, reject) => {
      this.#server.once('error', reject);
      this.#server.listen({ host: this.#options.host, port: this.#options.port, reusePort: true, backlog: 1024 }, () => {
        this.#server.removeListener('error', reject);
        resolve();
      });
    });
  }

  /** From now on new connections get these. */
  change(settings: ListenerSettings): void {
    this.#settings = settings;
  }

  /** Certificates or keys of session tickets changed, and nothing else. */
  changeTls(tls: ServerTls | undefined): void {
    this.#settings = { ...this.#settings, tls };
  }

  /** Takes no new connection and asks the running ones to finish; resolves when the last one is gone. */
  async drain(): Promise<void> {
    this.#server.close();
    this.#dropThoseWithoutHeader();
    for (const connection of this.#connections) connection.drain();
    if (this.#connections.size > 0) await new Promise<void>((resolve) => (this.#onEmpty = resolve));
    clearInterval(this.#sweeper);
  }

  /** Closes what is left. */
  destroy(): void {
    this.#dropThoseWithoutHeader();
    for (const connection of this.#connections) connection.destroy();
  }

  #dropThoseWithoutHeader(): void {
    for (const socket of this.#withoutHeader) socket.destroy();
  }

  #accept(socket: Socket): void {
    const address = plainAddress(socket.remoteAddress);
    if (address === undefined) {
      // Gone before we looked: nothing was counted, nothing is owed.
      socket.destroy();
      return;
    }
    const { isProxy, proxyHeaderMs } = this.#settings;
    const self = { address, port: socket.remotePort ?? 0 };
    if (!isProxy(address)) this.#enter(socket, self);
    else if (this.#withoutHeader.size >= MAX_WITHOUT_HEADER) this.#refuse(socket, address, 'too-many');
    else {
      this.#withoutHeader.add(socket);
      takeProxyHeader(socket, proxyHeaderMs, (outcome) => {
        this.#withoutHeader.delete(socket);
        if (!outcome.ok) {
          this.#proxyFailed(address, outcome.cause);
          return;
        }
        this.#enter(socket, outcome.client ?? self);
        // It was left paused. TLS reads for itself.
        if (!this.#options.implicitTls) socket.resume();
      });
    }
  }

  #proxyFailed(proxy: string, cause: string): void {
    const { counters, log, name, protocol } = this.#options;
    counters.add(`${protocol}.proxy-header-refused`);
    log.info('proxy-header-refused', { listener: name, proxy, cause });
  }

  /** The connection of a client whose address is known. */
  #enter(socket: Socket, { address, port }: { readonly address: string; readonly port: number }): void {
    const { admission, counters } = this.#options;
    const refusal = admission.enter(address, this.#options.protocol === 'smtp');
    if (refusal !== undefined) {
      this.#refuse(socket, address, refusal);
      return;
    }
    counters.add(`${this.#options.protocol}.connections`);
    const peer: Peer = { address, port, sessionId: this.#options.newSessionId() };
    const settings = this.#settings;
    const connection: Connection = new Connection(socket, {
      implicitTls: this.#options.implicitTls,
      tls: settings.tls,
      timeouts: settings.timeouts,
      now: this.#options.now,
      memoryShort: this.#options.memoryShort,
      open: (output) => settings.open(peer, output),
      onHandshake: (outcome) => this.#handshake(peer, outcome),
      onEnd: (cause) => {
        admission.leave(address);
        this.#connections.delete(connection);
        if (cause !== undefined)
          this.#options.log.debug('connection-broken', { session: peer.sessionId, client: address, cause });
        if (this.#connections.size === 0) this.#onEmpty?.();
      },
    });
    this.#connections.add(connection);
    connection.start();
  }

  #handshake({ address, sessionId }: Peer, outcome: Secured): void {
    const { protocol, counters, log, name } = this.#options;
    counters.add(outcome.ok ? `${protocol}.tls` : `${protocol}.tls-failed`);
    const about = { session: sessionId, listener: name, client: address };
    if (!outcome.ok) log.info('tls-handshake-failed', { ...about, cause: outcome.cause });
    else if (outcome.facts.clientCertificate !== undefined) {
      log.info('tls-client-certificate', { ...about, ...outcome.facts.clientCertificate });
    }
  }

  #refuse(socket: Socket, client: string, refusal: Refusal): void {
    const { protocol, hostname, implicitTls, counters, log, name } = this.#options;
    counters.add(`${protocol}.refused.${refusal}`);
    log.info('connection-refused', { listener: name, client, reason: refusal });
    const { enhanced, text } = REFUSALS[refusal];
    socket.on('error', (error) => log.debug('refused-connection-broken', { client, cause: error.message }));
    // Under implicit TLS a plain line is noise to the peer: closing says as much, and spares the handshake.
    if (implicitTls) socket.destroy();
    else {
      socket.end(protocol === 'smtp' ? `421 ${enhanced} ${hostname} ${text}\r\n` : `-ERR [SYS/TEMP] ${text}\r\n`);
      socket.destroySoon();
    }
  }
}

/** IPv4 clients on a dual-stack socket under their own name. */
function plainAddress(address: string | undefined): string | undefined {
  return address?.startsWith('::ffff:') === true && address.includes('.') ? address.slice(7) : address;
}
