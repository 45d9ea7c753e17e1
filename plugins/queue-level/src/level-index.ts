/**
 * The checkpointed index in Level: id -> entry, and the position in the log up to which it is complete.
 * Called by checkpoint.ts, recover.ts and the store's reads. Level's lock is the lock of the shard. A batch is atomic;
 * unsynced batches may be lost in a crash of the machine, the last ones first, and the log then replays them. After a
 * failed write Level has to be closed and opened again, since its own log may have a torn batch in the middle: until the
 * disk has room for that it stays open and is only read. Closing it gives up the lock for a moment, so each open leaves
 * a mark, and whoever finds another's mark afterwards has lost the shard.
 */
import { randomUUID } from 'node:crypto';
import { resolve } from 'node:path';
import { StoreError } from '@posthorn/sdk';
import { Level } from 'level';
import { decodeEntry, encodeEntry, type Entry } from './entry.ts';
import { codeOf } from './failure.ts';
import type { FileOps } from './file-ops.ts';

/** A place in the log. */
export interface Position {
  readonly segment: number;
  readonly offset: number;
}

export type Indexed =
  | { readonly id: string; readonly entry: Entry }
  | { readonly id: string; readonly bad: string; readonly value: Buffer };

export interface LevelIndex {
  /** The position of the last checkpoint; undefined in a new index. */
  position(): Promise<Position | undefined>;
  /** Undefined when there is none. @throws StoreError PH_STORE_DAMAGED */
  get(id: string): Promise<Entry | undefined>;
  /** The same at once; for rare moments that must not be interrupted. */
  getNow(id: string): Entry | undefined;
  getMany(ids: readonly string[]): Promise<(Entry | undefined)[]>;
  /** Whether the lock is held and Level can be read; false during a `mend`, and after one that failed. */
  readonly isOpen: boolean;
  /** Whether a write failed, and with it all until a `mend`. */
  readonly isBroken: boolean;
  /**
   * Closes Level and opens it again. Nothing may be written to the shard meanwhile, for the lock is given up.
   * @throws what the disk says, and then it may be tried again; StoreError PH_STORE_LOCKED when somebody else took the
   * shard, and then it never opens again
   */
  mend(): Promise<void>;
  /** Waits for a `mend` that is under way, whatever its end. */
  ready(): Promise<void>;
  /** Writes a part of a checkpoint; the last part brings the position. */
  write(puts: readonly Entry[], deletions: readonly string[], position: Position | undefined, sync: boolean): Promise<void>;
  /** All entries by id, as they were when it was called. */
  all(): AsyncIterable<Indexed>;
  close(): Promise<void>;
}

const POSITION_KEY = 'position';
const MARK_KEY = 'mark';
const PREFIX = 'm!';
/** Level writes some files when it opens. */
const PROBE_BYTES = 1024 * 1024;
/** An iterator's steps, whichever is reached first. Level's own 16 KiB are some 25 entries, a trip to its thread each. */
const READ_AHEAD = 1000;
const READ_AHEAD_BYTES = 512 * 1024;
const OPTIONS = { keyEncoding: 'utf8', valueEncoding: 'buffer' } as const;

/** @returns the entry; undefined for no value. @throws StoreError PH_STORE_DAMAGED */
function entryOf(id: string, value: Buffer | undefined): Entry | undefined {
  if (value === undefined) return undefined;
  const entry = decodeEntry(id, value);
  if (typeof entry === 'string') throw new StoreError('PH_STORE_DAMAGED', `index entry of ${id}: ${entry}`);
  return entry;
}

/** Entry by entry; Level's iterator sees the index as it was when the iterator was made. */
async function* readAll(iterator: ReturnType<Level<string, Buffer>['iterator']>): AsyncGenerator<Indexed, void> {
  try {
    for (;;) {
      const pairs = (await iterator.nextv(READ_AHEAD)) as [string, Buffer][];
      if (pairs.length === 0) return;
      for (const [key, value] of pairs) {
        const id = key.slice(PREFIX.length);
        const entry = decodeEntry(id, value);
        yield typeof entry === 'string' ? { id, bad: entry, value } : { id, entry };
      }
    }
  } finally {
    await iterator.close();
  }
}

