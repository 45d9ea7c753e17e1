/**
 * What the store knows in memory beyond Level: messages that Level does not have yet or has in an older state, and
 * removals it was not told of. Called by the store, checkpoint.ts, compact.ts and recover.ts. A message that is removed
 * before the next checkpoint never reaches Level. About 1 KB a message, most of it the envelope; the number is bounded
 * by the checkpoints (checkpoint.ts), whatever the length of the queue.
 */
import type { Segments } from './segments.ts';
import { bytesOf, type Entry } from './entry.ts';

/** A place that Level may still point to; counted out once Level does not. */
export interface Release {
  readonly segment: number;
  readonly bytes: number;
}

export class Table {
  readonly #segments: Segments;
  readonly dirty = new Map<string, Entry>();
  /** Removed ids that Level may have. The value says whether the place was noted in `releases`. */
  removed = new Map<string, boolean>();
  /** Those that the running checkpoint is telling Level of. */
  removing = new Map<string, boolean>();
  releases: Release[] = [];
  /** Removed messages whose body files go once Level was told of them. */
  readonly files = new Set<string>();
  /** Bytes of envelopes in `dirty`. */
  dirtyBytes = 0;

  constructor(segments: Segments) {
    this.#segments = segments;
  }

  /** Takes in a message that was just written. */
  add(entry: Entry): void {
    this.#segments.countIn(entry.segment, bytesOf(entry));
    this.hold(entry);
  }

  /** Takes in a message that is counted already: one that was read from Level to be changed. */
  hold(entry: Entry): void {
    this.dirty.set(entry.id, entry);
    this.dirtyBytes += entry.envelope.length;
  }

  /** Lets an entry go that Level has in the same state. */
  letGo(entry: Entry): void {
    if (this.dirty.delete(entry.id)) this.dirtyBytes -= entry.envelope.length;
  }

  setState(entry: Entry, state: Buffer): void {
    entry.state = state;
    entry.changes++;
  }

  /** The same message at a new place. */
  move(entry: Entry, segment: number, offset: number): void {
    this.#leave(entry);
    entry.segment = segment;
    entry.offset = offset;
    entry.changes++;
    this.#segments.countIn(segment, bytesOf(entry));
  }

  /** Forgets a message. @returns its entry when it was in memory */
  remove(id: string): Entry | undefined {
    const entry = this.dirty.get(id);
    if (entry === undefined) {
      if (!this.isRemoved(id)) this.removed.set(id, false);
      return undefined;
    }
    this.letGo(entry);
    entry.removed = true;
    this.#leave(entry);
    if (entry.indexed) this.removed.set(id, true);
    return entry;
  }

  /** Whether Level may have it although it is gone. */
  isRemoved(id: string): boolean {
    return this.removed.has(id) || this.removing.has(id);
  }

  #leave(entry: Entry): void {
    const bytes = bytesOf(entry);
    if (entry.indexed) this.releases.push({ segment: entry.segment, bytes });
    else this.#segments.countOut(entry.segment, bytes);
  }
}
