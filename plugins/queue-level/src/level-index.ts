/**
 * The checkpointed index in Level: id -> entry, and the position in the log up to which it is complete.
 * Called by checkpoint.ts, recover.ts and the store's reads. Level's lock is the lock of the shard. A batch is atomic;
 * unsynced batches may be lost in a crash of the machine, the last ones first, and the log then replays them. After a
 * failed write Level is closed and opened again, since its own log may have a torn batch in the middle.
 */
import { resolve } from 'node:path';
import { StoreError } from '@posthorn/sdk';
import { Level } from 'level';
import { decodeEntry, encodeEntry, type Entry } from './entry.ts';
import { codeOf } from './failure.ts';

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
  /** Writes a part of a checkpoint; the last part brings the position. */
  write(puts: readonly Entry[], deletions: readonly string[], position: Position | undefined, sync: boolean): Promise<void>;
  /** All entries by id, as they were when it was called. */
  all(): AsyncIterable<Indexed>;
  close(): Promise<void>;
}

const POSITION_KEY = 'position';
const PREFIX = 'm!';
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

/** Opens the index. @throws StoreError PH_STORE_LOCKED when another process or another store of this one has it open */
export async function openLevelIndex(directory: string): Promise<LevelIndex> {
  const folder = resolve(directory);
  if (openFolders.has(folder)) throw new StoreError('PH_STORE_LOCKED', `${directory} is in use by this process`);
  openFolders.add(folder);
  const db = new Level<string, Buffer>(directory, OPTIONS);
  try {
    await db.open();
  } catch (cause) {
    openFolders.delete(folder);
    if (codeOf(cause) === 'LEVEL_LOCKED') throw new StoreError('PH_STORE_LOCKED', `${directory} is in use`, { cause });
    throw cause;
  }

  return {
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
      // A write that failed before may have left Level closed: this is where it comes back.
      if (db.status !== 'open') await db.open();
      try {
        await db.batch(batch, { ...OPTIONS, sync });
      } catch (cause) {
        await db.close();
        await db.open();
        throw cause;
      }
    },
    all: () =>
      readAll(db.iterator({ gte: PREFIX, lt: `${PREFIX}\uffff`, highWaterMarkBytes: READ_AHEAD_BYTES, fillCache: false })),
    async close() {
      await db.close();
      openFolders.delete(folder);
    },
  };
}
