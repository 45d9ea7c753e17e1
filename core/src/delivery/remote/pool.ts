/**
 * All connections to other servers: a destination for each next hop, and the limit over them. Asked by delivery/loop.
 * When the limit is reached, an unused connection of another destination is closed for the one that waits; when there is
 * none, destinations get the next free ones in the order they asked.
 */
import type { Result } from '../reply.ts';
import type { RemoteHop } from '../route.ts';
import { type ClientTimeouts, type Connection, defaultTimeouts } from './connection.ts';
import { Destination, type DestinationHost, type DestinationOptions } from './destination.ts';
import type { Job } from './job.ts';
import type { MxPorts } from './mx.ts';
import type { OpenerPorts } from './opening.ts';
import { TlsSessions } from './tls-sessions.ts';

export interface PoolOptions {
  /** Our name in EHLO. */
  readonly hostname: string;
  /** Connections in all, at least 1. */
  readonly concurrency: number;
  readonly perDestination: number;
  readonly convertsSealed?: boolean;
  readonly messagesPerConnection?: number;
  readonly downMs?: number;
  readonly avoidMs?: number;
  readonly timeouts?: Partial<ClientTimeouts>;
}

/** Connections that pools before this one hold still: they count as its own. */
export interface Held {
  inAll(): number;
  /** @param key of the hop */
  to(key: string): number;
}

export type PoolPorts = Omit<MxPorts, 'hostname'> &
  Pick<OpenerPorts, 'clock' | 'sts' | 'log'> & {
    /** None when absent. */
    readonly held?: Held;
    /** A place has become free. */
    readonly freed?: () => void;
  };

export interface Pool {
  /** Sends a message when its turn comes; the job hears what became of it. */
  submit(hop: RemoteHop, job: Job): void;
  /** Ends a job with this result for everybody if it waits for a connection still. */
  withdraw(job: Job, result: Result): void;
  /** Gives back what waits of a message, also behind another one on its connection. */
  takeBack(id: string): void;
  /** True when this hop was shed lately and has enough waiting: what is for it should come later. */
  isCongested(hop: RemoteHop): boolean;
  /** Gives back most of what waits for the destination that has most waiting, which is slow; it takes little for a while. */
  shed(forMs: number): void;
  sizes(): { readonly destinations: number; readonly connections: number; readonly idle: number };
  /** Places that a hop takes. */
  connectionsTo(key: string): number;
  /** Something of what is held elsewhere is free. */
  pump(): void;
  /** Takes nothing more: jobs not begun are given back untried, running ones finish. */
  drain(): void;
  /** Ends everything now. */
  abort(): void;
}

/** Connections that may wait for the answer to QUIT and hold no place, or as many as there are places: each has a socket still. */
const MOST_LEAVING = 20;

export function createPool(options: PoolOptions, ports: PoolPorts): Pool {
  const destinations = new Map<string, Destination>();
  /** In order of asking. */
  const waiting = new Set<Destination>();
  /** Longest unused first. */
  const idle = new Set<Connection>();
  let open = 0;
  let leaving = 0;
  let draining = false;

  const hasPlace = (): boolean => open + (ports.held?.inAll() ?? 0) < options.concurrency;

  const settings: DestinationOptions = {
    hostname: options.hostname,
    timeouts: { ...defaultTimeouts, ...options.timeouts },
    connections: options.perDestination,
    convertsSealed: options.convertsSealed ?? false,
    messagesPerConnection: options.messagesPerConnection ?? 500,
    downMs: options.downMs ?? 60_000,
    avoidMs: options.avoidMs ?? 600_000,
  };

  const host: DestinationHost = {
    clock: ports.clock,
    sts: ports.sts,
    sessions: new TlsSessions(ports.clock),
    log: ports.log,
    mx: { dns: ports.dns, isSelf: ports.isSelf, random: ports.random, hostname: options.hostname },
    options: settings,
    acquire(destination) {
      if (draining) return false;
      if (hasPlace()) {
        open++;
        return true;
      }
      waiting.add(destination);
      const oldest = idle.values().next();
      if (oldest.done !== true) {
        idle.delete(oldest.value);
        // That calls `release`, which wakes the one that waits.
        oldest.value.quit();
      }
      return false;
    },
    release() {
      open--;
      // One that no longer needs a connection leaves the place to the next.
      for (const next of waiting) {
        if (!hasPlace()) break;
        waiting.delete(next);
        next.pump();
      }
      ports.freed?.();
    },
    heldOf: (destination) => ports.held?.to(destination.hop.key) ?? 0,
    leaves() {
      if (leaving >= Math.max(MOST_LEAVING, options.concurrency)) return false;
      leaving++;
      return true;
    },
    left: () => void leaving--,
    setIdle(connection, isIdle) {
      if (!isIdle) idle.delete(connection);
      else if (waiting.size > 0) connection.quit();
      else idle.add(connection);
    },
    submit: (hop, job) => submit(hop, job),
    othersWait: () => waiting.size > 0,
    empty(destination) {
      waiting.delete(destination);
      if (destinations.get(destination.hop.key) === destination) destinations.delete(destination.hop.key);
    },
  };

  function submit(hop: RemoteHop, job: Job): void {
    let destination = destinations.get(hop.key);
    if (destination === undefined) {
      destination = new Destination(hop, host);
      if (draining) destination.drain();
      else destinations.set(hop.key, destination);
    }
    destination.submit(job);
  }

  return {
    submit,
    withdraw(job, result) {
      for (const destination of destinations.values()) destination.withdraw(job, result);
    },
    takeBack(id) {
      for (const destination of destinations.values()) destination.takeBack(id);
    },
    isCongested: (hop) => destinations.get(hop.key)?.isCongested ?? false,
    shed(forMs) {
      let largest: Destination | undefined;
      for (const one of destinations.values()) if (one.waiting > (largest?.waiting ?? 0)) largest = one;
      largest?.shed(forMs);
    },
    connectionsTo: (key) => destinations.get(key)?.connections ?? 0,
    pump() {
      // Those that asked first go first, and ask again where it is not enough.
      const inOrder = new Set([...waiting, ...destinations.values()]);
      waiting.clear();
      for (const destination of inOrder) destination.pump();
    },
    sizes: () => ({ destinations: destinations.size, connections: open, idle: idle.size }),
    drain() {
      draining = true;
      for (const destination of destinations.values()) destination.drain();
    },
    abort() {
      draining = true;
      for (const destination of destinations.values()) destination.abort('451 4.3.2 this server is going down');
    },
  };
}
