/**
 * Keeps commands that change the same file from losing each other's change: read, change and write is one step. Used for
 * the file of users. The lock is a symbolic link to the number of the process that has it, made in one step; it is held
 * for milliseconds. One that a killed process left is taken away.
 */
import { readlinkSync, rmSync, symlinkSync } from 'node:fs';
import { notWritten } from './write-atomically.ts';

const WAIT_MS = 10_000;
const LOOK_EACH_MS = 10;

/**
 * Runs `change` while nobody else changes the file.
 * @returns what it returns
 * @throws Error with a text for the operator when somebody else has the file for too long, or no lock can be made;
 *   what `change` throws
 */
export function whileLocked<T>(file: string, change: () => T): T {
  const lock = `${file}.lock`;
  const untilMs = performance.now() + WAIT_MS;
  while (!take(lock, file)) {
    const holder = holderOf(lock);
    if (holder !== undefined && !lives(holder)) rmSync(lock, { force: true });
    else if (performance.now() > untilMs) throw new Error(`${file}: process ${holder ?? '?'} is changing it (${lock})`);
    else Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, LOOK_EACH_MS);
  }
  try {
    return change();
  } finally {
    rmSync(lock, { force: true });
  }
}

function take(lock: string, file: string): boolean {
  try {
    symlinkSync(String(process.pid), lock);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false;
    throw notWritten(file, error);
  }
}

/** The process that has the lock; undefined when it was given up meanwhile. */
function holderOf(lock: string): string | undefined {
  try {
    return readlinkSync(lock);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}

function lives(holder: string): boolean {
  if (!/^[1-9]\d{0,9}$/.test(holder)) return true;
  try {
    process.kill(Number(holder), 0);
    return true;
  } catch (error) {
    // EPERM: it lives, under another user.
    return (error as NodeJS.ErrnoException).code !== 'ESRCH';
  }
}
