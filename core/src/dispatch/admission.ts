/**
 * Who may come in. Every session thread of a process listens for itself, so the counts live in shared memory: a section
 * for each thread, which that thread alone writes and all read. A thread that dies without a word is forgotten by
 * clearing its section. Asked once for each accepted connection; each refusal has a reason of its own.
 *
 * Connections per client address are counted in a count-min sketch of fixed size: memory does not grow with the number
 * of clients, a count is never too low, and two clients must fall together in both rows to be taken for one. IPv6 clients
 * count by /64, the smallest block a network hands out.
 */
import { clientNetwork } from '../wire/client-network.ts';

/** Why a connection is not taken; the listener turns it into a 421 or an `-ERR`. */
export type Refusal = 'draining' | 'too-many' | 'too-many-from-client' | 'memory' | 'disk';

export interface AdmissionLimits {
  /** Connections at one time in this process. */
  readonly maxConnections: number;
  readonly maxConnectionsPerClient: number;
}

const ROWS = 2;
const COLUMNS = 1 << 13;
/** First cell of the memory: flags for all. Then the sections: connections of the thread, then its sketch. */
const FLAGS = 0;
const SECTION = 1 + ROWS * COLUMNS;

const DRAINING = 1;
const MEMORY_SHORT = 2;
const DISK_SHORT = 4;

/** The door of one thread. */
export interface Admission {
  /**
   * @param bringsMail false for POP3, which a short disk must not keep from being emptied
   * @returns a refusal, or undefined when the connection was counted in; then `leave` must follow exactly once.
   */
  enter(clientAddress: string, bringsMail: boolean): Refusal | undefined;
  leave(clientAddress: string): void;
  /** No new message can be kept now: sessions under way answer 452 4.3.1 before they take one. */
  readonly diskShort: boolean;
}

/** The main thread's side: what no session thread knows by itself. */
export interface AdmissionControl {
  /** For `createAdmission` in each thread. */
  readonly memory: SharedArrayBuffer;
  /** Of all threads. */
  connections(): number;
  setDraining(): void;
  setMemoryShort(short: boolean): void;
  setDiskShort(short: boolean): void;
  /** The thread in this place is gone, and its connections with it. */
  forgetThread(place: number): void;
}

/** @param threads how many places there are for session threads */
export function createAdmissionControl(threads: number): AdmissionControl {
  const memory = new SharedArrayBuffer((1 + threads * SECTION) * Int32Array.BYTES_PER_ELEMENT);
  const cells = new Int32Array(memory);
  function setFlag(flag: number, on: boolean): void {
    if (on) Atomics.or(cells, FLAGS, flag);
    else Atomics.and(cells, FLAGS, ~flag);
  }
  return {
    memory,
    connections: () => sum(cells, 0),
    setDraining: () => setFlag(DRAINING, true),
    setMemoryShort: (short) => setFlag(MEMORY_SHORT, short),
    setDiskShort: (short) => setFlag(DISK_SHORT, short),
    forgetThread: (place) => void cells.fill(0, 1 + place * SECTION, 1 + (place + 1) * SECTION),
  };
}

/** The same cell of every section, summed. */
function sum(cells: Int32Array, offset: number): number {
  let total = 0;
  for (let at = 1 + offset; at < cells.length; at += SECTION) total += Atomics.load(cells, at);
  return total;
}

/** FNV-1a over a text. */
function hash(text: string, seed: number): number {
  let value = (0x811c9dc5 ^ seed) >>> 0;
  for (let i = 0; i < text.length; i++) value = Math.imul(value ^ text.charCodeAt(i), 0x01000193);
  value ^= value >>> 15;
  return (value >>> 0) & (COLUMNS - 1);
}

/**
 * @param memory of the control
 * @param limits of this process; the same in every thread
 * @param place of this thread, from 0
 */
export function createAdmission(memory: SharedArrayBuffer, limits: AdmissionLimits, place: number): Admission {
  const cells = new Int32Array(memory);
  const own = 1 + place * SECTION;

  function count(client: string, by: number): void {
    Atomics.add(cells, own, by);
    for (let row = 0; row < ROWS; row++) Atomics.add(cells, own + 1 + row * COLUMNS + hash(client, row * 0x9e3779b9), by);
  }

  function fromClient(client: string): number {
    let least = Number.MAX_SAFE_INTEGER;
    for (let row = 0; row < ROWS; row++) least = Math.min(least, sum(cells, 1 + row * COLUMNS + hash(client, row * 0x9e3779b9)));
    return least;
  }

  return {
    enter(clientAddress, bringsMail) {
      const flags = Atomics.load(cells, FLAGS);
      if (flags !== 0) {
        if ((flags & DRAINING) !== 0) return 'draining';
        if ((flags & MEMORY_SHORT) !== 0) return 'memory';
        if (bringsMail) return 'disk';
      }
      // Count first, look after: two threads may both be refused the last place, never both be given it.
      const client = clientNetwork(clientAddress);
      count(client, 1);
      const refusal =
        sum(cells, 0) > limits.maxConnections
          ? 'too-many'
          : fromClient(client) > limits.maxConnectionsPerClient
            ? 'too-many-from-client'
            : undefined;
      if (refusal !== undefined) count(client, -1);
      return refusal;
    },
    leave: (clientAddress) => count(clientNetwork(clientAddress), -1),
    get diskShort() {
      return (Atomics.load(cells, FLAGS) & DISK_SHORT) !== 0;
    },
  };
}
