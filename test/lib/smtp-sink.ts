/**
 * An SMTP server for tests whose answers are a script: it replies, stays silent, drops or resets where it is told to, and
 * keeps what it was sent. It understands just enough to tell commands from message bytes; it checks nothing.
 */
import { type AddressInfo, createServer, type Socket } from 'node:net';
import { createSecureContext, TLSSocket } from 'node:tls';
import { testCertificate } from './test-certificate.ts';

/**
 * What to do: a reply (several lines are a reply of several lines), raw bytes, a reply and a close, or, as the words
 * `silent` and `reset`, nothing ever again or a reset.
 */
export type Act = string | { readonly raw: string } | { readonly drop: string } | undefined;

/** What a script is told. */
export interface Step {
  /** Number of the connection, from 0. */
  readonly connection: number;
  /** Number of the message in this connection, from 0. */
  readonly message: number;
  /** The whole line without CRLF. */
  readonly line: string;
  readonly secure: boolean;
  /** In LMTP the recipient that a reply to the message is for. */
  readonly recipient?: string;
}

/** Keys: `banner`, a verb, `dot` (the reply to the message), `tls` (instead of the handshake); undefined: the usual answer. */
export type Script = Partial<Record<string, Act | ((step: Step) => Act)>>;

export interface SinkMessage {
  readonly from: string;
  readonly to: readonly string[];
  /** As it came over the wire, dots doubled, without the final dot line. */
  readonly wire: Buffer;
  /** Dots taken out again. */
  readonly data: Buffer;
  readonly connection: number;
  readonly secure: boolean;
  /** The TLS session is that of an earlier connection. */
  readonly resumed: boolean;
}

export interface Sink {
  readonly port: number;
  readonly messages: SinkMessage[];
  /** All commands, as `0 MAIL FROM:<a@example.test>`: connection and line. */
  readonly commands: string[];
  readonly connections: number;
  /** Most connections at one time. */
  readonly peak: number;
  script: Script;
  /** Resolves when `count` messages are here. */
  waitFor(count: number): Promise<void>;
  close(): Promise<void>;
}

export interface SinkOptions {
  readonly script?: Script;
  /** Keywords of the EHLO reply. */
  readonly extensions?: readonly string[];
  readonly implicitTls?: boolean;
  /** LHLO, and a reply for each recipient (RFC 2033). */
  readonly lmtp?: boolean;
  /** A unix socket to listen on. */
  readonly socketPath?: string;
  readonly address?: string;
  readonly port?: number;
  /** In place of test-certificate.ts. */
  readonly certificate?: { readonly cert: string; readonly key: string };
  readonly maxTlsVersion?: 'TLSv1.2';
  /** Clients need a certificate. */
  readonly asksForCertificate?: boolean;
}

const DEFAULT_EXTENSIONS = ['PIPELINING', 'SIZE 10000000', '8BITMIME', 'ENHANCEDSTATUSCODES'];
const END = '\r\n.\r\n';

function unstuff(wire: Buffer): Buffer {
  return Buffer.from(wire.toString('latin1').replace(/(^|\r\n)\./g, '$1'), 'latin1');
}

