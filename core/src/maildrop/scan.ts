/** Looks at new/ and cur/ while other programs add, rename and remove files there. Used by the listing of a maildrop. */
import { readdirSync } from 'node:fs';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { setImmediate } from 'node:timers/promises';
import { isAbsent } from './absent.ts';
import { stampOf, stayed } from './folder-stamp.ts';
import { uniteMany, type FoundFile } from './found-files.ts';

/** Looks at folders that change all the time. */
export const MAX_SCANS = 3;

/**
 * All files that are there. A name that changes in cur/ while it is read may be missed, and a client would think that the
 * message is gone: so until nothing changed, and some times at most, it is read again, and what was seen once counts.
 */
export async function findFiles(maildir: string, now: () => number): Promise<Map<string, FoundFile>> {
  const cur = join(maildir, 'cur');
  const seen: Map<string, FoundFile>[] = [];
  for (;;) {
    const startedAtMs = now();
    const before = stampOf(cur);
    const files = await scan(maildir);
    if (stayed(before, stampOf(cur), startedAtMs)) return files;
    seen.push(files);
    if (seen.length === MAX_SCANS) return merged(seen);
  }
}

/** What was seen last is where it was seen last. */
async function merged(seen: readonly Map<string, FoundFile>[]): Promise<Map<string, FoundFile>> {
  const files = seen.at(-1)!;
  for (const earlier of seen.slice(0, -1).reverse()) {
    for (const [unique, file] of earlier) if (!files.has(unique)) files.set(unique, file);
    await setImmediate();
  }
  return files;
}

/** One look, in turns with the rest of the thread. @throws when a folder cannot be read. */
export async function scan(maildir: string): Promise<Map<string, FoundFile>> {
  // New first: a message that another program moves to cur/ meanwhile is seen twice rather than not at all.
  return uniteMany(await readdirOrNone(join(maildir, 'new')), await readdirOrNone(join(maildir, 'cur')));
}

/** Names in a folder; none when there is no such folder. */
export function readOrNone(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch (error) {
    return noneWhenAbsent(error);
  }
}

async function readdirOrNone(folder: string): Promise<string[]> {
  try {
    return await readdir(folder);
  } catch (error) {
    return noneWhenAbsent(error);
  }
}

/** A mailbox that never got a message has no folder yet. */
function noneWhenAbsent(error: unknown): string[] {
  if (isAbsent(error)) return [];
  throw error;
}
