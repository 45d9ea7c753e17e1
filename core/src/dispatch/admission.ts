/**
 * Who may come in. Every session thread of a process listens for itself, so the counts live in shared memory: one
 * array for all threads. Asked once for each accepted connection; each refusal has a reason of its own.
 *
 * Connections per client address are counted in a count-min sketch of fixed size: memory does not grow with the number
 * of clients, a count is never too low, and two clients must fall together in both rows to be taken for one.
 */

/** Why a connection is not taken; the listener turns it into a 421 or an `-ERR`. */
export type Refusal = 'draining' | 'too-many' | 'too-many-from-client' | 'memory' | 'disk';

export interface AdmissionLimits {
  /** Connections at one time in this process. */
  readonly maxConnections: number;
  readonly maxConnectionsPerClient: number;
}

const ROWS = 2;
const COLUMNS = 1 << 14;
const TOTAL = 0;
const STATE = 1;
const FIRST_CELL = 2;
const CELLS = FIRST_CELL + ROWS * COLUMNS;

const DRAINING = 1;
const MEMORY_SHORT = 2;
const DISK_SHORT = 4;

/** One for each thread over the same shared memory. */
export interface Admission {
  /** @returns a refusal, or undefined when the connection was counted in; then `leave` must follow exactly once. */
  enter(clientAddress: string): Refusal | undefined;
  leave(clientAddress: string): void;
  readonly connections: number;
  readonly draining: boolean;
  /** Kept up to date by the main thread of the process. */
  setDraining(): void;
  setMemoryShort(short: boolean): void;
  setDiskShort(short: boolean): void;
  /**
   * Forgets connections of a thread that died without a word.
   * @param clientAddresses those it had, as far as they are known.
   */
  forget(clientAddresses: Iterable<string>): void;
}

/** Shared memory for `createAdmission`, to be handed to each thread. */
export function createAdmissionMemory(): SharedArrayBuffer {
  return new SharedArrayBuffer(CELLS * Int32Array.BYTES_PER_ELEMENT);
}

/** FNV-1a over the address; IPv6 clients count by /64, the smallest block a network hands out. */
function hash(address: string, seed: number): number {
  const end = address.includes(':') ? endOfPrefix64(address) : address.length;
  let value = (0x811c9dc5 ^ seed) >>> 0;
  for (let i = 0; i < end; i++) value = Math.imul(value ^ address.charCodeAt(i), 0x01000193);
  value ^= value >>> 15;
  return (value >>> 0) & (COLUMNS - 1);
}

/** Index behind the fourth group of an uncompressed prefix; a compressed one ends at its `::`. */
function endOfPrefix64(address: string): number {
  if (address.startsWith('::ffff:')) return address.length;
  let groups = 0;
  for (let i = 0; i < address.length; i++) {
    if (address.charCodeAt(i) !== 58) continue;
    if (++groups === 4 || address.charCodeAt(i + 1) === 58) return i;
  }
  return address.length;
}

/**
 * @param memory from `createAdmissionMemory`
 * @param limits of this process; the same in every thread
 */
export function createAdmission(memory: SharedArrayBuffer, limits: AdmissionLimits): Admission {
  const cells = new Int32Array(memory);
  const cellOf = (address: string, row: number) => FIRST_CELL + row * COLUMNS + hash(address, row * 0x9e3779b9);

  function uncount(address: string): void {
    for (let row = 0; row < ROWS; row++) Atomics.sub(cells, cellOf(address, row), 1);
    Atomics.sub(cells, TOTAL, 1);
  }
  function setFlag(flag: number, on: boolean): void {
    if (on) Atomics.or(cells, STATE, flag);
    else Atomics.and(cells, STATE, ~flag);
  }

  return {
    enter(clientAddress) {
      const state = Atomics.load(cells, STATE);
      if (state !== 0) {
        if ((state & DRAINING) !== 0) return 'draining';
        return (state & MEMORY_SHORT) !== 0 ? 'memory' : 'disk';
      }
      // Count first, look after: two threads may both be refused at the last place, never both let in.
      const total = Atomics.add(cells, TOTAL, 1) + 1;
      let fromClient = Number.MAX_SAFE_INTEGER;
      for (let row = 0; row < ROWS; row++)
        fromClient = Math.min(fromClient, Atomics.add(cells, cellOf(clientAddress, row), 1) + 1);
      if (total > limits.maxConnections || fromClient > limits.maxConnectionsPerClient) {
        uncount(clientAddress);
        return total > limits.maxConnections ? 'too-many' : 'too-many-from-client';
      }
      return undefined;
    },
    leave: uncount,
    get connections() {
      return Atomics.load(cells, TOTAL);
    },
    get draining() {
      return (Atomics.load(cells, STATE) & DRAINING) !== 0;
    },
    setDraining: () => setFlag(DRAINING, true),
    setMemoryShort: (short) => setFlag(MEMORY_SHORT, short),
    setDiskShort: (short) => setFlag(DISK_SHORT, short),
    forget(clientAddresses) {
      for (const address of clientAddresses) uncount(address);
    },
  };
}
