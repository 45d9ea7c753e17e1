/**
 * The power goes, at any moment and at any byte: what add acknowledged is there, whole; what it did not may be there or
 * not, but never in part. A crash is a copy of the shard as it lies on disk, with a random piece of what was written
 * last cut off or garbled, and sometimes with an index as old as Level may give it back. Random sequences against a model,
 * in segments so small that most are begun, freed, used again and compacted on the way.
 */
import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { DeliveryState, NewMessage } from '@posthorn/core/queue/store';
import { createLevelStore, type LevelQueueStore } from '@posthorn/queue-level';
import * as fc from 'fast-check';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { bodyOf, copyShard, envelopeOf, listOf, messageOf } from '../lib/queue-messages.ts';

interface Held {
  readonly message: NewMessage;
  /** Any of these may be found: those since the last time everything was written. */
  states: (DeliveryState | undefined)[];
}

let root: string;
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'posthorn-power-'));
});
afterEach(() => rmSync(root, { recursive: true }));

function segmentsOf(directory: string): string[] {
  return readdirSync(join(directory, 'segments'))
    .filter((name) => /^\d/.test(name))
    .sort();
}

/** A shard and what is known of it. */
class Shard {
  directory: string;
  store: LevelQueueStore;
  #index: { path: string; segments: string[] } | undefined;
  #copies = 0;

  constructor(directory: string) {
    this.directory = directory;
    this.store = this.make();
  }

  make(): LevelQueueStore {
    const never = { after: () => () => undefined };
    return createLevelStore({ directory: this.directory, segmentBytes: 30_000, clock: never });
  }

  /** Keeps the index as it is now, to be given back by a later crash. */
  keepIndex(): void {
    const path = `${this.directory}-index-${++this.#copies}`;
    copyShard(join(this.directory, 'index'), path);
    this.#index = { path, segments: segmentsOf(this.directory) };
  }

  /** Where the log ends: the newest segment and its length. */
  end(): { name: string; size: number } | undefined {
    const name = segmentsOf(this.directory).at(-1);
    return name === undefined ? undefined : { name, size: statSync(join(this.directory, 'segments', name)).size };
  }

  /**
   * Ends without a close and starts again.
   * @param synced the end of the log when the last add was acknowledged: what lies behind it may be lost
   */
  async crash(
    synced: { name: string; size: number } | undefined,
    chance: number,
    garble: boolean,
    oldIndex: boolean,
  ): Promise<void> {
    const copy = `${this.directory}-crash-${++this.#copies}`;
    copyShard(this.directory, copy);
    await this.store.close();
    const segments = segmentsOf(copy);
    for (const name of segments) {
      if (synced !== undefined && name < synced.name) continue;
      const path = join(copy, 'segments', name);
      const size = statSync(path).size;
      const kept = name === synced?.name ? synced.size : 0;
      if (size <= kept) continue;
      const cut = kept + (chance % (size - kept + 1));
      if (garble) writeFileSync(path, Buffer.concat([readFileSync(path).subarray(0, cut), Buffer.alloc(size - cut, 0xa5)]));
      else truncateSync(path, cut);
    }
    // Level may give back an older index, but no older than its last synced write, which comes before a segment is freed.
    const index = this.#index;
    if (oldIndex && index !== undefined && index.segments.every((name) => segments.includes(name))) {
      rmSync(join(copy, 'index'), { recursive: true });
      cpSync(index.path, join(copy, 'index'), { recursive: true });
    }
    this.directory = copy;
    this.#index = undefined;
    this.store = this.make();
    await this.store.open();
  }
}

const step = fc.oneof(
  {
    weight: 5,
    arbitrary: fc.record({ do: fc.constant('add' as const), sizes: fc.array(fc.nat(12_000), { minLength: 1, maxLength: 3 }) }),
  },
  { weight: 6, arbitrary: fc.record({ do: fc.constantFrom('settle' as const, 'remove' as const), pick: fc.nat() }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('maintain' as const) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('keep index' as const) }) },
  {
    weight: 2,
    arbitrary: fc.record({ do: fc.constant('crash' as const), chance: fc.nat(), garble: fc.boolean(), oldIndex: fc.boolean() }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('restart' as const) }) },
);

async function check(shard: Shard, model: Map<string, Held>): Promise<void> {
  const { ids } = await listOf(shard.store);
  expect(ids).toEqual([...model.keys()].sort());
  for (const [id, { message, states }] of model) {
    const stored = await shard.store.read(id);
    expect(stored?.envelope).toEqual(envelopeOf(id));
    expect(states).toContainEqual(stored?.state);
    expect((await bodyOf(shard.store, id)).equals(Buffer.concat(message.pieces))).toBe(true);
  }
}

test('nothing that was acknowledged is lost', { timeout: 60_000 }, async () => {
  let run = 0;
  const enoughAt = performance.now() + 8_000;
  const property = fc.asyncProperty(fc.array(step, { minLength: 5, maxLength: 40 }), async (steps) => {
    if (run > 5 && performance.now() > enoughAt) return;
    const shard = new Shard(join(root, `run-${++run}`));
    await shard.store.open();
    const model = new Map<string, Held>();
    const removed = new Map<string, Held>();
    let synced = shard.end();
    let next = 0;
    // After these everything said so far is on disk: no older state, no removed message may come back.
    const allWritten = (): void => {
      removed.clear();
      for (const held of model.values()) held.states = held.states.slice(-1);
      synced = shard.end();
    };
    for (const one of [...steps, { do: 'crash' as const, chance: run, garble: run % 2 === 0, oldIndex: run % 3 === 0 }]) {
      if (one.do === 'add') {
        const group = one.sizes.map((size) => messageOf(`r${run}.${String(++next).padStart(4, '0')}`, 'z'.repeat(size)));
        await shard.store.add(group);
        for (const message of group) model.set(message.id, { message, states: [undefined] });
        allWritten();
      } else if (one.do === 'maintain') {
        await shard.store.maintain();
        allWritten();
      } else if (one.do === 'keep index') {
        shard.keepIndex();
      } else if (one.do === 'restart') {
        await shard.store.close();
        shard.store = shard.make();
        await shard.store.open();
        allWritten();
      } else if (one.do === 'crash') {
        await shard.crash(synced, one.chance, one.garble, one.oldIndex);
        // Removals that were not written may be undone, whole.
        const { ids } = await listOf(shard.store);
        for (const [id, held] of removed) if (ids.includes(id)) model.set(id, held);
        await check(shard, model);
        for (const [id, held] of model) held.states = [(await shard.store.read(id))?.state];
        allWritten();
      } else {
        const id = [...model.keys()][one.pick % Math.max(1, model.size)];
        const held = id === undefined ? undefined : model.get(id);
        if (id === undefined || held === undefined) continue;
        if (one.do === 'remove') {
          await shard.store.remove(id);
          model.delete(id);
          removed.set(id, held);
        } else {
          const state = { recipients: [{ status: 'pending' as const, attempts: one.pick, nextAttemptAtMs: one.pick }] };
          await shard.store.settle(id, state);
          held.states.push(state);
        }
      }
    }
    await check(shard, model);
    await shard.store.close();
    for (const name of readdirSync(root)) rmSync(join(root, name), { recursive: true });
  });
  await fc.assert(property, { numRuns: 60 });
  expect(run).toBeGreaterThan(5);
});
