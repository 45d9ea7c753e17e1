/** What tells whether a folder's entries changed: its modification time, to the nanosecond, and its inode. */
import { statSync } from 'node:fs';

export interface FolderStamp {
  readonly mtimeNs: bigint;
  readonly inode: bigint;
  /** Size of the folder itself: grows with its entries, and says whether reading it is quick. */
  readonly bytes: number;
}

const ABSENT: FolderStamp = { mtimeNs: -1n, inode: -1n, bytes: 0 };
/** File systems stamp with a coarse clock: a second change within a tick of it, up to 10 ms, leaves the time as it is. */
export const TICKS_MS = 20;

/** @returns the stamp, also for a folder that is not there. @throws when it cannot be looked at. */
export function stampOf(folder: string): FolderStamp {
  const found = statSync(folder, { bigint: true, throwIfNoEntry: false });
  return found === undefined ? ABSENT : { mtimeNs: found.mtimeNs, inode: found.ino, bytes: Number(found.size) };
}

export function sameStamp(one: FolderStamp, other: FolderStamp): boolean {
  return one.mtimeNs === other.mtimeNs && one.inode === other.inode;
}

/**
 * Is it sure that nothing changed from one look at a folder to the next?
 * @param nowMs the system's clock at the first.
 */
export function stayed(before: FolderStamp, after: FolderStamp, nowMs: number): boolean {
  return sameStamp(before, after) && Math.abs(nowMs - Number(before.mtimeNs / 1_000_000n)) > TICKS_MS;
}
