/**
 * The embedded queue store: messages in append-only segment files, an index of what stays longer than a second in Level.
 * Made by wiring, one for each shard; used by core/queue. docs/decisions/queue-store.md tells why it is as it is.
 * What `add` resolved is on disk. Settles and removals are written with the next group or within a second; while the
 * disk is full they wait in memory and are tried again. The index follows in the background (checkpoint.ts), and when
 * that fails nothing is lost: it is tried again, and the log is replayed at the next start.
 */
import {
  type Clock,
  type DeliveryState,
  type Envelope,
  type ListedMessage,
  type NewMessage,
  type QueueStore,
  StoreError,
} from '@posthorn/sdk';
import { readBody } from './body.ts';
import { checkpoint } from './checkpoint.ts';
import { compact, worstSegment } from './compact.ts';
import { draftMessage, draftRemove, draftSettle, encodeState, entryAt } from './draft.ts';
import { type Entry, hasFile } from './entry.ts';
import { isFull, storeFailure } from './failure.ts';
import { type FileOps, nodeFileOps } from './file-ops.ts';
import { listMessages, storedOf } from './list.ts';
import type { Draft } from './log.ts';
import { openParts, type Parts, type Report } from './open.ts';

export interface LevelStoreOptions {
  /** The shard's own folder; made when absent. */
  readonly directory: string;
  /** A segment is closed when the next group would make it larger. 64 MiB when absent. */
  readonly segmentBytes?: number;
  /** Told of damage and trouble that no caller hears of; nothing is logged when absent. */
  readonly report?: Report;
  readonly clock?: Pick<Clock, 'after'>;
  /** How long settles and removals, and changes to the index, may wait. 1000 when absent. */
  readonly flushMs?: number;
  readonly files?: FileOps;
}

export interface LevelQueueStore extends QueueStore {
  /** Does now what is done every `flushMs`: writes what waits, brings the index up to date, frees and compacts segments. */
  maintain(): Promise<void>;
}

/** Envelopes in memory that make a checkpoint start early, and that make `add` wait for it. */
const EARLY_BYTES = 16 * 1024 * 1024;
const WAIT_BYTES = 64 * 1024 * 1024;

const systemTimer: Pick<Clock, 'after'> = {
  after(delayMs, then) {
    const timer = setTimeout(then, delayMs);
    timer.unref();
    return () => clearTimeout(timer);
  },
};

class LevelStore implements LevelQueueStore {
  readonly #options: Required<LevelStoreOptions>;
  #parts: Parts | undefined;
  #accepting = false;
  /** Settles and removals that are not written yet, and bodies to delete once they are. */
  #pending: Draft[] = [];
  #unlinks: string[] = [];
  #cancelTimer: (() => void) | undefined;
  #upkeep: Promise<void> | undefined;
  /** Ends when all adds that were begun have ended. */
  #adding: Promise<unknown> = Promise.resolve();
  #closing: Promise<void> | undefined;

