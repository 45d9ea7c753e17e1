/**
 * Every message between the supervisor, the server processes and the session threads, as closed unions named by
 * receiver. Fields are only added, unknown kinds are ignored, and every question carries a token.
 */
import type { MessagePort } from 'node:worker_threads';
import type { Config } from '@posthorn/config';
import type { User } from '@posthorn/core/directory/directory';
import type { TlsIdentity } from '@posthorn/core/dispatch/server-tls';

/** All that a server process works from; made by the supervisor from the YAML file, the users file and the certificate. */
export interface Settings {
  readonly config: Config;
  readonly users: readonly User[];
  readonly tls: TlsMaterial;
  readonly hostname: string;
}

/** What TLS is made from, read from files (supervisor/tls-files.ts). */
export interface TlsMaterial {
  /** The first is for clients that ask for no name. */
  readonly identities: readonly TlsIdentity[];
  /** By the name of a listener that has certificates or a CA of its own. */
  readonly listeners: Readonly<
    Record<
      string,
      {
        readonly identities: readonly TlsIdentity[] | undefined;
        readonly clientCa: string | undefined;
        readonly clientCrl: string | undefined;
      }
    >
  >;
  /** From which keys of session tickets are derived that other machines have, too. */
  readonly ticketSecret: Uint8Array | undefined;
}

/** Supervisor -> server process. */
export type ToServer =
  | {
      readonly to: 'server.start';
      readonly settings: Settings;
      readonly slot: number;
      readonly processes: number;
      /** Shards of slots that are not running any more, to be emptied by this one. */
      readonly spareSlots: readonly number[];
      readonly sessionThreads: number;
      readonly pluginThreads: number;
      readonly ticketKeys: Uint8Array;
    }
  /** Certificates or keys of session tickets have changed. */
  | { readonly to: 'server.tls'; readonly tls: TlsMaterial; readonly ticketKeys: Uint8Array }
  | { readonly to: 'server.reload'; readonly token: number; readonly settings: Settings }
  | { readonly to: 'server.shutdown' }
  | { readonly to: 'server.ask'; readonly token: number; readonly question: ServerQuestion };

/** What `posthorn queue` and `posthorn status` ask, answered by each server process for its shards. */
export type ServerQuestion =
  | { readonly ask: 'queue.list' }
  | { readonly ask: 'queue.show'; readonly id: string }
  | { readonly ask: 'queue.retry'; readonly id: string | undefined }
  | { readonly ask: 'queue.remove'; readonly id: string }
  | { readonly ask: 'status' };

/** Server process -> supervisor. */
export type ToMaster =
  | { readonly to: 'master.ready' }
  /** It cannot start and trying again will not help: a port in use, a locked queue, a bad plugin. */
  | { readonly to: 'master.failed'; readonly problem: string }
  | { readonly to: 'master.reloaded'; readonly token: number; readonly problem?: string }
  /** One part of an answer; `done` ends it. */
  | {
      readonly to: 'master.answer';
      readonly token: number;
      readonly part?: unknown;
      readonly done: boolean;
      readonly problem?: string;
    };

/** What a session thread is started with, beside its ports. */
export interface SessionThreadData {
  readonly settings: Settings;
  readonly slot: number;
  readonly processes: number;
  /** Which of the threads it is; a thread that replaces another has its place … */
  readonly place: number;
  /** … and a number of its own, never used again in the life of the process. */
  readonly threadIndex: number;
  readonly sessionThreads: number;
  readonly ticketKeys: Uint8Array;
  readonly admission: SharedArrayBuffer;
  /** Failed logins, counted by all session threads of a process (auth/ledger). */
  readonly loginLedger: SharedArrayBuffer;
  /** To be counted up while the loop turns, so that a stuck thread can be told. */
  readonly heart: Int32Array;
  /** The pool of plugin threads, see hook/pool.ts. */
  readonly equipment: MessagePort | undefined;
}

/** Main thread -> session thread. */
export type ToSessionThread =
  | {
      readonly to: 'thread.reload';
      readonly token: number;
      readonly settings: Settings;
      readonly equipment: MessagePort | undefined;
    }
  | { readonly to: 'thread.tls'; readonly tls: TlsMaterial; readonly ticketKeys: Uint8Array }
  | { readonly to: 'thread.drain' }
  /** Close what is left, now. */
  | { readonly to: 'thread.stop' }
  | { readonly to: 'thread.accepted'; readonly answers: readonly AcceptAnswer[] }
  | { readonly to: 'thread.count'; readonly token: number };

/** Session thread -> main thread. */
export type ToServerMain =
  | { readonly to: 'main.listening' }
  | { readonly to: 'main.failed'; readonly problem: string }
  | { readonly to: 'main.drained' }
  | { readonly to: 'main.slab'; readonly id: number; readonly memory: SharedArrayBuffer }
  | { readonly to: 'main.slab-gone'; readonly id: number }
  | { readonly to: 'main.accept'; readonly batch: readonly AcceptRequest[] }
  | { readonly to: 'main.reloaded'; readonly token: number; readonly problem?: string }
  | { readonly to: 'main.count'; readonly token: number; readonly counts: Record<string, number>; readonly heldBytes: number };

/** A message to be made durable. Only numbers and short texts cross: the bytes stay where they are. */
export interface AcceptRequest {
  readonly token: number;
  readonly id: string;
  /** JSON of the envelope. */
  readonly envelope: string;
  /** What the envelope says of its turn (RFC 6710, RFC 4865, RFC 2852). */
  readonly priority: number | undefined;
  readonly holdUntilMs: number | undefined;
  readonly deliverByMs: number | undefined;
  /** Header lines in front, one character for a byte (latin1). */
  readonly prepend: string;
  readonly slab: number;
  /** Kept ranges of the received bytes in that slab: offset, length, offset, length … */
  readonly ranges: readonly number[];
  /** What follows from a spool file, for a message too large for memory. */
  readonly file: { readonly path: string; readonly from: number; readonly to: number } | undefined;
}

export interface AcceptAnswer {
  readonly token: number;
  /** Absent: on disk. */
  readonly refused?: { readonly why: 'full' | 'failed'; readonly cause: string };
}
