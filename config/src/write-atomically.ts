/**
 * One way to write a small file that matters (users, certificate, first configuration): synced, then renamed into place.
 */
import { closeSync, fsyncSync, openSync, renameSync, rmSync, writeFileSync } from 'node:fs';
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
      writeFileSync(descriptor, text);
      fsyncSync(descriptor);
    } finally {
      closeSync(descriptor);
    }
    renameSync(beside, file);
  } catch (error) {
    rmSync(beside, { force: true });
    const reason = error instanceof Error ? error.message.replace(/, \w+ '.*$/s, '') : String(error);
    throw new Error(`${file}: cannot be written: ${reason}`, { cause: error });
  }
  const folder = openSync(dirname(file), 'r');
  try {
    fsyncSync(folder);
  } finally {
    closeSync(folder);
  }
}