export async function startSink(options: SinkOptions = {}): Promise<Sink> {
  const messages: SinkMessage[] = [];
  const commands: string[] = [];
  const sockets = new Set<Socket>();
  const waiters: { readonly count: number; readonly resolve: () => void }[] = [];
  const secureContext = createSecureContext({
    ...(options.certificate ?? testCertificate),
    ...(options.maxTlsVersion === undefined ? {} : { maxVersion: options.maxTlsVersion }),
  });
  let connections = 0;
  let peak = 0;

  const sink = {
    script: options.script ?? {},
    messages,
    commands,
    get connections() {
      return connections;
    },
    get peak() {
      return peak;
    },
    get port() {
      return (server.address() as AddressInfo).port;
    },
    waitFor(count: number): Promise<void> {
      if (messages.length >= count) return Promise.resolve();
      return new Promise((resolve) => waiters.push({ count, resolve }));
    },
    async close(): Promise<void> {
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  };

  const server = createServer({ noDelay: true }, (plain) => {
    const connection = connections++;
    let socket: Socket = plain;
    let secure = false;
    let resumed = false;
    let message = 0;
    let from = '';
    let to: string[] = [];
    let held = '';
    let inData = false;
    /** Octets of a BDAT that are still to come; undefined outside of one. Each is taken for the last. */
    let chunkBytes: number | undefined;
    let deaf = false;

    function keep(socket: Socket): void {
      sockets.add(socket);
      peak = Math.max(peak, sockets.size);
      socket.on('error', () => socket.destroy());
      socket.on('close', () => sockets.delete(socket));
    }
    keep(plain);

    /** @returns false when the usual course is over */
    function act(key: string, line: string, usual: string, recipient?: string): boolean {
      const scripted = sink.script[key];
      const step = { connection, message, line, secure, ...(recipient === undefined ? {} : { recipient }) };
      const chosen = (typeof scripted === 'function' ? scripted(step) : scripted) ?? usual;
      if (chosen === 'handshake') return true;
      if (chosen === 'silent') return !(deaf = true);
      if (chosen === 'reset') {
        plain.resetAndDestroy();
        return !(deaf = true);
      }
      if (typeof chosen === 'string') {
        const lines = chosen.split('\n');
        socket.write(lines.map((one, at) => (at < lines.length - 1 ? one.replace(/^(\d{3}) /, '$1-') : one) + '\r\n').join(''));
        return !/^[45]/.test(chosen);
      }
      if ('raw' in chosen) {
        socket.write(Buffer.from(chosen.raw, 'latin1'));
        return true;
      }
      socket.end(`${chosen.drop}\r\n`);
      return !(deaf = true);
    }

    function startTls(): void {
      plain.removeAllListeners('data');
      held = '';
      const upgraded = new TLSSocket(plain, {
        isServer: true,
        secureContext,
        requestCert: options.asksForCertificate === true,
        rejectUnauthorized: options.asksForCertificate === true,
      });
      upgraded.on('error', () => upgraded.destroy());
      upgraded.on('secure', () => {
        resumed = upgraded.isSessionReused();
      });
      socket = upgraded;
      secure = true;
      socket.on('data', read);
    }

    function command(line: string): void {
      commands.push(`${connection} ${line}`);
      const verb = line.slice(0, 4).toUpperCase();
      switch (verb) {
        case options.lmtp === true ? 'LHLO' : 'EHLO': {
          const words = options.extensions ?? DEFAULT_EXTENSIONS;
          act(verb, line, ['250 sink.test', ...words.map((word) => `250 ${word}`)].join('\n'));
          return;
        }
        case 'MAIL':
          if (act('MAIL', line, '250 2.1.0 ok')) from = /<(.*?)>/.exec(line)?.[1] ?? '';
          to = [];
          return;
        case 'RCPT':
          if (act('RCPT', line, '250 2.1.5 ok')) to.push(/<(.*?)>/.exec(line)?.[1] ?? '');
          return;
        case 'DATA':
          inData = act('DATA', line, to.length > 0 ? '354 go on' : '503 5.5.1 no recipients');
          return;
        case 'BDAT':
          chunkBytes = Number(line.split(' ')[1]);
          return;
        case 'STAR':
          if (!act('STARTTLS', line, '220 2.0.0 go on')) return;
          if (act('tls', line, 'handshake')) startTls();
          return;
        case 'QUIT':
          act('QUIT', line, '221 2.0.0 bye');
          if (!deaf) socket.end();
          return;
        default:
          act(verb, line, verb === 'AUTH' ? '235 2.7.0 welcome' : '250 2.0.0 ok');
      }
    }

    function endOfMessage(at: number): void {
      const wire = Buffer.from(held.slice(0, at + 2), 'latin1');
      held = held.slice(at + END.length);
      inData = false;
      take(wire, unstuff(wire), '.');
    }

    /** The end of a message: one reply, or in LMTP one for each recipient. */
    function take(wire: Buffer, data: Buffer, line: string): void {
      const usual = `250 2.0.0 queued as ${connection}-${message}`;
      const lmtp = options.lmtp === true;
      const takers = lmtp ? to.filter((one) => act('dot', line, usual, one)) : to;
      if (lmtp ? takers.length > 0 : act('dot', line, usual)) {
        messages.push({ from, to: takers, wire, data, connection, secure, resumed });
        for (const { count, resolve } of waiters) if (messages.length >= count) resolve();
      }
      message++;
      to = [];
    }

    function endOfChunk(bytes: number): void {
      const wire = Buffer.from(held.slice(0, bytes), 'latin1');
      held = held.slice(bytes);
      chunkBytes = undefined;
      take(wire, wire, 'BDAT');
    }

    function read(chunk: Buffer): void {
      held += chunk.toString('latin1');
      while (!deaf && held !== '') {
        if (chunkBytes !== undefined) {
          if (held.length < chunkBytes) return;
          endOfChunk(chunkBytes);
        } else if (inData) {
          const at = held.startsWith('.\r\n') ? -2 : held.indexOf(END);
          if (at === -1) {
            if (sink.script['body'] !== undefined) act('body', '', '');
            return;
          }
          endOfMessage(at);
        } else {
          const at = held.indexOf('\r\n');
          if (at < 0) return;
          const line = held.slice(0, at);
          held = held.slice(at + 2);
          command(line);
        }
      }
    }

    if (options.implicitTls === true) startTls();
    else plain.on('data', read);
    act('banner', '', '220 sink.test ESMTP');
  });
  const { socketPath } = options;
  await new Promise<void>((resolve) =>
    socketPath === undefined
      ? server.listen(options.port ?? 0, options.address ?? '127.0.0.1', resolve)
      : server.listen(socketPath, resolve),
  );
  return sink;
}
