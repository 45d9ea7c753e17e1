/** Another name for a file of a mailbox that other programs work in at the same time. */
import { linkSync, lstatSync, renameSync, unlinkSync } from 'node:fs';

/** What the file system does; tests have it fail. */
export interface MoveCalls {
  readonly link: (from: string, to: string) => void;
  readonly unlink: (path: string) => void;
}

const CALLS: MoveCalls = { link: linkSync, unlink: unlinkSync };
/** No hard links here, or none to files of others. */
const NO_LINKS = new Set(['EPERM', 'ENOTSUP', 'EOPNOTSUPP', 'ENOSYS']);

/**
 * Never takes the name of another file, as a rename would, which puts its own in place of that.
 * @throws the system's error: EEXIST when the name is taken; ENOENT when the file is not there any more under its name.
 */
export function moveFile(from: string, to: string, calls = CALLS): void {
  try {
    calls.link(from, to);
  } catch (error) {
    if (!NO_LINKS.has((error as NodeJS.ErrnoException).code ?? '') || isThere(to)) throw error;
    renameSync(from, to);
    return;
  }
  try {
    calls.unlink(from);
  } catch (error) {
    // The old name went all the same: over NFS an answer that was lost is given as ENOENT. Ours is the last one then, and stays.
    if (lstatSync(to).nlink === 1) return;
    // Another program gave it a name of its own: that is what holds.
    calls.unlink(to);
    throw error;
  }
}

function isThere(path: string): boolean {
  return lstatSync(path, { throwIfNoEntry: false }) !== undefined;
}
