/** What tells whether a folder's entries changed: its modification time, to the nanosecond, and its inode. */
import { statSync } from 'node:fs';

export interface FolderStamp {
  readonly mtimeNs: bigint;
  readonly inode: bigint;
  /** Size of the folder itself: grows with its entries, and says whether reading it is quick. */
  readonly bytes: number;
}

const ABSENT: FolderStamp = { mtimeNs: -1n, inode: -1n, bytes: 0 };

/** @returns the stamp, also for a folder that is not there. @throws when it cannot be looked at. */
export function stampOf(folder: string): FolderStamp {
  const found = statSync(folder, { bigint: true, throwIfNoEntry: false });
  return found === undefined ? ABSENT : { mtimeNs: found.mtimeNs, inode: found.ino, bytes: Number(found.size) };
}

export function sameStamp(one: FolderStamp, other: FolderStamp): boolean {
  return one.mtimeNs === other.mtimeNs && one.inode === other.inode;
}
