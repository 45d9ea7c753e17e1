/**
 * Files whose names cannot be what they seem, looked at before a maildrop is listed. Twins have the same unique part, which
 * the UIDL is made of: what a restore or a careless copy leaves. They are two messages (RFC 1939 §7 wants two UIDLs, and
 * none that goes over to the other when one is deleted), so the younger gets a file name of its own for good. Two names of one
 * file are one message, and so are two copies of the same bytes: another program is moving it, or died in the middle. And a name that is not UTF-8 comes from the
 * system as one that no file has. Costs nothing where there are none.
 */
import { lstatSync, type BigIntStats } from 'node:fs';
import { setImmediate } from 'node:timers/promises';
import { parseMessageName } from './file-name.ts';
import type { FoundFile } from './found-files.ts';
import { moveFile } from './move-file.ts';
import { haveSameBytes } from './same-bytes.ts';
import type { Skipped } from './size-index.ts';

/** What Node puts for bytes that are no UTF-8. */
const UNREADABLE = '\ufffd';
const FILES_PER_TURN = 64;

export function needsLook({ name, twinOf }: FoundFile): boolean {
  return twinOf !== undefined || name.includes(UNREADABLE);
}

/**
 * Settles what they are.
 * @param files changed in place. @param skipped told of names that are not UTF-8, and of twins whose name cannot be changed:
 * they keep it, and have UIDLs of their own while both are there.
 */
export async function settleNames(maildir: string, files: Map<string, FoundFile>, skipped: Skipped): Promise<void> {
  let looked = 0;
  for (const [key, file] of files) {
    if (!needsLook(file)) continue;
    if (++looked % FILES_PER_TURN === 0) await setImmediate();
    if (file.twinOf === undefined) keepReadable(maildir, files, key, file, skipped);
    else await settleTwin(maildir, files, key, file.twinOf, skipped);
  }
}

function keepReadable(maildir: string, files: Map<string, FoundFile>, key: string, file: FoundFile, skipped: Skipped): void {
  const path = pathOf(maildir, file);
  if (look(path) !== undefined) return;
  files.delete(key);
  skipped(path, new Error('the name is not UTF-8, or the file is gone'));
}

async function settleTwin(
  maildir: string,
  files: Map<string, FoundFile>,
  key: string,
  twinOf: string,
  skipped: Skipped,
): Promise<void> {
  const twin = files.get(key)!;
  const other = files.get(twinOf);
  const twinFound = look(pathOf(maildir, twin));
  const otherFound = other && look(pathOf(maildir, other));
  if (twinFound === undefined) {
    files.delete(key);
    return;
  }
  const { folder, name, parsed } = twin;
  const inPlace: FoundFile = { folder, name, parsed, unique: twinOf };
  if (other === undefined || otherFound === undefined) {
    files.delete(key);
    files.set(twinOf, inPlace);
  } else if (isSame(twinFound, otherFound) || (await isCopy(maildir, twin, twinFound, other, otherFound))) {
    files.delete(key);
    files.set(twinOf, { ...inPlace, alias: other });
  } else {
    // Whoever was there first may have been seen under the UIDL already.
    const isOlder = twinFound.birthtimeNs < otherFound.birthtimeNs;
    if (isOlder) files.set(twinOf, inPlace);
    files.set(key, setApart(maildir, isOlder ? other : twin, key, skipped));
  }
}

/** @param unique its own from now on. */
function setApart(maildir: string, { folder, name, parsed }: FoundFile, unique: string, skipped: Skipped): FoundFile {
  const path = pathOf(maildir, { folder, name });
  const apart = unique + name.slice(parsed.unique.length);
  try {
    moveFile(path, pathOf(maildir, { folder, name: apart }));
    return { folder, name: apart, parsed: parseMessageName(apart), unique };
  } catch (error) {
    skipped(path, error);
    return { folder, name, parsed, unique };
  }
}

function isSame(one: BigIntStats, other: BigIntStats): boolean {
  return one.ino === other.ino && one.dev === other.dev;
}

/** What a program that copies leaves between its new file and the end of the old one: set apart, it would be another message for good. */
async function isCopy(
  maildir: string,
  one: FoundFile,
  oneFound: BigIntStats,
  other: FoundFile,
  otherFound: BigIntStats,
): Promise<boolean> {
  if (oneFound.size !== otherFound.size || !oneFound.isFile() || !otherFound.isFile()) return false;
  try {
    return await haveSameBytes(pathOf(maildir, one), pathOf(maildir, other), Number(oneFound.size));
  } catch {
    // What cannot be read now is told where it is to be read; here it only is no copy.
    return false;
  }
}

function look(path: string): BigIntStats | undefined {
  return lstatSync(path, { bigint: true, throwIfNoEntry: false });
}

function pathOf(maildir: string, { folder, name }: Pick<FoundFile, 'folder' | 'name'>): string {
  return `${maildir}/${folder}/${name}`;
}
