/**
 * Opens a shard, whatever state the last run or the disk left it in. Called by the store's `open`.
 * Order: Level (its lock is the shard's), segment headers, every index entry against the segments, the log behind the
 * last checkpoint, body files without an owner. Damage is set aside and the start goes on; it fails only when the shard
 * is locked or the file system refuses to be read at all. A damaged index is set aside and made again from the log.
 */
import { join } from 'node:path';
import { StoreError } from '@posthorn/sdk';
import type { Bodies } from './bodies.ts';
import { bytesOf, type Entry, hasFile } from './entry.ts';
import { codeOf } from './failure.ts';
import { type FileOps, readFully } from './file-ops.ts';
import { type LevelIndex, openLevelIndex } from './level-index.ts';
import { HEAD_BYTES, readHead, type Salt } from './record.ts';
import { isWithin } from './replay.ts';
import { decodeSegmentHead, SEGMENT_HEAD_BYTES, type Segments } from './segments.ts';
import type { SetAside } from './set-aside.ts';

function isDamage(cause: unknown): boolean {
  const code = codeOf(cause);
  if (code === 'LEVEL_CORRUPTION' || code === 'LEVEL_NOT_FOUND') return true;
  return code === 'LEVEL_IO_ERROR' && /no such file/i.test(String((cause as Error).cause ?? cause));
}

/** Opens the index, a new one when the old one is beyond reading. @throws StoreError PH_STORE_LOCKED */
export async function openIndex(files: FileOps, directory: string, setAside: SetAside): Promise<LevelIndex> {
  const path = join(directory, 'index');
  try {
    return await openLevelIndex(files, path);
  } catch (cause) {
    // Only damage: throwing the index away because the disk is full or a descriptor was missing would be a poor trade.
    if (cause instanceof StoreError || !isDamage(cause)) throw cause;
    await setAside.move(
      path,
      `index-${Date.now()}`,
      `Level cannot open it: ${String(cause)}; made again from the segments, and mail may be in it that was delivered or removed already`,
    );
    await files.makeDirectory(path);
    return openLevelIndex(files, path);
  }
}

/** The salt of a segment whose header is gone: that of its first record, if that is whole. */
async function guessSalt(files: FileOps, fd: number): Promise<Salt | undefined> {
  const bytes = Buffer.alloc(64 * 1024);
  const got = await readFully(files, fd, bytes, SEGMENT_HEAD_BYTES);
  if (got < HEAD_BYTES) return undefined;
  const salt = { low: bytes.readUInt32LE(0), high: bytes.readUInt32LE(4) };
  return typeof readHead(bytes.subarray(0, got), 0, salt) === 'string' ? undefined : salt;
}

/** Takes in the segment files. A newest one that was never written to is deleted. */
export async function findSegments(files: FileOps, segments: Segments, setAside: SetAside): Promise<void> {
  const found = await segments.find();
  for (const { number, path } of found) {
    segments.useNumbersAbove(number);
    const size = await files.sizeOf(path);
    const fd = await files.openRead(path);
    let salt: Salt | undefined;
    let used = size > SEGMENT_HEAD_BYTES;
    try {
      const head = Buffer.alloc(SEGMENT_HEAD_BYTES);
      await readFully(files, fd, head, 0);
      salt = decodeSegmentHead(head, number);
      if (salt === undefined) {
        // A spare that had its new name when the power went, and nothing else yet, still has the head of its old use.
        used &&= decodeSegmentHead(head, head.readUInt32LE(8)) === undefined;
        if (used) salt = await guessSalt(files, fd);
      }
    } finally {
      await files.close(fd);
    }
    if (!used) {
      await files.unlink(path);
      continue;
    }
    if (salt === undefined) {
      const reason = `segment ${number}: both its headers and its first record are damaged; what the index does not know of it is not found, and the file stays`;
      await setAside.put(`segment-${number}`, Buffer.alloc(0), reason);
    }
    segments.adopt({ number, path, salt, size, live: 0, liveBytes: 0, pins: 0 });
  }
}

/** Counts what lives in which segment; entries that lead nowhere are set aside and deleted. */
export async function countIndexed(index: LevelIndex, segments: Segments, setAside: SetAside): Promise<void> {
  let bad: string[] = [];
  for await (const one of index.all()) {
    if ('bad' in one) {
      await setAside.put(`index-${one.id}`, one.value, `index entry of message ${one.id}: ${one.bad}`);
      bad.push(one.id);
    } else if (!isWithin(one.entry, segments.get(one.entry.segment))) {
      const { entry } = one;
      const reason = `message ${one.id}: its bytes in segment ${entry.segment} are missing; this is its envelope`;
      await setAside.put(`message-${one.id}`, entry.envelope, reason);
      bad.push(one.id);
    } else {
      segments.countIn(one.entry.segment, bytesOf(one.entry));
    }
    if (bad.length >= 1000) {
      await index.write([], bad, undefined, false);
      bad = [];
    }
  }
  if (bad.length > 0) await index.write([], bad, undefined, false);
}

/** Deletes body files that no message owns; after damage they are set aside, since their record may be what was lost. */
export async function sweepBodies(
  files: FileOps,
  bodies: Bodies,
  setAside: SetAside,
  find: (id: string) => Promise<Entry | undefined>,
): Promise<void> {
  const keep = setAside.count > 0;
  for (const id of await bodies.ids()) {
    const entry = await find(id);
    if (entry !== undefined && hasFile(entry)) continue;
    if (keep) await setAside.move(bodies.path(id), `body-${id}`, `no record of message ${id} was found beside other damage`);
    else await files.unlink(bodies.path(id));
  }
}
