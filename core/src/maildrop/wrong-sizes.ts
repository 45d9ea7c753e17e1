/**
 * Messages whose size is not what their name, or the memory of sizes, says: somebody copied a file under another's name,
 * or changed it in place. Called by an open maildrop that met some, under its lock, so that the next login counts them. A name
 * loses its sizes, but not what the UIDL is made of.
 */
import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { isAbsent } from './absent.ts';
import { parseMessageName } from './file-name.ts';
import type { ListedMessage } from './listing.ts';
import { moveFile } from './move-file.ts';
import { SIZE_INDEX } from './size-index.ts';

/** Comes and goes at once; no program takes it for a message. */
const MARK = '.posthorn-recount';

/**
 * One that moved or is gone meanwhile is left for the next time.
 * @param failed told of each that stays as it was: the file system fails, or a file came meanwhile that has the name.
 */
export function forgetSizes(
  maildir: string,
  messages: Iterable<ListedMessage>,
  failed: (message: ListedMessage, error: unknown) => void,
): void {
  for (const message of messages) {
    try {
      forgetSize(maildir, message);
    } catch (error) {
      if (!isAbsent(error)) failed(message, error);
    }
  }
}

function forgetSize(maildir: string, { folder, name }: ListedMessage): void {
  const { base, unique } = parseMessageName(name);
  if (base === unique) {
    // A memory: the others are counted again, too.
    rmSync(join(maildir, SIZE_INDEX), { force: true });
    // The folder gets another time, so that no thread believes its own listing any longer.
    const mark = join(maildir, folder, MARK);
    writeFileSync(mark, '');
    rmSync(mark, { force: true });
  } else if (unique !== '') {
    moveFile(join(maildir, folder, name), join(maildir, folder, unique + name.slice(base.length)));
  }
}
