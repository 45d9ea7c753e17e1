/**
 * Moves the few messages that still live in an old segment to the end of the log, so that its file is freed. Called by
 * the store after a checkpoint; one segment a time, in writes of about 1 MiB, between which groups of new mail are
 * written. A message whose bytes turn out damaged stays where it is, and so does its segment, which is not tried again.
 */
import type { Entry } from './entry.ts';
import type { FileOps } from './file-ops.ts';
import type { LevelIndex } from './level-index.ts';
import type { Draft, Log } from './log.ts';
import { MESSAGE } from './record.ts';
import { readSegment } from './replay.ts';
import { type Scanned, scan } from './scan.ts';
import { type Segment, SEGMENT_HEAD_BYTES, type Segments } from './segments.ts';
import type { Table } from './table.ts';

export interface CompactParts {
  readonly files: FileOps;
  readonly segments: Segments;
  readonly index: LevelIndex;
  readonly table: Table;
  readonly log: Log;
  readonly segmentBytes: number;
}

const WRITE_BYTES = 1024 * 1024;

type Found = Extract<Scanned, { kind: 'record' }>;

/**
 * The segment whose compaction frees most, when the files together hold more than twice what lives in them and two
 * segments beside; undefined when it would not pay.
 */
export function worstSegment(parts: Pick<CompactParts, 'segments' | 'log' | 'segmentBytes'>): Segment | undefined {
  let disk = 0;
  let live = 0;
  let worst: Segment | undefined;
  for (const segment of parts.segments.all()) {
    disk += segment.size;
    live += segment.liveBytes;
    if (segment.number >= parts.log.activeSegment || segment.salt === undefined || segment.live === 0) continue;
    if (segment.immovable === true) continue;
    if (worst === undefined || segment.size - segment.liveBytes > worst.size - worst.liveBytes) worst = segment;
  }
  return disk > 2 * live + 2 * parts.segmentBytes ? worst : undefined;
}

/** The entry of a record that is alive at just this place. */
function livingAt(parts: CompactParts, segment: Segment, found: Found): Entry | undefined {
  const { table, index } = parts;
  const { id } = found.head;
  if (found.head.type !== MESSAGE || table.isRemoved(id)) return undefined;
  const entry = table.dirty.get(id) ?? index.getNow(id);
  return entry?.segment === segment.number && entry.offset === found.at ? entry : undefined;
}

/** Moves what lives in a segment. @throws what the log says; what was moved until then stays moved */
export async function compact(parts: CompactParts, segment: Segment): Promise<void> {
  // While the index is closed, the lock of the shard is not held.
  if (segment.salt === undefined || !parts.index.isOpen) return;
  let moved = 0;
  segment.pins++;
  try {
    const bytes = await readSegment(parts.files, segment.path);
    let gathered: Found[] = [];
    let size = 0;
    for (const found of scan(bytes, segment.salt, SEGMENT_HEAD_BYTES)) {
      if (found.kind !== 'record' || livingAt(parts, segment, found) === undefined) continue;
      gathered.push(found);
      size += found.meta.length + found.body.length;
      if (size < WRITE_BYTES) continue;
      moved += await move(parts, segment, gathered);
      gathered = [];
      size = 0;
    }
    moved += await move(parts, segment, gathered);
    if (moved === 0) segment.immovable = true;
  } finally {
    segment.pins--;
  }
}

async function move(parts: CompactParts, segment: Segment, gathered: readonly Found[]): Promise<number> {
  const moved: Found[] = [];
  const draw = (): Draft[] => {
    // Looked at again: some may have been removed while this waited for its turn.
    moved.push(...gathered.filter((found) => livingAt(parts, segment, found) !== undefined));
    return moved.map(({ head, meta, body }) => ({ head, meta, pieces: [body] }));
  };
  await parts.log.append(draw, (number, offsets) => {
    for (const [at, found] of moved.entries()) {
      const entry = livingAt(parts, segment, found);
      if (entry === undefined) continue;
      if (!parts.table.dirty.has(entry.id)) parts.table.hold(entry);
      parts.table.move(entry, number, offsets[at]!);
    }
  });
  return moved.length;
}
