/**
 * Level that cannot be written, as on a full disk: the store goes on taking mail and recording what became of it, gives
 * up its lock to nobody, and catches up once there is room.
 */
import { execFileSync } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { DeliveryState } from '@posthorn/core/queue/store';
import type { LevelQueueStore } from '@posthorn/queue-level';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { breakLevel, healLevel } from '../lib/level-faults.ts';
import { bodyOf, listOf, messageOf } from '../lib/queue-messages.ts';
import { storeAt } from '../lib/upkeep-store.ts';

let root: string;
let directory: string;
let store: LevelQueueStore;
let reports: string[];

async function reopen(): Promise<void> {
  await store.close();
  store = storeAt(directory, reports);
  await store.open();
}

beforeEach(async () => {
  root = mkdtempSync(join(tmpdir(), 'posthorn-index-'));
  directory = join(root, 'shard');
  reports = [];
  store = storeAt(directory, reports);
  await store.open();
});
afterEach(async () => {
  healLevel();
  await store.close().catch(() => undefined);
  rmSync(root, { recursive: true });
});

const later = (attempts: number): DeliveryState => ({ recipients: [{ status: 'pending', attempts, nextAttemptAtMs: attempts }] });
const codeOf = (doing: Promise<unknown>): Promise<string> =>
  doing.then(
    () => 'done',
    (error: { code: string }) => error.code,
  );

// Level was closed after a failed write and could not be opened again on a full disk: a settle of a message in it threw,
// and the recipients that had their copy got another one.
test('while the index cannot be written, mail in it is read, settled, listed and removed, and nothing of that is lost', async () => {
  await store.add(['a', 'b', 'c'].map((id) => messageOf(id, id)));
  await store.maintain();
  await store.settle('a', later(1));
  breakLevel('_batch', '_open');
  await store.maintain();
  await store.settle('b', later(2));
  await store.remove('c');
  await store.add([messageOf('d', 'd')]);
  expect((await listOf(store)).ids).toEqual(['a', 'b', 'd']);
  expect((await bodyOf(store, 'a')).toString()).toBe('a');
  healLevel();
  await store.maintain();
  await reopen();
  expect((await listOf(store)).ids).toEqual(['a', 'b', 'd']);
  expect([(await store.read('a'))?.state, (await store.read('b'))?.state]).toEqual([later(1), later(2)]);
  expect(reports).toEqual([expect.stringContaining('"step":"checkpoint"')]);
});

test('an index that could not be opened again for a while takes no mail meanwhile, and comes back by itself', async () => {
  await store.add(['a', 'b'].map((id) => messageOf(id, id)));
  await store.maintain();
  await store.remove('a');
  breakLevel('_batch', '_open');
  await store.maintain();
  await store.maintain();
  await store.remove('b');
  const group = [messageOf('c', 'c')];
  expect(await codeOf(store.add(group))).toBe('PH_STORE_FAILED');
  expect(await codeOf(store.read('x'))).toBe('PH_STORE_FAILED');
  expect(await codeOf(listOf(store))).toBe('PH_STORE_FAILED');
  healLevel();
  await store.maintain();
  await store.add(group);
  await reopen();
  expect((await listOf(store)).ids).toEqual(['c']);
});

test('what is asked of a message while the index is opened again waits for it', async () => {
  await store.add(['a', 'b'].map((id) => messageOf(id, id)));
  await store.maintain();
  await store.settle('a', later(1));
  breakLevel('_batch');
  await store.maintain();
  healLevel();
  const upkeep = store.maintain();
  const asked: Promise<unknown>[] = [];
  const lists: Promise<string>[] = [];
  const done = upkeep.then(() => true);
  while (!(await Promise.race([done, new Promise((resolve) => setImmediate(resolve, false))]))) {
    asked.push(store.settle('b', later(asked.length)), store.read('b'), bodyOf(store, 'b'));
    lists.push(codeOf(listOf(store)));
  }
  expect(asked.length).toBeGreaterThan(3);
  await Promise.all(asked);
  expect((await store.read('b'))?.state).toEqual(later(asked.length - 3));
  // A list that was under way cannot go on, and says so.
  for (const code of await Promise.all(lists)) expect(['done', 'PH_STORE_FAILED']).toContain(code);
});

// The second process was told that its mail was stored, and the first wrote over it.
test('a shard that another process had meanwhile is not written to any more', async () => {
  await store.add([messageOf('a', 'a')]);
  await store.maintain();
  await store.settle('a', later(1));
  breakLevel('_batch', '_open');
  await store.maintain();
  await store.maintain();
  healLevel();
  const script = `import { createLevelStore } from '@posthorn/queue-level';
    const store = createLevelStore({ directory: ${JSON.stringify(directory)} });
    await store.open();
    await store.add([{ id: 'other', envelope: Buffer.from('{}'), pieces: [Buffer.from('x'.repeat(3000))] }]);
    await store.close();`;
  execFileSync(process.execPath, ['--input-type=module', '--eval', script], { cwd: import.meta.dirname });
  await store.maintain();
  expect(await codeOf(store.add([messageOf('c', 'c'.repeat(1000))]))).toBe('PH_STORE_FAILED');
  expect(reports.at(-1)).toMatch(/"step":"checkpoint".*was taken by another process/);
  await store.close().catch(() => undefined);
  store = storeAt(directory, reports);
  await store.open();
  expect((await listOf(store)).ids).toEqual(['a', 'other']);
  expect(await bodyOf(store, 'other')).toHaveLength(3000);
});

test('no other process gets the shard while its index cannot be written', async () => {
  await store.add([messageOf('a', 'a')]);
  breakLevel('_batch', '_open');
  await store.maintain();
  const script = `import { createLevelStore } from '@posthorn/queue-level';
    await createLevelStore({ directory: ${JSON.stringify(directory)} }).open().catch(({ code }) => console.log(code));`;
  const said = execFileSync(process.execPath, ['--input-type=module', '--eval', script], { cwd: import.meta.dirname });
  expect(said.toString().trim()).toBe('PH_STORE_LOCKED');
});

test('body files of messages that were removed while the index could not be written go once it can', async () => {
  const path = join(root, 'spool');
  writeFileSync(path, 'spooled bytes');
  await store.add([{ ...messageOf('m1', ''), file: { path, from: 0, to: 13 } }]);
  await store.maintain();
  await store.remove('m1');
  breakLevel('_batch');
  await store.maintain();
  expect(existsSync(join(directory, 'bodies', 'm1'))).toBe(true);
  healLevel();
  await store.maintain();
  expect(readdirSync(join(directory, 'bodies'))).toEqual([]);
});
