/**
 * The end of the log, where everything is written: messages, settles and removals, a group in one synced write.
 * Called by the store (add), flush and compact, one append at a time. `written` runs in the same turn in which the end
 * of the log moves, so a checkpoint never sees one without the other. When a write fails nothing of the group stays:
 * the file is cut back to where it was. After anything but a full disk the file is not trusted with further writes, as
 * what the system says of it after a failed sync is worth nothing; the next append begins a new one. When it could not be
 * cut either, the log goes on behind the whole file, so that the next checkpoint leaves what was refused behind.
 */
import { StoreError } from '@posthorn/sdk';
import type { FileOps } from './file-ops.ts';
import { isFull } from './failure.ts';
import type { Position } from './level-index.ts';
import type { RecordHead } from './record.ts';
import { recordBytes } from './record.ts';
import { encodeSegmentHead, type Segment, SEGMENT_HEAD_BYTES, type Segments } from './segments.ts';
import { Stage } from './stage.ts';

/** A record to be written. */
export interface Draft {
  readonly head: RecordHead;
  readonly meta: Uint8Array;
  readonly pieces: readonly Uint8Array[];
}

/** Where the drafts of an append came to lie, in their order. */
export type Written = (segment: number, offsets: readonly number[]) => void;

/** The system takes at most 1024 buffers in one call. */
const MAX_BUFFERS = 1024;

export class Log {
  readonly #files: FileOps;
  readonly #segments: Segments;
  readonly #segmentBytes: number;
  readonly #report: (event: string, fields: Record<string, unknown>) => void;
  readonly #stage = new Stage();
  #active: { readonly segment: Segment; readonly fd: number } | undefined;
  #end: Position;
  #turn: Promise<void> = Promise.resolve();
  #closed = false;

  constructor(
    files: FileOps,
    segments: Segments,
    segmentBytes: number,
    end: Position,
    report: (event: string, fields: Record<string, unknown>) => void,
  ) {
    this.#files = files;
    this.#segments = segments;
    this.#segmentBytes = segmentBytes;
    this.#end = end;
    this.#report = report;
  }

  /** Everything before it was written and told of. */
  get end(): Position {
    return this.#end;
  }

  /** Goes on in a segment of an earlier run, cut to its last whole record. */
  async resume(segment: Segment): Promise<void> {
    const fd = await this.#files.openLog(segment.path);
    await this.#files.truncate(fd, segment.size);
    this.#active = { segment, fd };
  }

  /**
   * Writes drafts in one synced write.
   * @param draw gives the drafts when it is their turn, so that what died while waiting need not be written
   * @param written told of the places before anything else can happen
   */
  append(draw: () => readonly Draft[], written: Written): Promise<void> {
    return this.pause(() => this.#append(draw(), written));
  }

  /** Runs what must not have anything written beside it. */
  pause(run: () => Promise<void>): Promise<void> {
    const done = this.#turn.then(run);
    // The next append waits for this one's end, whatever it is; the error is the caller's.
    this.#turn = done.then(
      () => undefined,
      () => undefined,
    );
    return done;
  }

  async #append(drafts: readonly Draft[], written: Written): Promise<void> {
    if (drafts.length === 0) return;
    if (this.#closed) throw new StoreError('PH_STORE_CLOSED', 'the log is closed');
    let bytes = 0;
    for (const { head } of drafts) bytes += recordBytes(head.id.length, head.metaLength, head.bodyLength);
    const { segment, fd } = await this.#room(bytes);
    const from = segment.size;
    const stage = this.#stage;
    stage.reset();
    if (from === 0) stage.put(encodeSegmentHead(segment.number, segment.salt!));
    const offsets: number[] = [];
    for (const { head, meta, pieces } of drafts) {
      offsets.push(from + stage.bytes);
      stage.record(segment.salt!, head, meta, pieces);
    }
    try {
      await this.#write(fd, stage.buffers(), from);
    } catch (cause) {
      await this.#undo(segment, fd, from, cause);
      throw cause;
    }
    segment.size = from + stage.bytes;
    this.#end = { segment: segment.number, offset: segment.size };
    written(segment.number, offsets);
  }

  /** All buffers at a position; on a full disk once more after the spare segments were given up. */
  async #write(fd: number, buffers: readonly Uint8Array[], position: number): Promise<void> {
    try {
      await this.#writeAll(fd, buffers, position);
    } catch (cause) {
      if (!isFull(cause) || !(await this.#segments.dropSpares())) throw cause;
      this.#report('store.sparesDropped', { reason: 'the disk is full' });
      await this.#writeAll(fd, buffers, position);
    }
  }

  async #writeAll(fd: number, buffers: readonly Uint8Array[], position: number): Promise<void> {
    let at = position;
    let left: readonly Uint8Array[] = buffers;
    while (left.length > 0) {
      let bytes = await this.#files.write(fd, left.length > MAX_BUFFERS ? left.slice(0, MAX_BUFFERS) : left, at);
      if (bytes === 0) throw new Error('the system wrote nothing and gave no reason');
      at += bytes;
      let whole = 0;
      while (whole < left.length && bytes >= left[whole]!.length) bytes -= left[whole++]!.length;
      left = left.slice(whole);
      if (bytes > 0) left = [left[0]!.subarray(bytes), ...left.slice(1)];
    }
  }

  /** Cuts the file back; a file that cannot be cut or has failed for another reason than space is left for good. */
  async #undo(segment: Segment, fd: number, to: number, cause: unknown): Promise<void> {
    let reason = isFull(cause) ? undefined : String(cause);
    try {
      await this.#files.truncate(fd, to);
    } catch (error) {
      reason = `${String(cause)}; cutting it back: ${String(error)}`;
      this.#end = { segment: segment.number + 1, offset: 0 };
    }
    if (reason === undefined) return;
    this.#active = undefined;
    this.#report('store.segmentAbandoned', { segment: segment.number, reason });
    await this.#closeQuietly(fd, segment);
  }

  async #closeQuietly(fd: number, segment: Segment): Promise<void> {
    try {
      await this.#files.close(fd);
    } catch (error) {
      this.#report('store.close', { segment: segment.number, reason: String(error) });
    }
  }

  /** The active segment, or the next one when it is full. */
  async #room(bytes: number): Promise<{ segment: Segment; fd: number }> {
    const active = this.#active;
    if (active !== undefined) {
      const { segment, fd } = active;
      if (segment.size <= SEGMENT_HEAD_BYTES || segment.size + bytes <= this.#segmentBytes) return active;
      this.#active = undefined;
      await this.#closeQuietly(fd, segment);
    }
    this.#active = await this.#begin();
    return this.#active;
  }

  async #begin(): Promise<{ segment: Segment; fd: number }> {
    const segment = await this.#segments.create();
    let fd: number | undefined;
    try {
      fd = await this.#files.openLog(segment.path);
      await this.#segments.syncNames();
      return { segment, fd };
    } catch (cause) {
      // An empty file may stay; the next start throws it away.
      this.#segments.forget(segment);
      if (fd !== undefined) await this.#closeQuietly(fd, segment);
      throw cause;
    }
  }

  /** The segment that is being written to. */
  get activeSegment(): number {
    return this.#active?.segment.number ?? this.#end.segment;
  }

  async close(): Promise<void> {
    this.#closed = true;
    await this.#turn;
    const active = this.#active;
    this.#active = undefined;
    if (active !== undefined) await this.#files.close(active.fd);
  }
}
