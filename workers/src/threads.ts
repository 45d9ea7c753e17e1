/** What `auto` means for the knobs of `throughput`: worked out once by the supervisor, so that all processes agree. */
import { availableParallelism } from 'node:os';
import type { Config } from '@posthorn/config';

export interface Sizes {
  readonly processes: number;
  readonly sessionThreads: number;
  readonly pluginThreads: number;
  /** libuv's threads for files, password hashes and names, for each process. */
  readonly fileThreads: number;
}

/** One process has one queue owner, which is busy at about eight cores of sessions. */
const CORES_FOR_EACH_PROCESS = 8;

export function sizesOf(throughput: Config['throughput'], cores = availableParallelism()): Sizes {
  const processes =
    throughput.processes === 'auto' ? Math.max(1, Math.round(cores / CORES_FOR_EACH_PROCESS)) : throughput.processes;
  const share = Math.max(1, Math.floor(cores / processes));
  const sessionThreads = throughput.sessionThreads === 'auto' ? Math.max(1, share - 1) : throughput.sessionThreads;
  return {
    processes,
    sessionThreads,
    pluginThreads: throughput.pluginThreads === 'auto' ? Math.max(1, Math.ceil(share / 2)) : throughput.pluginThreads,
    // Each session thread computes two password hashes at once: however many log in, files have threads left.
    fileThreads: 4 + 2 * Math.max(share, sessionThreads),
  };
}

/** The share of a limit that one of `parts` may use; together they may pass it by rounding, never by more. */
export function shareOf(limit: number, parts: number): number {
  return Math.max(1, Math.ceil(limit / parts));
}

/**
 * The configuration as the delivery of one process takes it: its share of what may be delivered at once.
 * @param processes how many there are
 */
export function deliveryShare(config: Config, processes: number): Config {
  const { deliveryConcurrency, deliveryConcurrencyPerDestination } = config.throughput;
  return {
    ...config,
    throughput: {
      ...config.throughput,
      // 0 holds the queue, in every process.
      deliveryConcurrency: deliveryConcurrency === 0 ? 0 : shareOf(deliveryConcurrency, processes),
      deliveryConcurrencyPerDestination: shareOf(deliveryConcurrencyPerDestination, processes),
    },
  };
}
