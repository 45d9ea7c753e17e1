/**
 * Listens on the control socket for the supervisor. One request a connection, answered part by part at the speed of the
 * reader; whoever can open the socket may do all of it, so only the owner can (0600). A client that breaks off ends its
 * own question and nothing else; a second server on the same data folder is told so.
 */
import { chmodSync, mkdirSync, rmSync } from 'node:fs';
import { createConnection, createServer, type Server, type Socket } from 'node:net';
import { once } from 'node:events';
import type { Log } from '@posthorn/core/observe/log';
import { controlSocketPath, type ControlLine, type ControlRequest, MAX_REQUEST_BYTES, readRequest } from './protocol.ts';

export interface ControlServerOptions {
  /** The data folder; made when it is not there. */
  readonly directory: string;
  /** Parts of the answer. What it throws is told to the client by its message. */
  readonly handle: (request: ControlRequest) => AsyncIterable<unknown>;
  readonly log: Log;
  /** How long a client may take to ask, or to read its answer. */
  readonly idleMs?: number;
}

export interface ControlServer {
  /** Ends what is under way and removes the socket. */
  close(): Promise<void>;
}

const MAX_CLIENTS = 16;
const IDLE_MS = 30_000;

/**
 * Starts listening.
 * @throws Error when another server answers on this data folder; the system's error when the socket cannot be made
 */
export async function createControlServer(options: ControlServerOptions): Promise<ControlServer> {
  mkdirSync(options.directory, { recursive: true, mode: 0o700 });
  const place = controlSocketPath(options.directory);
  const clients = new Set<Socket>();
  const server = createServer((socket) => {
    clients.add(socket);
    socket.once('close', () => clients.delete(socket));
    void serve(socket, options);
  });
  server.maxConnections = MAX_CLIENTS;
  try {
    if (await answers(place.path)) throw new Error(`another server is running on ${options.directory}`);
    // Left behind by a server that was killed.
    rmSync(place.path, { force: true });
    await listen(server, place.path);
  } catch (error) {
    place.release();
    throw error;
  }
  server.on('error', (error) => options.log.error('control-failed', { cause: error.message }));
  return {
    async close() {
      const closed = once(server, 'close');
      server.close();
      for (const client of clients) client.destroy();
      await closed;
      place.release();
    },
  };
}

/** Readable for the owner only from its first moment: the mask holds while the socket is bound, which happens at once. */
async function listen(server: Server, path: string): Promise<void> {
  const mask = process.umask(0o177);
  try {
    server.listen(path);
  } finally {
    process.umask(mask);
  }
  await once(server, 'listening');
  chmodSync(path, 0o600);
}

/** Whether somebody listens there. */
function answers(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const probe = createConnection(path);
    probe.once('connect', () => {
      probe.destroy();
      resolve(true);
    });
    // No socket, or one that nobody listens on; anything else shows again when we bind.
    probe.once('error', () => resolve(false));
  });
}

async function serve(socket: Socket, options: ControlServerOptions): Promise<void> {
  socket.setTimeout(options.idleMs ?? IDLE_MS, () => socket.destroy());
  socket.on('error', (error) => options.log.debug('control-client-broken', { cause: error.message }));
  try {
    const line = await readLine(socket);
    if (line === undefined) return;
    // The answer may take its time; the client's silence is its waiting.
    socket.setTimeout(0);
    const request = readRequest(line);
    if (request === undefined) {
      await write(socket, { done: true, problem: 'this server does not know that request' });
      return;
    }
    options.log.debug('control-request', { ...request });
    for await (const part of options.handle(request)) {
      if (!(await write(socket, { part }))) return;
    }
    await write(socket, { done: true });
  } catch (error) {
    const problem = error instanceof Error ? error.message : String(error);
    options.log.warn('control-request-failed', { problem });
    await write(socket, { done: true, problem });
  } finally {
    socket.end();
  }
}

/** @returns the first line, or undefined when the client left or says too much. */
function readLine(socket: Socket): Promise<string | undefined> {
  return new Promise((resolve) => {
    let text = '';
    socket.setEncoding('utf8');
    socket.on('data', (chunk: string) => {
      text += chunk;
      const end = text.indexOf('\n');
      if (end >= 0) resolve(text.slice(0, end));
      else if (text.length > MAX_REQUEST_BYTES) socket.destroy();
      if (end >= 0) socket.removeAllListeners('data').resume();
    });
    socket.once('close', () => resolve(undefined));
  });
}

/** Waits while the reader is behind. @returns false when it is gone */
async function write(socket: Socket, line: ControlLine): Promise<boolean> {
  if (socket.destroyed) return false;
  if (!socket.write(`${JSON.stringify(line)}\n`)) {
    await new Promise<void>((resolve) => {
      const go = () => {
        socket.off('drain', go);
        socket.off('close', go);
        resolve();
      };
      socket.once('drain', go);
      socket.once('close', go);
    });
  }
  return !socket.destroyed;
}
