/**
 * The disk says no: full, broken, half a write. What add refused is nowhere, what it took is there after a restart, and
 * the store goes on as soon as the disk does.
 */
import { mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { StoreError } from '@posthorn/core/queue/store';
import { createLevelStore, type LevelQueueStore, nodeFileOps } from '@posthorn/queue-level';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { bodyOf, listOf, messageOf } from '../lib/queue-messages.ts';
import { faultyFiles, type OpName, systemError } from '../lib/queue-faults.ts';

let root: string;
let directory: string;
let disk: ReturnType<typeof faultyFiles>;
let reports: string[];
let store: LevelQueueStore;

function make(segmentBytes = 100_000): LevelQueueStore {
  const never = { after: () => () => undefined };
  return createLevelStore({ directory, segmentBytes, files: disk.files, clock: never, report: (event) => reports.push(event) });
}

async function codeOf(doing: Promise<unknown>): Promise<string | undefined> {
  return doing.then(
    () => undefined,
    (cause: unknown) => (cause instanceof StoreError ? cause.code : String(cause)),
  );
}

async function restart(): Promise<void> {
  await store.close();
  store = make();
  await store.open();
}

function logBytes(): number {
  const segments = join(directory, 'segments');
  return readdirSync(segments).reduce((sum, name) => sum + statSync(join(segments, name)).size, 0);
}

beforeEach(async () => {
  root = mkdtempSync(join(tmpdir(), 'posthorn-disk-'));
  directory = join(root, 'shard');
  disk = faultyFiles();
  reports = [];
  store = make();
  await store.open();
  await store.add([messageOf('m0', 'was here before')]);
});
afterEach(async () => {
  disk.plan(undefined);
  await store.close();
  rmSync(root, { recursive: true });
});

describe('a full disk', () => {
  test.each([
    ['at once', (op: OpName) => (op === 'write' ? 'ENOSPC' : undefined)],
    ['in the middle of a group', (op: OpName, before: number) => (op !== 'write' ? undefined : before === 0 ? 500 : 'ENOSPC')],
    ['by quota', (op: OpName) => (op === 'write' ? 'EDQUOT' : undefined)],
  ])('%s: PH_STORE_FULL, nothing of the group is stored, and the file is as long as before', async (_, failing) => {
    const before = logBytes();
    disk.plan(failing);
    expect(await codeOf(store.add([messageOf('m1', 'one'), messageOf('m2', 'two')]))).toBe('PH_STORE_FULL');
    expect(logBytes()).toBe(before);
    disk.plan(undefined);
    expect((await listOf(store)).ids).toEqual(['m0']);
    await store.add([messageOf('m3', 'three')]);
    await restart();
    expect(await listOf(store)).toEqual({ ids: ['m0', 'm3'], damaged: [] });
    expect((await bodyOf(store, 'm3')).toString()).toBe('three');
  });

  test('settles and removals wait and are written when there is space again', async () => {
    disk.plan((op) => (op === 'write' ? 'ENOSPC' : undefined));
    await store.add([messageOf('m1', 'one')]).catch(() => 'expected');
    await store.remove('m0');
    await store.maintain();
    expect((await listOf(store)).ids).toEqual([]);
    disk.plan(undefined);
    await store.add([messageOf('m2', 'two')]);
    await restart();
    expect((await listOf(store)).ids).toEqual(['m2']);
  });

  test('gives up spare segments before it refuses mail', async () => {
    for (const id of ['a', 'b', 'c']) await store.add([messageOf(id, 'x'.repeat(80_000))]);
    for (const id of ['m0', 'a', 'b', 'c']) await store.remove(id);
    await store.maintain();
    expect(readdirSync(join(directory, 'segments')).some((name) => name.startsWith('spare-'))).toBe(true);
    disk.plan((op, before) => (op === 'write' && before === 0 ? 'ENOSPC' : undefined));
    await store.add([messageOf('d', 'fits after all')]);
    expect(readdirSync(join(directory, 'segments')).some((name) => name.startsWith('spare-'))).toBe(false);
    expect(reports).toContain('store.sparesDropped');
  });

  // The number of the next spare was the time of day: a store that was opened again soon gave one a name that was taken.
  test('gives a spare segment no name that another has', async () => {
    await store.close();
    writeFileSync(join(directory, 'segments', `spare-${Date.now() + 1000}.log`), Buffer.alloc(100_000));
    for (let round = 0; round < 3; round++) {
      store = make();
      await store.open();
      for (const id of ['a', 'b', 'c']) await store.add([messageOf(id, 'x'.repeat(80_000))]);
      for (const id of ['a', 'b', 'c']) await store.remove(id);
      await store.close();
    }
    const spares = readdirSync(join(directory, 'segments')).filter((name) => name.startsWith('spare-'));
    expect(spares.every((name) => Number(name.slice(6, -4)) > Date.now())).toBe(true);
    store = make();
    await store.open();
  });

  test('leaves no body file of a message it refused', async () => {
    const path = join(root, 'spool');
    writeFileSync(path, 'spooled bytes');
    disk.plan((op) => (op === 'write' ? 'ENOSPC' : undefined));
    expect(await codeOf(store.add([{ ...messageOf('m1', ''), file: { path, from: 0, to: 13 } }]))).toBe('PH_STORE_FULL');
    expect(readdirSync(join(directory, 'bodies'))).toEqual([]);
  });
});

describe('a disk that fails', () => {
  test('fails the group, leaves the segment for good and goes on in a new one', async () => {
    disk.plan((op) => (op === 'write' ? 'EIO' : undefined));
    expect(await codeOf(store.add([messageOf('m1', 'one')]))).toBe('PH_STORE_FAILED');
    disk.plan(undefined);
    await store.add([messageOf('m2', 'two')]);
    expect(reports).toContain('store.segmentAbandoned');
    expect(readdirSync(join(directory, 'segments'))).toHaveLength(2);
    await restart();
    expect(await listOf(store)).toEqual({ ids: ['m0', 'm2'], damaged: [] });
  });

  // It was read again at the next start, and so refused mail was delivered, and once more when its sender tried again.
  test('a group that was refused stays away, though its file could not be cut back', async () => {
    const files = { ...nodeFileOps };
    let writes = 0;
    await store.close();
    files.write = async (fd, buffers, position) => {
      const bytes = await nodeFileOps.write(fd, buffers, position);
      // All of it is in the file, and the system says no, as with a sync that failed.
      if (writes++ === 0) throw systemError('EIO');
      return bytes;
    };
    files.truncate = (fd, length) => (writes === 1 ? Promise.reject(systemError('EIO')) : nodeFileOps.truncate(fd, length));
    const never = { after: () => () => undefined };
    store = createLevelStore({ directory, files, clock: never, report: (event) => reports.push(event) });
    await store.open();
    expect(await codeOf(store.add([messageOf('m1', 'one')]))).toBe('PH_STORE_FAILED');
    for (const id of [undefined, 'm2', 'm3']) {
      if (id !== undefined) await store.add([messageOf(id, id)]);
      await restart();
      expect((await listOf(store)).ids).toEqual(['m0', 'm2', 'm3'].slice(0, id === undefined ? 1 : Number(id[1])));
    }
  });

  test('a short write is continued', async () => {
    disk.plan((op, before) => (op === 'write' && before < 5 ? 1 + before * 40 : undefined));
    await store.add([messageOf('m1', 'one'), messageOf('m2', 'x'.repeat(40_000)), messageOf('m3', 'y')]);
    disk.plan(undefined);
    await restart();
    expect(await listOf(store)).toEqual({ ids: ['m0', 'm1', 'm2', 'm3'], damaged: [] });
    expect((await bodyOf(store, 'm2')).toString()).toBe('x'.repeat(40_000));
  });

  test('copies a spool file that lies on another device', async () => {
    const path = join(root, 'spool');
    writeFileSync(path, 'spooled bytes');
    disk.plan((op) => (op === 'rename' ? 'EXDEV' : undefined));
    await store.add([{ ...messageOf('m1', 'a '), file: { path, from: 1, to: 7 } }]);
    expect((await bodyOf(store, 'm1')).toString()).toBe('a pooled');
    expect(readdirSync(root)).toEqual(['shard']);
  });
});

/** Everything the store does, once, in segments so small that most of it begins, frees or compacts one. */
async function everything(acknowledged: Set<string>, refused: Set<string>): Promise<void> {
  const add = async (id: string, size: number, spooled: boolean): Promise<void> => {
    const path = join(root, `spool-${id}`);
    if (spooled) writeFileSync(path, 'f'.repeat(size));
    const message = messageOf(id, 'x'.repeat(size));
    const failure = await codeOf(store.add([spooled ? { ...message, file: { path, from: 0, to: size } } : message]));
    (failure === undefined ? acknowledged : refused).add(id);
  };
  for (let round = 0; round < 3; round++) {
    await add(`r${round}a`, 70_000, false);
    await add(`r${round}b`, 20_000, round !== 1);
    await add(`r${round}c`, 90_000, false);
    if (acknowledged.has(`r${round}b`)) await store.settle(`r${round}b`, { recipients: [] });
    for (const id of [`r${round}a`, `r${round}c`]) if (acknowledged.delete(id)) await store.remove(id);
    await store.maintain();
    await store.maintain();
  }
}

const OPS: OpName[] = [
  'openLog',
  'openRead',
  'close',
  'write',
  'truncate',
  'syncFile',
  'syncDirectory',
  'sizeOf',
  'rename',
  'unlink',
];

test('the names of new folders are on the disk before a message is taken', async () => {
  const synced = new Set<string>();
  const queue = join(root, 'queue');
  const syncDirectory = (path: string) => {
    synced.add(path);
    return nodeFileOps.syncDirectory(path);
  };
  const fresh = createLevelStore({ directory: join(queue, '0'), files: { ...nodeFileOps, syncDirectory } });
  await fresh.open();
  expect([...synced].sort()).toEqual([dirname(queue), queue, join(queue, '0')]);
  await fresh.add([messageOf('m1', 'text')]);
  expect(synced).toContain(join(queue, '0', 'segments'));
  await fresh.close();
});

describe('each operation failing once', () => {
  test.each(OPS.flatMap((op) => ['EIO', 'ENOSPC'].map((code) => [op, code] as const)))(
    '%s with %s loses nothing that was acknowledged and shows nothing that was refused',
    async (op, code) => {
      await restart();
      for (let nth = 0; nth < 4; nth++) {
        disk.plan((name, before) => (name === op && before === nth ? code : undefined));
        const acknowledged = new Set<string>(['m0']);
        const refused = new Set<string>();
        await everything(acknowledged, refused);
        disk.plan(undefined);
        const { ids, damaged } = await listOf(store);
        expect(ids).toEqual([...acknowledged].sort());
        expect(damaged).toEqual([]);
        await restart();
        expect(await listOf(store)).toEqual({ ids: [...acknowledged].sort(), damaged: [] });
        for (const id of acknowledged) expect((await bodyOf(store, id)).length).toBeGreaterThan(10);
        for (const id of acknowledged) if (id !== 'm0') await store.remove(id);
        await store.maintain();
      }
    },
  );
});
