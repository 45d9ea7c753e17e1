/**
 * One lock for each maildrop, across threads and processes of one machine. A lock is a symbolic link that points at
 * the text of its owner: made with its content in one step, so nobody ever reads half a lock (an O_EXCL file is empty
 * for a moment). Used by the opener; the locks of a dead process are taken over by whoever comes next, those of a dead
 * thread are cleared by its process (`clearThreadLocks`).
 *
 * Taking over must not race: between "this lock is stale" and removing it, another might have removed it and made
 * its own. So a stale lock is removed only under a guard, a lock named after the stale one's text, which is unlike any
 * other's: whoever holds the guard is the only one who may remove that very lock, and looks again before it does. The
 * guard of one who died holding it is a stale lock like any other.
 */
import { hash } from 'node:crypto';
import { readdirSync, readlinkSync, symlinkSync, unlinkSync } from 'node:fs';
import { join } from 'node:path';
import { isAbsent } from './absent.ts';
import { formatOwner, isAlive, parseOwner, type LockOwner } from './lock-owner.ts';

/** A lock that is held. */
export interface HeldLock {
  /** Safe to call twice. @throws when the file system fails. */
  release(): void;
}

const SUFFIX = '.lock';
/** Guards of guards: each level needs a process killed within microseconds. */
const MAX_DEPTH = 8;

let made = 0;

/** The lock's path for a maildrop; `name` is a valid user name. */
export function lockPath(lockDirectory: string, name: string): string {
  return join(lockDirectory, name + SUFFIX);
}

/**
 * Takes the lock, from a dead owner too.
 * @returns undefined when somebody who lives has it.
 * @throws when the file system fails (no folder, disk full, no permission).
 */
export function acquireLock(path: string, owner: LockOwner): HeldLock | undefined {
  return acquire(path, owner, MAX_DEPTH);
}

/**
 * Removes what a dead thread of this process held. To be called by the process when a thread is gone.
 * @param owner the dead thread, as `thisOwner(tag)`; a tag must never be used again in the same process.
 * @returns how many locks were removed.
 */
export function clearLocksOf(lockDirectory: string, owner: LockOwner, clearer: LockOwner): number {
  const beginning = formatOwner(owner, '');
  let cleared = 0;
  for (const name of readdirSync(lockDirectory)) {
    if (!name.endsWith(SUFFIX)) continue;
    const path = join(lockDirectory, name);
    const text = read(path);
    if (text?.startsWith(beginning) === true && removeStale(path, text, clearer)) cleared++;
  }
  return cleared;
}

function acquire(path: string, owner: LockOwner, depth: number): HeldLock | undefined {
  const text = formatOwner(owner, (++made).toString(36));
  // Each round either makes the lock, or finds a living owner, or sees one dead owner's lock go.
  for (let round = 0; round < MAX_DEPTH; round++) {
    if (make(path, text)) return held(path, text);
    const found = read(path);
    if (found === undefined) continue;
    const holder = parseOwner(found);
    // A link that Posthorn did not write is left to the operator.
    if (holder === undefined || isAlive(holder)) return undefined;
    if (depth === 0 || !removeStale(path, found, owner, depth)) return undefined;
  }
  return undefined;
}

/**
 * Removes this very lock of a dead owner, if it is still there.
 * @returns false when somebody else is at it.
 */
export function removeStale(path: string, staleText: string, owner: LockOwner, depth = MAX_DEPTH): boolean {
  const guard = acquire(`${path}.${hash('sha256', staleText).slice(0, 32)}`, owner, depth - 1);
  if (guard === undefined) return false;
  try {
    if (read(path) === staleText) unlinkSync(path);
    return true;
  } finally {
    guard.release();
  }
}

function held(path: string, text: string): HeldLock {
  let released = false;
  return {
    release() {
      if (released) return;
      released = true;
      // Somebody may have removed the folder or the lock by hand; another's lock is not ours to remove.
      if (read(path) === text) unlinkSync(path);
    },
  };
}

function make(path: string, text: string): boolean {
  try {
    symlinkSync(text, path);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false;
    throw error;
  }
}

function read(path: string): string | undefined {
  try {
    return readlinkSync(path);
  } catch (error) {
    if (isAbsent(error)) return undefined;
    throw error;
  }
}
