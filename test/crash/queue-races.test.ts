/**
 * Calls of the store that meet in the middle of one another. Each of these was found by reading: bytes of another file
 * were given out for a message's, a removed message came back, or one that was acknowledged was gone.
 */
import { closeSync, fstatSync, mkdtempSync, openSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { DeliveryState } from '@posthorn/core/queue/store';
import { createLevelStore, type FileOps, type LevelQueueStore, nodeFileOps } from '@posthorn/queue-level';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { systemError } from '../lib/queue-faults.ts';
import { bodyOf, listOf, messageOf } from '../lib/queue-messages.ts';
import { storeAt } from '../lib/upkeep-store.ts';

let root: string;
let directory: string;
let store: LevelQueueStore;
let reports: string[];

/** The store anew. */
async function restart(files: Partial<FileOps> = {}, segmentBytes?: number): Promise<void> {
  await store.close();
  store = storeAt(directory, reports, { files, ...(segmentBytes === undefined ? {} : { segmentBytes }) });
  await store.open();
}

beforeEach(async () => {
  root = mkdtempSync(join(tmpdir(), 'posthorn-races-'));
  directory = join(root, 'shard');
  reports = [];
  store = storeAt(directory, reports);
  await store.open();
});
afterEach(async () => {
  await store.close();
  rmSync(root, { recursive: true });
});

const later = (attempts: number): DeliveryState => ({ recipients: [{ status: 'pending', attempts, nextAttemptAtMs: attempts }] });

function spooled(bytes: string): { path: string; from: number; to: number } {
  const path = join(root, 'spool');
  writeFileSync(path, bytes);
  return { path, from: 0, to: bytes.length };
}

/** Messages, each in a segment of its own. */
async function addLarge(count: number): Promise<string[]> {
  const ids = Array.from({ length: count }, (_, index) => `m${String(index).padStart(2, '0')}`);
  for (const id of ids) await store.add([messageOf(id, [Buffer.alloc(200_000, `${id} `)])]);
  await store.maintain();
  return ids;
}

/** Begins to read bodies. */
async function beginReading(ids: readonly string[]): Promise<AsyncIterator<Uint8Array>[]> {
  const begun = ids.map((id) => store.body(id)[Symbol.asyncIterator]());
  for (const one of begun) await one.next();
  return begun;
}

/** What is read of a message, and files of others that are opened after its first chunk: they get free descriptors. */
async function readBeside(
  id: string,
  afterFirst: () => Promise<void>,
): Promise<{ foreign: boolean; open: boolean; end: string }> {
  const path = join(root, 'foreign');
  writeFileSync(path, Buffer.alloc(400_000, 'FOREIGN'));
  const fds: number[] = [];
  const chunks: Buffer[] = [];
  let end = 'whole';
  try {
    for await (const chunk of store.body(id)) {
      chunks.push(Buffer.from(chunk));
      if (chunks.length > 1) continue;
      await afterFirst();
      for (let count = 0; count < 8; count++) fds.push(openSync(path, 'r'));
    }
  } catch (error) {
    end = (error as { code: string }).code;
  }
  const isOpen = (fd: number): boolean => {
    try {
      return fstatSync(fd).isFile();
    } catch {
      return false;
    }
  };
  const open = fds.every(isOpen);
  for (const fd of fds) if (isOpen(fd)) closeSync(fd);
  return { foreign: Buffer.concat(chunks).includes('FOREIGN'), open, end };
}

describe('a body', () => {
  test('whose idle descriptor is found in the turn in which another reader would close it is read', async () => {
    const ids = await addLarge(20);
    const begun = await beginReading(ids.slice(0, 18));
    await begun[0]!.return!();
    const [first, second] = await Promise.all([bodyOf(store, 'm01'), bodyOf(store, 'm00')]);
    expect([first.length, second.length]).toEqual([200_000, 200_000]);
    for (const one of begun) await one.return!();
  });

  test('that two read for the first time at once has one descriptor, whatever a third reader closes', async () => {
    const ids = await addLarge(20);
    const begun = await beginReading(ids.slice(1, 18));
    const bodies = await Promise.all(['m00', 'm00', 'm18', 'm00'].map((id) => bodyOf(store, id)));
    expect(bodies.map((body) => body.length)).toEqual([200_000, 200_000, 200_000, 200_000]);
    for (const one of begun) await one.return!();
    const read = await readBeside('m00', async () => {
      await store.remove('m00');
      await store.maintain();
    });
    expect(read).toEqual({ foreign: false, open: true, end: 'whole' });
  });

  test('that is read while the store is closed is read to its end, and no bytes of another file', async () => {
    await addLarge(1);
    expect(await readBeside('m00', () => store.close())).toEqual({ foreign: false, open: true, end: 'whole' });
  });

  test('with a file is read to its end when its message is removed meanwhile', async () => {
    await store.add([{ ...messageOf('m1', [Buffer.alloc(100_000, 'x')]), file: spooled('spooled bytes') }]);
    let size = 0;
    for await (const chunk of store.body('m1')) {
      if (size === 0) {
        await store.remove('m1');
        await store.maintain();
      }
      size += chunk.length;
    }
    expect(size).toBe(100_013);
  });

  test('is read though the idle descriptor of another segment cannot be closed', async () => {
    let fails = false;
    const close = async (fd: number): Promise<void> => {
      await nodeFileOps.close(fd);
      if (fails) throw systemError('EIO');
    };
    await restart({ close });
    const ids = await addLarge(18);
    for (const id of ids.slice(0, 16)) await bodyOf(store, id);
    fails = true;
    expect(await bodyOf(store, 'm16')).toHaveLength(200_000);
    fails = false;
    expect(reports).toEqual([expect.stringContaining('store.close')]);
  });
});

describe('a close', () => {
  test('waits for an add that is under way: nothing is acknowledged by a store that gave its shard up', async () => {
    let go: (() => void) | undefined;
    const rename = async (from: string, to: string): Promise<void> => {
      if (from.endsWith('spool')) await new Promise<void>((resolve) => (go = resolve));
      return nodeFileOps.rename(from, to);
    };
    await restart({ rename });
    const adding = store.add([{ ...messageOf('m1', 'x'), file: spooled('spooled bytes') }]);
    let closed = false;
    const closing = store.close().then(() => (closed = true));
    await expect.poll(() => go !== undefined).toBe(true);
    expect(closed).toBe(false);
    go!();
    await Promise.all([adding, closing]);
    await restart();
    expect((await listOf(store)).ids).toEqual(['m1']);
  });

  test('beside an add of much brings the index up to date once: a removed message does not come back', async () => {
    await restart({}, 64 * 1024 * 1024);
    await store.add([messageOf('gone', 'x'), messageOf('other', 'x')]);
    await store.maintain();
    await store.settle('gone', later(1));
    await store.remove('gone');
    await store.remove('other');
    const envelope = Buffer.from(JSON.stringify({ pad: 'p'.repeat(17 * 1024 * 1024) }));
    const adding = store.add([{ ...messageOf('big', 'x'), envelope }]);
    await store.close();
    await adding;
    await restart({}, 64 * 1024 * 1024);
    expect((await listOf(store)).ids).toEqual(['big']);
  });

  test('that is asked for twice at once answers both when the shard is given up', async () => {
    await store.add([messageOf('a', 'a')]);
    void store.close();
    await store.close();
    const other = storeAt(directory, reports);
    await other.open();
    await other.close();
  });

  test('leaves a store behind that can be opened again, and keeps itself up then', async () => {
    let timers = 0;
    await store.close();
    const after = (): (() => void) => {
      timers++;
      return () => undefined;
    };
    store = createLevelStore({ directory, clock: { after } });
    await store.open();
    await store.add([messageOf('a', 'a')]);
    await store.close();
    await store.open();
    await store.remove('a');
    expect(timers).toBe(2);
  });
});