/**
 * Folders that are open in this thread. LevelDB, asked for a folder that its own process has open, says no but closes
 * a descriptor of the lock file on the way, and with that the system gives up the lock against other processes. So a
 * second open is refused before LevelDB is asked.
 */
const openFolders = new Set<string>();

/** Finds out whether the disk takes writes. @throws what it says */
async function probe(files: FileOps, path: string): Promise<void> {
  try {
    await files.writeFile(path, Buffer.alloc(PROBE_BYTES));
    await files.syncFile(path);
  } finally {
    // It may never have been made, and one that stays is written over by the next probe.
    await files.unlink(path).catch(() => undefined);
  }
}

/** Opens the index. @throws StoreError PH_STORE_LOCKED when another process or another store of this one has it open */
export async function openLevelIndex(files: FileOps, directory: string): Promise<LevelIndex> {
  const folder = resolve(directory);
  if (openFolders.has(folder)) throw new StoreError('PH_STORE_LOCKED', `${directory} is in use by this process`);
  openFolders.add(folder);
  const db = new Level<string, Buffer>(directory, OPTIONS);
  const mark = Buffer.from(randomUUID());
  let broken = false;
  let taken: StoreError | undefined;
  let mending: Promise<void> = Promise.resolve();
  try {
    await db.open();
    await db.put(MARK_KEY, mark);
  } catch (cause) {
    await db.close();
    openFolders.delete(folder);
    if (codeOf(cause) === 'LEVEL_LOCKED') throw new StoreError('PH_STORE_LOCKED', `${directory} is in use`, { cause });
    throw cause;
  }

  /** @throws StoreError PH_STORE_LOCKED unless the mark is still ours */
  async function reopen(): Promise<void> {
    await db.close();
    try {
      await db.open();
    } catch (cause) {
      if (codeOf(cause) === 'LEVEL_LOCKED') taken = new StoreError('PH_STORE_LOCKED', `${directory} was taken`, { cause });
      throw taken ?? cause;
    }
    const found: Buffer | undefined = await db.get(MARK_KEY);
    if (found?.equals(mark)) return;
    taken = new StoreError('PH_STORE_LOCKED', `${directory} was taken by another process, which has given it back`);
    await db.close();
    throw taken;
  }

  return {
    get isOpen() {
      return db.status === 'open';
    },
    get isBroken() {
      return broken || db.status !== 'open';
    },
    async mend() {
      if (taken !== undefined) throw taken;
      await probe(files, `${directory}.probe`);
      const done = reopen();
      // Those who wait see by `isOpen` how it ended; the error is for whoever asked for it.
      mending = done.catch(() => undefined);
      await done;
      broken = false;
    },
    ready: () => mending,
    async position() {
      const value: Buffer | undefined = await db.get(POSITION_KEY);
      return value === undefined ? undefined : (JSON.parse(value.toString()) as Position);
    },
    async get(id) {
      return entryOf(id, await db.get(PREFIX + id));
    },
    getNow(id) {
      return entryOf(id, db.getSync(PREFIX + id));
    },
    async getMany(ids) {
      const values = await db.getMany(ids.map((id) => PREFIX + id));
      return values.map((value, at) => {
        const entry = value === undefined ? undefined : decodeEntry(ids[at]!, value);
        return typeof entry === 'string' ? undefined : entry;
      });
    },
    async write(puts, deletions, position, sync) {
      const batch = [
        ...puts.map((entry) => ({ type: 'put' as const, key: PREFIX + entry.id, value: encodeEntry(entry) })),
        ...deletions.map((id) => ({ type: 'del' as const, key: PREFIX + id })),
      ];
      if (position !== undefined) batch.push({ type: 'put', key: POSITION_KEY, value: Buffer.from(JSON.stringify(position)) });
      try {
        await db.batch(batch, { ...OPTIONS, sync });
      } catch (cause) {
        broken = true;
        throw cause;
      }
    },
    all: () =>
      readAll(db.iterator({ gte: PREFIX, lt: `${PREFIX}\uffff`, highWaterMarkBytes: READ_AHEAD_BYTES, fillCache: false })),
    async close() {
      try {
        await db.close();
      } finally {
        openFolders.delete(folder);
      }
    },
  };
}
