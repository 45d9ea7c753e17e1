/**
 * Where the locks of open maildrops lie: in memory where the system has a folder for that, else under the data folder.
 * Making and removing a name on a journalled disk costs a POP3 session more than everything else it does, and a lock
 * means nothing after a restart of the machine. Which folder it is follows from the data folder alone, so every process
 * on the same data agrees.
 */
import { createHash } from 'node:crypto';
import { lstatSync, mkdirSync, realpathSync, rmdirSync } from 'node:fs';
import { join } from 'node:path';

const IN_MEMORY = '/dev/shm';

/**
 * @param data folder of the server, which is there
 * @param memory for tests: another folder in memory
 */
export function lockDirectoryOf(data: string, memory = IN_MEMORY): string {
  const name = createHash('sha256').update(realpathSync(data)).digest('hex').slice(0, 32);
  const folder = join(memory, `posthorn-locks-${name}`);
  return isOurs(folder) ? folder : join(data, 'locks');
}

/** Takes the folder away when nothing is locked in it; to be called by the last process on the data. */
export function removeLockDirectory(data: string, memory = IN_MEMORY): void {
  try {
    rmdirSync(lockDirectoryOf(data, memory));
  } catch (error) {
    // Never made; or a lock that a killed process left keeps its folder, and the next one to start looks at it.
    if (!(error instanceof Error && 'code' in error && ['ENOENT', 'ENOTEMPTY'].includes(String(error.code)))) throw error;
  }
}

/** Anyone may make folders there: one that is not ours alone is not used. */
function isOurs(folder: string): boolean {
  try {
    mkdirSync(folder, { recursive: false, mode: 0o700 });
  } catch (error) {
    // There already, or no such place: the look that follows tells which.
    if (!(error instanceof Error) || !('code' in error)) throw error;
  }
  const found = lstatSync(folder, { throwIfNoEntry: false });
  return found !== undefined && found.isDirectory() && found.uid === process.getuid?.() && (found.mode & 0o077) === 0;
}
