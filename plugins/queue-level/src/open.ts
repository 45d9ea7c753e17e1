/**
 * Puts the parts of a shard together and recovers it; what comes back is ready for the store. Called by the store's
 * `open`. When anything fails the lock is given back.
 */
import { dirname, join } from 'node:path';
import { Bodies } from './bodies.ts';
import { checkpoint, type CheckpointParts } from './checkpoint.ts';
import type { CompactParts } from './compact.ts';
import type { FileOps } from './file-ops.ts';
import type { LevelIndex, Position } from './level-index.ts';
import { Log } from './log.ts';
import { countIndexed, findSegments, openIndex, sweepBodies } from './recover.ts';
import { replay } from './replay.ts';
import { type Segment, Segments } from './segments.ts';
import { SetAside } from './set-aside.ts';
import { Table } from './table.ts';

export type Report = (event: string, fields: Record<string, unknown>) => void;

export interface OpenOptions {
  readonly directory: string;
  readonly segmentBytes: number;
  readonly files: FileOps;
  readonly report: Report;
}

/** An open shard. */
export interface Parts extends CheckpointParts, CompactParts {
  readonly setAside: SetAside;
  readonly table: Table;
  readonly index: LevelIndex;
  readonly log: Log;
  readonly segments: Segments;
}

/** Whether the log went on behind a file that could not be cut: nothing more is written to that one. */
function isPast(last: Segment, position: Position | undefined): boolean {
  return position !== undefined && position.segment > last.number;
}

function endOf(last: Segment | undefined, position: Position | undefined): Position {
  if (last === undefined || isPast(last, position)) return position ?? { segment: 0, offset: 0 };
  return { segment: last.number, offset: last.size };
}

async function recoverParts(options: OpenOptions, index: LevelIndex, setAside: SetAside): Promise<Parts> {
  const { directory, files, report, segmentBytes } = options;
  const segments = new Segments(files, join(directory, 'segments'), report);
  const bodies = new Bodies(files, join(directory, 'bodies'), report);
  const table = new Table(segments);
  const worthBytes = segmentBytes / 2;
  const position = await index.position();

  await findSegments(files, segments, setAside);
  if (position !== undefined) segments.useNumbersAbove(position.segment);
  await countIndexed(index, segments, setAside);
  // While it is replayed nothing is written: this log only tells the checkpoints how far they are.
  const logAt = (end: Position): Log => new Log(files, segments, segmentBytes, end, report);
  await replay({ files, segments, index, table, setAside }, position, (end) =>
    checkpoint({ index, table, log: logAt(end), segments, bodies, worthBytes }),
  );
  await sweepBodies(
    files,
    bodies,
    setAside,
    async (id) => table.dirty.get(id) ?? (table.isRemoved(id) ? undefined : index.get(id)),
  );

  const last = segments.last();
  const log = logAt(endOf(last, position));
  const parts: Parts = { files, index, table, log, segments, bodies, setAside, worthBytes, segmentBytes };
  if (last?.salt !== undefined && !isPast(last, position)) await log.resume(last);
  await checkpoint(parts);
  return parts;
}

/** Opens and recovers a shard. @throws StoreError PH_STORE_LOCKED, or what the file system says */
export async function openParts(options: OpenOptions): Promise<Parts> {
  const { directory, files, report } = options;
  for (const name of ['', 'segments', 'bodies', 'damaged']) await files.makeDirectory(join(directory, name));
  // At a first start these are new: a synced segment in a folder whose name the power took is no more to be found.
  for (const names of [directory, dirname(directory), dirname(dirname(directory))]) await files.syncDirectory(names);
  const setAside = new SetAside(files, join(directory, 'damaged'), report);
  const index = await openIndex(files, directory, setAside);
  try {
    return await recoverParts(options, index, setAside);
  } catch (cause) {
    await index.close();
    throw cause;
  }
}
