/** What tests of this plugin use: a clamd that does as it is told, and the plugin opened as the host does it. For tests only. */
import { once } from 'node:events';
import { createServer, type AddressInfo, type Socket } from 'node:net';
import { DnsError, type Clock, type Dns, type HookAnswer, type Log, type Requests } from '@posthorn/sdk';
import { optionsSchema } from './options.ts';
import { plugin } from './plugin.ts';

/** What one connection does: gets the scanned bytes once all came, and the socket. */
export type Script = (message: Buffer, socket: Socket) => void;

export interface FakeClamd {
  readonly address: string;
  readonly connections: number;
  readonly mostAtATime: number;
  script: Script;
  /** Called with each connection before anything was read; may answer early. */
  onConnect: ((socket: Socket) => void) | undefined;
  close(): Promise<void>;
}

/** Listens on a UNIX socket, or on TCP when no path is given. */
export async function startFakeClamd(script: Script, path?: string): Promise<FakeClamd> {
  const sockets = new Set<Socket>();
  const counts = { connections: 0, mostAtATime: 0 };
  const server = createServer((socket) => {
    sockets.add(socket);
    counts.connections++;
    counts.mostAtATime = Math.max(counts.mostAtATime, sockets.size);
    socket.on('close', () => sockets.delete(socket));
    // A client that goes away early is part of what is tested.
    socket.on('error', () => undefined);
    clamd.onConnect?.(socket);
    const pieces: Buffer[] = [];
    socket.on('data', (piece: Buffer) => {
      pieces.push(piece);
      const message = messageOf(Buffer.concat(pieces));
      if (message !== undefined) clamd.script(message, socket);
    });
  });
  server.listen(path === undefined ? { port: 0, host: '127.0.0.1' } : { path });
  await once(server, 'listening');
  const clamd: FakeClamd = {
    address: path === undefined ? `tcp://127.0.0.1:${(server.address() as AddressInfo).port}` : `unix:${path}`,
    get connections() {
      return counts.connections;
    },
    get mostAtATime() {
      return counts.mostAtATime;
    },
    script,
    onConnect: undefined,
    async close() {
      for (const socket of sockets) socket.destroy();
      server.close();
      await once(server, 'close');
    },
  };
  return clamd;
}

/** The message in a whole zINSTREAM command, undefined before its end came. */
function messageOf(received: Buffer): Buffer | undefined {
  const command = 'zINSTREAM\0';
  if (received.length < command.length) return undefined;
  if (received.subarray(0, command.length).toString() !== command) throw new Error('the client did not say zINSTREAM');
  const chunks: Buffer[] = [];
  for (let at = command.length; at + 4 <= received.length;) {
    const length = received.readUInt32BE(at);
    if (length === 0) return Buffer.concat(chunks);
    chunks.push(received.subarray(at + 4, at + 4 + length));
    at += 4 + length;
  }
  return undefined;
}

/** A clock of real time that can be put forward. */
export function movableClock(): Clock & { advance(ms: number): void } {
  let aheadMs = 0;
  return {
    now: () => Date.now() + aheadMs,
    monotonic: () => performance.now() + aheadMs,
    after(delayMs, then) {
      const timer = setTimeout(then, delayMs);
      return () => clearTimeout(timer);
    },
    advance: (ms) => void (aheadMs += ms),
  };
}

export interface Scanner {
  readonly clock: ReturnType<typeof movableClock>;
  readonly ask: (content: Uint8Array | string) => Promise<HookAnswer>;
}

/** The plugin, opened with these options. */
export async function openPlugin(options: Readonly<Record<string, unknown>>): Promise<Scanner> {
  const clock = movableClock();
  const silent: Log = {
    debug: () => undefined,
    info: () => undefined,
    warn: () => undefined,
    error: () => undefined,
    with: () => silent,
  };
  const none = (name: string): Promise<never> => Promise.reject(new DnsError('notfound', 'ENOTFOUND', name));
  const dns: Dns = { mx: none, a: none, aaaa: none, txt: none, ptr: none, resolve: none };
  const given = {
    options: optionsSchema.parse(options),
    dns,
    clock,
    log: silent,
    hostname: 'mx.example.org',
    dataDirectory: '/nonexistent',
  };
  const state = await plugin.open?.(given);
  return { clock, ask: async (content) => plugin.hooks.message?.(requestOf(Buffer.from(content)), { ...given, state }) };
}

/** A message in shared memory, given in pieces of one reused buffer, as from a spool file. */
function requestOf(content: Uint8Array): Requests['message'] {
  const origin = { listener: 'mx', clientAddress: '192.0.2.1', clientPort: 4711, helo: 'client.example', sessionId: 's1' };
  return {
    session: origin,
    envelope: {
      id: 'm1',
      receivedAtMs: 0,
      reversePath: 'a@example.org',
      recipients: [{ address: 'b@example.net' }],
      origin: { ...origin, protocol: 'ESMTP' },
      sizeBytes: content.length,
      body: '7bit',
    },
    bytes: {
      sizeBytes: content.length,
      header: content,
      whole: undefined,
      async *chunks() {
        const reused = new Uint8Array(new SharedArrayBuffer(64 * 1024));
        for (let at = 0; at < content.length; at += reused.length) {
          const piece = content.subarray(at, at + reused.length);
          reused.set(piece);
          yield reused.subarray(0, piece.length);
          reused.fill(0x58);
        }
      },
    },
    evidence: [],
  };
}
