/**
 * Messages whose size is not what their name, or the memory of sizes, says: somebody copied a file under another's name,
 * or changed it in place. Called by an open maildrop that met some, under its lock, so that the next login counts them. A name
 * loses its sizes, but not what the UIDL is made of.
 */
import { renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { isAbsent } from './absent.ts';
import { parseMessageName } from './file-name.ts';
import type { ListedMessage } from './listing.ts';
import type { Places } from './places.ts';
import { SIZE_INDEX } from './size-index.ts';

/** Comes and goes at once; no program takes it for a message. */
const MARK = '.posthorn-recount';

/** @throws when the file system fails; one that moved or is gone meanwhile is left for the next time. */
export function forgetSizes(maildir: string, messages: readonly ListedMessage[], places: Places): void {
  for (const { folder, name } of messages) {
    const { base, unique } = parseMessageName(name);
    if (base === unique) {
      // A memory: the others are counted again, too.
      rmSync(join(maildir, SIZE_INDEX), { force: true });
      // The folder gets another time, so that no thread believes its own listing any longer.
      const mark = join(maildir, folder, MARK);
      writeFileSync(mark, '');
      rmSync(mark, { force: true });
    } else if (unique !== '' && !places.has(unique)) {
      rename(join(maildir, folder, name), join(maildir, folder, unique + name.slice(base.length)));
    }
  }
}

function rename(from: string, to: string): void {
  try {
    renameSync(from, to);
  } catch (error) {
    if (!isAbsent(error)) throw error;
  }
}
