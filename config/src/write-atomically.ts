/**
 * One way to write a small file that matters (users, certificate, first configuration): synced, then renamed into place.
 */
import { closeSync, fchownSync, fstatSync, fsyncSync, openSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';

/**
 * Writes a file so that after a crash either the old or the new one is there, whole; only its owner may read it (0600).
 * @throws Error with a text for the operator and the system's error as its cause; the old file is untouched then
 */
export function writeAtomically(file: string, text: string): void {
  const beside = join(dirname(file), `.${process.pid}.${Date.now().toString(36)}.tmp`);
  try {
    const descriptor = openSync(beside, 'wx', 0o600);
    try {
      keepOwner(descriptor, file);
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

/** Root may change what belongs to the server's own user, who has to be able to read it afterwards. */
function keepOwner(descriptor: number, file: string): void {
  const before = statSync(file, { throwIfNoEntry: false });
  if (before !== undefined && before.uid !== fstatSync(descriptor).uid) fchownSync(descriptor, before.uid, before.gid);
}

/** @returns what the operator is told: the file, and why in the system's words. */
export function notWritten(file: string, error: unknown): Error {
  const reason = error instanceof Error ? error.message.replace(/, \w+ '.*$/s, '') : String(error);
  return new Error(`${file}: cannot be written: ${reason}`, { cause: error });
}
