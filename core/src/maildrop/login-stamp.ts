/**
 * When a maildrop was last logged in to, for LOGIN-DELAY (RFC 2449 §6.5): the time of an empty file beside its lock, so
 * that all threads and processes of the machine see the same. Read and written by whoever holds the lock, and only
 * where a delay is configured.
 */
import { closeSync, openSync, statSync, utimesSync } from 'node:fs';
import { join } from 'node:path';

/** The stamp's path for a maildrop; `name` is a valid user name. */
export function stampPath(lockDirectory: string, name: string): string {
  return join(lockDirectory, `${name}.login`);
}

/**
 * Has the delay since the last login not passed yet? A stamp of the future is one of a clock that was set back: it counts not.
 * @throws when the file system fails.
 */
export function isTooSoon(path: string, delayMs: number, nowMs: number): boolean {
  const lastMs = statSync(path, { throwIfNoEntry: false })?.mtimeMs;
  return lastMs !== undefined && lastMs <= nowMs && nowMs - lastMs < delayMs;
}

/** @throws when the file system fails. */
export function stampLogin(path: string, nowMs: number): void {
  closeSync(openSync(path, 'a', 0o600));
  utimesSync(path, nowMs / 1000, nowMs / 1000);
}
