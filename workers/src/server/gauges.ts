/**
 * Watches what admission must know and no session can see: free disk behind the queue, memory of the process. Looks
 * about once a second, in the main thread of a server process.
 */
import { freemem } from 'node:os';
import type { AdmissionControl } from '@posthorn/core/dispatch/admission';
import type { Log } from '@posthorn/core/observe/log';
import type { Queue } from '@posthorn/core/queue/queue';

export interface GaugeOptions {
  readonly queue: Pick<Queue, 'freeBytes'>;
  readonly admission: AdmissionControl;
  /** Below this much free disk new connections and new mail are put off. */
  readonly minFreeBytes: number;
  readonly log: Log;
}

const LOOK_MS = 1_000;
/** The machine itself is about to swap or kill: no new connections. */
const MIN_FREE_MEMORY_BYTES = 64 * 1024 * 1024;

/** @returns what stops it. */
export function startGauges(options: GaugeOptions): () => void {
  const { queue, admission, minFreeBytes, log } = options;
  const was = { disk: false, memory: false };

  function note(what: 'disk' | 'memory', short: boolean, freeBytes: number): void {
    if (short === was[what]) return;
    was[what] = short;
    if (what === 'disk') admission.setDiskShort(short);
    else admission.setMemoryShort(short);
    // What is told is so by then.
    log.warn(short ? `${what}-short` : `${what}-enough-again`, { freeBytes });
  }

  async function look(): Promise<void> {
    const freeMemory = freemem();
    note('memory', freeMemory < MIN_FREE_MEMORY_BYTES, freeMemory);
    try {
      const freeDisk = await queue.freeBytes();
      note('disk', freeDisk < minFreeBytes, freeDisk);
    } catch (error) {
      log.warn('disk-unknown', { cause: error instanceof Error ? error.message : String(error) });
    }
  }

  const timer = setInterval(() => void look(), LOOK_MS);
  timer.unref();
  void look();
  return () => clearInterval(timer);
}
