/**
 * Brings Level up to the end of the log, then frees the segments in which nothing lives any more.
 * Called by the store: a second after something changed, when much has changed, and at the close. One at a time. The
 * position is written in the same batch as the last changes, so a crash at any moment leaves an index and a position
 * that fit, and replaying the log from there is always right. A segment is freed only after a *synced* checkpoint, for
 * until then a crash of the machine may bring an older index back that still needs it. When Level fails everything
 * stays in memory and the next checkpoint tries again.
 */
import type { Bodies } from './bodies.ts';
import { bytesOf, type Entry, hasFile } from './entry.ts';
import type { LevelIndex, Position } from './level-index.ts';
import type { Log } from './log.ts';
import type { Segment, Segments } from './segments.ts';
import type { Table } from './table.ts';

export interface CheckpointParts {
  readonly index: LevelIndex;
  readonly table: Table;
  readonly log: Log;
  readonly segments: Segments;
  readonly bodies: Bodies;
  /** A freed segment with fewer bytes is deleted, not kept. */
  readonly worthBytes: number;
}

const BATCH = 2000;

/** Runs one checkpoint. @throws what Level or the file system says */
export async function checkpoint(parts: CheckpointParts): Promise<void> {
  const { index, table, log, segments, bodies } = parts;
  if (index.isBroken) await log.pause(() => index.mend());
  // One turn: what is taken here and the end of the log belong together.
  const position = log.end;
  const entries = [...table.dirty.values()];
  const changes = entries.map((entry) => entry.changes);
  const releases = table.releases;
  table.releases = [];
  const removing = table.removed;
  table.removing = removing;
  table.removed = new Map();
  for (const entry of entries) entry.indexed = true;

  try {
    const found = await placesOf(index, removing);
    for (const entry of found) {
      releases.push({ segment: entry.segment, bytes: bytesOf(entry) });
      removing.set(entry.id, true);
      if (hasFile(entry)) table.files.add(entry.id);
    }
    const files = [...table.files];
    await writeAll(index, entries, [...removing.keys()], position, files.length > 0);
    for (const id of files) {
      await bodies.remove(id);
      table.files.delete(id);
    }
  } catch (cause) {
    table.removed = new Map([...table.removed, ...removing]);
    table.removing = new Map();
    table.releases = [...releases, ...table.releases];
    throw cause;
  }

  table.removing = new Map();
  for (const [at, entry] of entries.entries()) if (entry.changes === changes[at]) table.letGo(entry);
  for (const { segment, bytes } of releases) segments.countOut(segment, bytes);
  await freeSegments(parts, position);
}

/** Entries of removed messages whose places are not known yet. */
async function placesOf(index: LevelIndex, removed: ReadonlyMap<string, boolean>): Promise<Entry[]> {
  const unknown = [...removed].filter(([, noted]) => !noted).map(([id]) => id);
  const found: Entry[] = [];
  for (let at = 0; at < unknown.length; at += BATCH) {
    for (const entry of await index.getMany(unknown.slice(at, at + BATCH))) if (entry !== undefined) found.push(entry);
  }
  return found;
}

/** In parts, the position with the last; a synced write takes everything before it to the disk too. */
async function writeAll(
  index: LevelIndex,
  entries: readonly Entry[],
  ids: readonly string[],
  position: Position,
  sync: boolean,
): Promise<void> {
  for (let at = 0; ; at += BATCH) {
    const last = at + BATCH >= entries.length && at + BATCH >= ids.length;
    await index.write(entries.slice(at, at + BATCH), ids.slice(at, at + BATCH), last ? position : undefined, last && sync);
    if (last) return;
  }
}

async function freeSegments(parts: CheckpointParts, position: Position): Promise<void> {
  const { index, log, segments, worthBytes } = parts;
  // One without its salt was not replayed: what nobody knows of may live in it.
  const isDead = (one: Segment): boolean =>
    one.live === 0 &&
    one.pins === 0 &&
    one.salt !== undefined &&
    one.number < position.segment &&
    one.number !== log.activeSegment;
  const dead = segments.all().filter(isDead);
  if (dead.length === 0) return;
  await index.write([], [], position, true);
  for (const segment of dead) if (isDead(segment)) await segments.free(segment, worthBytes);
}
