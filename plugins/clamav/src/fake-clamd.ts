/** What tests of this plugin use: a clamd that does as it is told, and the plugin opened as the host does it. For tests only. */
import { once } from 'node:events';
import { createServer, type AddressInfo, type Socket } from 'node:net';
import type { HookResult } from '@posthorn/sdk';
import { asLargeMessage, startPlugin, type TestClock, testMessage } from '@posthorn/sdk/testing';
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

export interface Scanner {
  readonly clock: TestClock;
  /** @returns what the hook says of a large message; undefined when it has nothing to say. @throws Error when it failed */
  ask(content: Uint8Array | string): Promise<HookResult | undefined>;
}

/** The plugin, opened with these options. */
export async function openPlugin(options: Readonly<Record<string, unknown>>): Promise<Scanner> {
  const started = await startPlugin(plugin, { options, dataDirectory: '/nonexistent' });
  return {
    clock: started.clock,
    ask: async (content) => (await started.run('message', asLargeMessage(testMessage(content))))[0],
  };
}
