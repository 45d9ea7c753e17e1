/**
 * One way to write a small file that matters (users, certificate, first configuration): synced, then renamed into place.
 */
import {
  closeSync,
  fchmodSync,
  fchownSync,
  fstatSync,
  fsyncSync,
  openSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
  type Stats,
} from 'node:fs';
import { dirname, join } from 'node:path';

/**
 * Writes a file so that after a crash either the old or the new one is there, whole. A new one only its owner may
 * read (0600); one that was there keeps owner, group and mode.
 * @throws Error with a text for the operator and the system's error as its cause; the old file is untouched then
 */
export function writeAtomically(file: string, text: string): void {
  const beside = join(dirname(file), `.${process.pid}.${Date.now().toString(36)}.tmp`);
  try {
    const descriptor = openSync(beside, 'wx', 0o600);
    try {
      keepAccess(descriptor, file);
      writeFileSync(descriptor, text);
      fsyncSync(descriptor);
    } finally {
      closeSync(descriptor);
    }
    renameSync(beside, file);
  } catch (error) {
    rmSync(beside, { force: true });
    throw notWritten(file, error);
  }
  const folder = openSync(dirname(file), 'r');
  try {
    fsyncSync(folder);
  } finally {
    closeSync(folder);
  }
}

/**
 * Who could read the file, by owner or by group, can read it afterwards, and nobody else: the server's user may be another
 * than the one who changes it. Still empty, and closed to all others, until it belongs to whom it should.
 */
function keepAccess(descriptor: number, file: string): void {
  const before = statSync(file, { throwIfNoEntry: false });
  if (before === undefined) return;
  const now = fstatSync(descriptor);
  const isKept = (before.uid === now.uid && before.gid === now.gid) || giveTo(descriptor, before, now);
  // A group that is not the one it had gets no access by it.
  fchmodSync(descriptor, before.mode & (isKept ? 0o777 : 0o707));
}

/** @returns false where only the group could not be kept: the file's owner need not be in it. @throws the system's error */
function giveTo(descriptor: number, before: Stats, now: Stats): boolean {
  try {
    fchownSync(descriptor, before.uid, before.gid);
    return true;
  } catch (error) {
    if (before.uid !== now.uid || (error as NodeJS.ErrnoException).code !== 'EPERM') throw error;
    return false;
  }
}

/** @returns what the operator is told: the file, and why in the system's words. */
export function notWritten(file: string, error: unknown): Error {
  const reason = error instanceof Error ? error.message.replace(/, \w+ '.*$/s, '') : String(error);
  return new Error(`${file}: cannot be written: ${reason}`, { cause: error });
}
