/** The log of a server under test as it comes: waits for an event instead of sleeping. */

export interface LogLine {
  readonly event: string;
  readonly [field: string]: unknown;
}

const DEADLINE_MS = 20_000;

export class ServerLog {
  readonly lines: LogLine[] = [];
  readonly #watchers = new Set<(line: LogLine) => void>();

  /** For `onLog` of `startPosthorn`. */
  readonly read = (text: string): void => {
    if (!text.startsWith('{')) return;
    const { msg, ...fields } = JSON.parse(text) as Record<string, unknown>;
    const line: LogLine = { event: String(msg), ...fields };
    this.lines.push(line);
    for (const watch of this.#watchers) watch(line);
  };

  /** Resolves with the next line of this event that comes from now on. @throws Error when none comes within 20 s. */
  next(event: string, fits: (line: LogLine) => boolean = () => true): Promise<LogLine> {
    return new Promise((resolve, reject) => {
      const watch = (line: LogLine) => {
        if (line.event !== event || !fits(line)) return;
        this.#watchers.delete(watch);
        clearTimeout(deadline);
        resolve(line);
      };
      const deadline = setTimeout(() => {
        this.#watchers.delete(watch);
        reject(new Error(`no ${event} in the log; last: ${JSON.stringify(this.lines.slice(-5))}`));
      }, DEADLINE_MS);
      this.#watchers.add(watch);
    });
  }

  /** Resolves when the lines so far fulfil something. @throws Error when they do not within `timeoutMs` */
  until(fulfilled: () => boolean, timeoutMs = DEADLINE_MS): Promise<void> {
    if (fulfilled()) return Promise.resolve();
    return new Promise((resolve, reject) => {
      const watch = () => {
        if (!fulfilled()) return;
        this.#watchers.delete(watch);
        clearTimeout(deadline);
        resolve();
      };
      const deadline = setTimeout(() => {
        this.#watchers.delete(watch);
        reject(new Error(`not in the log after ${timeoutMs} ms; last: ${JSON.stringify(this.lines.slice(-5))}`));
      }, timeoutMs);
      this.#watchers.add(watch);
    });
  }

  all(event: string): LogLine[] {
    return this.lines.filter((line) => line.event === event);
  }
}
