/**
 * How the command line talks to a running server: one JSON line with a request over a UNIX socket under the data
 * folder, JSON lines back. Types, and the path of the socket; server.ts listens, client.ts asks.
 * The unions are closed; fields are only added, and a server answers what it does not know with a problem.
 */
import { closeSync, openSync } from 'node:fs';
import { join } from 'node:path';
import type { QueueListed, Removal } from '@posthorn/core/queue/queue';
import type { ServerStatus } from '../server/questions.ts';

export const CONTROL_VERSION = 1;

/** What can be asked. */
export type ControlRequest =
  | { readonly ask: 'queue.list' }
  | { readonly ask: 'queue.show'; readonly id: string }
  /** Without an id: everything that waits. */
  | { readonly ask: 'queue.retry'; readonly id?: string }
  | { readonly ask: 'queue.remove'; readonly id: string }
  /** Reads configuration and users again, as SIGHUP does. */
  | { readonly ask: 'reload' }
  | { readonly ask: 'status' };

/** What one part of the answer is: each server process gives its own parts. */
export interface ControlParts {
  'queue.list': QueueListed;
  'queue.show': QueueListed;
  /** How many became due. */
  'queue.retry': number;
  /** No part when there was no such message. */
  'queue.remove': Removal;
  /** A key that changed and counts only after a restart. */
  reload: string;
  status: ServerStatus;
}

/** A line of the answer. The last one says `done`, with a problem when it did not work. */
export type ControlLine =
  | { readonly part: unknown; readonly done?: undefined }
  | { readonly done: true; readonly problem?: string };

/** Longest request line. */
export const MAX_REQUEST_BYTES = 64 * 1024;

/** @returns the request, or undefined when the text is none. */
export function readRequest(line: string): ControlRequest | undefined {
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch {
    // Not JSON is the same answer as JSON of another shape.
    return undefined;
  }
  if (typeof value !== 'object' || value === null || !('ask' in value)) return undefined;
  const id = 'id' in value && typeof value.id === 'string' && value.id !== '' ? value.id : undefined;
  switch (value.ask) {
    case 'queue.list':
    case 'reload':
    case 'status':
      return { ask: value.ask };
    case 'queue.show':
    case 'queue.remove':
      return id === undefined ? undefined : { ask: value.ask, id };
    case 'queue.retry':
      return id === undefined ? { ask: value.ask } : { ask: value.ask, id };
    default:
      return undefined;
  }
}

/** A path that fits the 108 bytes of a UNIX socket's address, and what must be closed once the socket is. */
export interface SocketPath {
  readonly path: string;
  release(): void;
}

/**
 * Path of the control socket of a data folder. A long one is reached through the folder's descriptor.
 * @throws the system's error when the folder is not there
 */
export function controlSocketPath(directory: string): SocketPath {
  const path = join(directory, 'control.sock');
  if (Buffer.byteLength(path) <= 100) return { path, release: () => undefined };
  const descriptor = openSync(directory, 'r');
  return { path: `/proc/self/fd/${descriptor}/control.sock`, release: () => closeSync(descriptor) };
}
