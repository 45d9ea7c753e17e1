/**
 * Watches plugin threads from the main thread, which no plugin can block: whose loop does not turn any more, and who
 * takes memory that the heap limit does not count. Looks at a few shared words at each tick; asks engines for their
 * memory only when the process has grown.
 */
import type { Clock } from '@posthorn/core/mail/clock';
import type { Log } from '@posthorn/core/observe/log';
import type { PluginThread } from './pool-thread.ts';

const TICK_MS = 25;
/** Growth of the process since the last look that makes it worth asking every thread. */
const GROWTH_BYTES = 64 * 1024 * 1024;

export interface HookWatchParts {
  readonly threads: ReadonlySet<PluginThread>;
  readonly clock: Clock;
  readonly log: Log;
  readonly externalLimitBytes: number;
  /** Called once for a thread whose loop does not turn while it has work. */
  readonly onStuck: (thread: PluginThread) => void;
}

interface Seen {
  beats: number;
  sinceMs: number;
  told: boolean;
}

export class HookWatch {
  readonly #parts: HookWatchParts;
  readonly #seen = new WeakMap<PluginThread, Seen>();
  #rssBytes = 0;
  #asking = false;
  #cancel: (() => void) | undefined;

  constructor(parts: HookWatchParts) {
    this.#parts = parts;
  }

  start(): void {
    this.#rssBytes = process.memoryUsage.rss();
    this.#tick();
  }

  stop(): void {
    this.#cancel?.();
    this.#cancel = undefined;
  }

  #tick(): void {
    this.#cancel = this.#parts.clock.after(TICK_MS, () => {
      this.#tick();
      const now = this.#parts.clock.monotonic();
      for (const thread of this.#parts.threads) this.#look(thread, now);
      this.#lookAtMemory();
    });
  }

  #look(thread: PluginThread, now: number): void {
    const { beats, busy } = thread.control;
    const seen = this.#seen.get(thread);
    if (seen === undefined || seen.beats !== beats || busy === 0) {
      this.#seen.set(thread, { beats, sinceMs: now, told: false });
    } else if (!seen.told && now - seen.sinceMs > thread.stuckMs) {
      seen.told = true;
      this.#parts.onStuck(thread);
    } else if (seen.told && now - seen.sinceMs > thread.deadlineMs + thread.stuckMs) {
      // The session that would say so is gone.
      thread.end('it was stuck past every deadline');
    }
  }

  #lookAtMemory(): void {
    const rssBytes = process.memoryUsage.rss();
    this.#rssBytes = Math.min(this.#rssBytes, rssBytes);
    if (this.#asking || rssBytes - this.#rssBytes < GROWTH_BYTES) return;
    this.#asking = true;
    void Promise.all([...this.#parts.threads].map((thread) => this.#limit(thread))).then(() => {
      this.#asking = false;
      this.#rssBytes = process.memoryUsage.rss();
    });
  }

  async #limit(thread: PluginThread): Promise<void> {
    try {
      const bytes = await thread.externalBytes();
      if (bytes > this.#parts.externalLimitBytes) thread.end(`it held ${bytes} bytes outside of its heap`);
    } catch (error) {
      // A thread that ends just now cannot be asked; its end is told elsewhere.
      this.#parts.log.debug('plugin-thread.not-asked', { pluginThread: thread.id, cause: String(error) });
    }
  }
}