  constructor(options: LevelStoreOptions) {
    this.#options = {
      segmentBytes: 64 * 1024 * 1024,
      report: () => undefined,
      clock: systemTimer,
      flushMs: 1000,
      files: nodeFileOps,
      ...options,
    };
  }

  async open(): Promise<void> {
    if (this.#parts !== undefined) throw new StoreError('PH_STORE_LOCKED', 'the store is open already');
    try {
      this.#parts = await openParts(this.#options);
      this.#accepting = true;
    } catch (cause) {
      throw storeFailure(`opening ${this.#options.directory}`, cause);
    }
  }

  add(group: readonly NewMessage[]): Promise<void> {
    const done = this.#add(group);
    this.#adding = Promise.allSettled([this.#adding, done]);
    return done;
  }

  async #add(group: readonly NewMessage[]): Promise<void> {
    const parts = this.#open();
    const drafts = group.map(draftMessage);
    const withFiles = group.some((message) => message.file !== undefined);
    try {
      if (parts.table.dirtyBytes > WAIT_BYTES) await this.maintain();
      if (withFiles) await parts.bodies.adopt(group);
      try {
        await this.#write(parts, drafts, (segment, offsets) => {
          for (const [at, draft] of drafts.entries()) parts.table.add(entryAt(draft, segment, offsets[at]!));
        });
      } catch (cause) {
        if (withFiles) for (const { id, file } of group) if (file !== undefined) await parts.bodies.remove(id);
        throw cause;
      }
    } catch (cause) {
      throw storeFailure(`adding ${group.length} messages`, cause);
    }
    this.#changed(parts);
  }

  async read(id: string): Promise<{ envelope: Envelope; state: DeliveryState | undefined } | undefined> {
    const { table, index } = this.#open();
    const entry = table.dirty.get(id);
    if (entry !== undefined) return storedOf(entry);
    try {
      if (!index.isOpen) await index.ready();
      const indexed = table.isRemoved(id) ? undefined : await index.get(id);
      return indexed === undefined || table.isRemoved(id) ? undefined : storedOf(table.dirty.get(id) ?? indexed);
    } catch (cause) {
      throw storeFailure(`reading message ${id}`, cause);
    }
  }

  async *body(id: string): AsyncGenerator<Uint8Array, void> {
    const { files, segments, bodies, index } = this.#open();
    if (!index.isOpen) await index.ready();
    // From here to where readBody pins the segment nothing waits, so the place cannot change in between.
    const entry = this.#entry(id);
    if (entry === undefined) throw new StoreError('PH_STORE_FAILED', `there is no message ${id}`);
    yield* readBody(files, segments, bodies, entry, !entry.indexed);
  }

  async settle(id: string, state: DeliveryState): Promise<void> {
    const parts = this.#open();
    if (!parts.index.isOpen) await parts.index.ready();
    const entry = this.#entry(id);
    if (entry === undefined) return;
    const encoded = encodeState(state);
    if (!parts.table.dirty.has(id)) parts.table.hold(entry);
    parts.table.setState(entry, encoded);
    this.#pending.push(draftSettle(id, encoded));
    this.#changed(parts);
  }

  async remove(id: string): Promise<void> {
    const parts = this.#open();
    if (parts.table.isRemoved(id)) return;
    const entry = parts.table.remove(id);
    if (entry !== undefined && hasFile(entry)) this.#unlinks.push(id);
    this.#pending.push(draftRemove(id));
    this.#changed(parts);
  }

  async *list(): AsyncGenerator<ListedMessage, void> {
    const parts = this.#open();
    try {
      if (!parts.index.isOpen) await parts.index.ready();
      yield* listMessages(parts);
    } catch (cause) {
      throw storeFailure('listing', cause);
    }
  }

  async freeBytes(): Promise<number> {
    this.#open();
    try {
      return await this.#options.files.freeBytes(this.#options.directory);
    } catch (cause) {
      throw storeFailure('asking for free space', cause);
    }
  }

  close(): Promise<void> {
    if (this.#parts !== undefined) this.#closing ??= this.#close(this.#parts).finally(() => (this.#closing = undefined));
    return this.#closing ?? Promise.resolve();
  }

  async #close(parts: Parts): Promise<void> {
    this.#accepting = false;
    this.#cancelTimer?.();
    await this.#adding;
    await this.#upkeep;
    let failure: StoreError | undefined;
    // Each step is tried whatever became of the one before: the lock has to be given up.
    for (const step of [
      () => this.#write(parts, [], () => undefined),
      () => checkpoint(parts),
      () => parts.log.close(),
      () => parts.segments.close(),
      () => parts.index.close(),
    ]) {
      try {
        await step();
      } catch (cause) {
        failure ??= storeFailure('closing', cause);
      }
    }
    this.#parts = undefined;
    this.#cancelTimer?.();
    this.#cancelTimer = undefined;
    if (failure !== undefined) throw failure;
  }

  #open(): Parts {
    if (this.#parts === undefined || !this.#accepting) throw new StoreError('PH_STORE_CLOSED', 'the store is not open');
    return this.#parts;
  }

  /** Where a message is known to lie, at once. @throws StoreError PH_STORE_DAMAGED or PH_STORE_FAILED */
  #entry(id: string): Entry | undefined {
    const { table, index } = this.#open();
    try {
      return table.dirty.get(id) ?? (table.isRemoved(id) ? undefined : index.getNow(id));
    } catch (cause) {
      throw storeFailure(`looking for message ${id}`, cause);
    }
  }

  /** Writes messages, and all settles and removals that wait, before them. */
  async #write(
    parts: Parts,
    drafts: readonly Draft[],
    written: (segment: number, offsets: readonly number[]) => void,
  ): Promise<void> {
    let pending: Draft[] = [];
    let unlinks: string[] = [];
    try {
      await parts.log.append(
        () => {
          // Its lock is the shard's: without it somebody else may be writing here.
          if (!parts.index.isOpen) throw new StoreError('PH_STORE_FAILED', 'the index is closed, as the disk took no write');
          [pending, unlinks, this.#pending, this.#unlinks] = [this.#pending, this.#unlinks, [], []];
          return pending.length === 0 ? drafts : [...pending, ...drafts];
        },
        (segment, offsets) => written(segment, pending.length === 0 ? offsets : offsets.slice(pending.length)),
      );
    } catch (cause) {
      this.#pending = [...pending, ...this.#pending];
      this.#unlinks = [...unlinks, ...this.#unlinks];
      throw cause;
    }
    for (const id of unlinks) await parts.bodies.remove(id);
  }

  #changed(parts: Parts): void {
    if (!this.#accepting) return;
    if (parts.table.dirtyBytes > EARLY_BYTES && this.#upkeep === undefined) void this.maintain();
    else this.#arm();
  }

  #arm(): void {
    if (this.#cancelTimer !== undefined || !this.#accepting) return;
    this.#cancelTimer = this.#options.clock.after(this.#options.flushMs, () => {
      this.#cancelTimer = undefined;
      void this.maintain();
    });
  }

  /** Flush, checkpoint, compaction; one at a time. Never rejects: what fails is reported and tried again. */
  maintain(): Promise<void> {
    this.#upkeep ??= this.#runUpkeep().finally(() => {
      this.#upkeep = undefined;
    });
    return this.#upkeep;
  }

  async #runUpkeep(): Promise<void> {
    const parts = this.#parts;
    if (parts === undefined) return;
    const steps = {
      flush: () => this.#write(parts, [], () => undefined),
      checkpoint: () => checkpoint(parts),
      compact: async () => {
        const worst = this.#accepting ? worstSegment(parts) : undefined;
        if (worst === undefined) return;
        await compact(parts, worst);
        this.#arm();
      },
    };
    for (const [step, run] of Object.entries(steps)) {
      try {
        await run();
      } catch (cause) {
        this.#options.report('store.upkeep', { step, reason: String(cause) });
        if (isFull(cause)) await this.#dropSpares(parts);
        this.#arm();
      }
    }
    if (this.#pending.length > 0 || parts.table.dirty.size > 0) this.#arm();
  }

  /** Makes room on a full disk for the index, without which no segment is freed. */
  async #dropSpares(parts: Parts): Promise<void> {
    try {
      await parts.segments.dropSpares();
    } catch (cause) {
      this.#options.report('store.upkeep', { step: 'spares', reason: String(cause) });
    }
  }
}

/** Makes the store of one shard; nothing is touched before its `open`. */
export function createLevelStore(options: LevelStoreOptions): LevelQueueStore {
  return new LevelStore(options);
}
