/**
 * Reads the log again from the last checkpoint to its end, after whatever ended the last run. Called by recover.ts.
 * Each record does to the table what it did when it was written; doing it twice changes nothing. What is no record is
 * set aside. One segment is in memory at a time.
 */
import { type Entry, bytesOf } from './entry.ts';
import { type FileOps, readFully } from './file-ops.ts';
import type { LevelIndex, Position } from './level-index.ts';
import { MESSAGE, REMOVE, type Salt } from './record.ts';
import { type Scanned, scan } from './scan.ts';
import { type Segment, SEGMENT_HEAD_BYTES, type Segments } from './segments.ts';
import type { SetAside } from './set-aside.ts';
import type { Table } from './table.ts';

export interface ReplayParts {
  readonly files: FileOps;
  readonly segments: Segments;
  readonly index: LevelIndex;
  readonly table: Table;
  readonly setAside: SetAside;
}

/** All bytes of a segment file. */
export async function readSegment(files: FileOps, path: string): Promise<Buffer> {
  const bytes = Buffer.allocUnsafeSlow(await files.sizeOf(path));
  const fd = await files.openRead(path);
  try {
    return bytes.subarray(0, await readFully(files, fd, bytes, 0));
  } finally {
    await files.close(fd);
  }
}

/** The entry of an id, wherever it is known; undefined when there is none or its index entry is damaged. */
async function entryOf(parts: ReplayParts, id: string): Promise<Entry | undefined> {
  const { table, index } = parts;
  const dirty = table.dirty.get(id);
  if (dirty !== undefined || table.isRemoved(id)) return dirty;
  const [indexed] = await index.getMany([id]);
  return indexed;
}

async function apply(parts: ReplayParts, segment: Segment, found: Extract<Scanned, { kind: 'record' }>): Promise<void> {
  const { table } = parts;
  const { type, id, bodyLength, bodyCrc, fileFrom, fileTo } = found.head;
  const known = await entryOf(parts, id);
  if (type === REMOVE) {
    if (known !== undefined && !table.dirty.has(id)) table.hold(known);
    if (known !== undefined) table.remove(id);
    return;
  }
  if (type === MESSAGE) {
    if (known === undefined) {
      const place = { segment: segment.number, offset: found.at };
      const envelope = Buffer.from(found.meta);
      // Level may have it from a checkpoint that was cut short.
      const status = { state: undefined, indexed: true, removed: false, changes: 0 };
      table.add({ id, ...place, bodyLength, bodyCrc, fileFrom, fileTo, envelope, ...status });
    } else if (known.segment !== segment.number || known.offset !== found.at) {
      // It was moved here; what is known of its recipients stays.
      if (!table.dirty.has(id)) table.hold(known);
      table.move(known, segment.number, found.at);
    }
    return;
  }
  if (known === undefined) return;
  if (!table.dirty.has(id)) table.hold(known);
  table.setState(known, Buffer.from(found.meta));
}

/**
 * Replays the segments from a position on; undefined replays all.
 * @param checkpoint called when much was gathered, to keep memory bounded
 * @returns the end of the last segment
 */
export async function replay(
  parts: ReplayParts,
  from: Position | undefined,
  checkpoint: (at: Position) => Promise<void>,
): Promise<Position | undefined> {
  let end: Position | undefined;
  const all = parts.segments.all().sort((a, b) => a.number - b.number);
  for (const segment of all) {
    if (from !== undefined && segment.number < from.segment) continue;
    if (segment.salt === undefined) continue;
    const start = segment.number === from?.segment ? Math.max(from.offset, SEGMENT_HEAD_BYTES) : SEGMENT_HEAD_BYTES;
    segment.size = await replayOne(parts, segment, segment.salt, start, segment === all.at(-1));
    end = { segment: segment.number, offset: segment.size };
    if (parts.table.dirtyBytes > 32 * 1024 * 1024) await checkpoint(end);
  }
  return end;
}

/** @returns the end of the records */
async function replayOne(parts: ReplayParts, segment: Segment, salt: Salt, start: number, last: boolean): Promise<number> {
  const bytes = await readSegment(parts.files, segment.path);
  // The file is shorter than the checkpoint says: cut off from outside. What is lost is told by the index.
  if (start > bytes.length) return bytes.length;
  for (const found of scan(bytes, salt, start)) {
    if (found.kind === 'record') {
      await apply(parts, segment, found);
    } else if (found.kind === 'damaged') {
      const where = `segment-${segment.number}-${found.from}`;
      await parts.setAside.put(where, bytes.subarray(found.from, found.to), `segment ${segment.number}: ${found.reason}`);
    } else {
      if (found.begun) {
        const where = `segment-${segment.number}-${found.at}`;
        const why = last
          ? 'torn by the crash (then nobody was told it was stored) or damaged'
          : 'damaged, or a write that failed';
        const reason = `segment ${segment.number}, after its last whole record: ${found.reason}; ${why}`;
        await parts.setAside.put(where, bytes.subarray(found.at), reason);
      }
      return found.at;
    }
  }
  return bytes.length;
}

/** Whether the record of an entry can be where it says. */
export function isWithin(entry: Entry, segment: Segment | undefined): boolean {
  return segment !== undefined && entry.offset >= SEGMENT_HEAD_BYTES && entry.offset + bytesOf(entry) <= segment.size;
}
