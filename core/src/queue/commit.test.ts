/** Group commit against a store whose disk is turned by hand. */
import { expect, test } from 'vitest';
import { createCommitter, defaultCommitLimits } from './commit.ts';
import { type NewMessage, StoreError } from './store.ts';

function message(id: string, bytes = 1): NewMessage {
  return { id, envelope: new Uint8Array(0), pieces: [new Uint8Array(bytes)] };
}

/** A store that keeps each group until it is told how it went. */
function handStore(): {
  add: (group: readonly NewMessage[]) => Promise<void>;
  groups: string[][];
  end: (failure?: Error) => Promise<void>;
} {
  const groups: string[][] = [];
  const running: { resolve: () => void; reject: (cause: Error) => void }[] = [];
  return {
    groups,
    add(group) {
      groups.push(group.map((one) => one.id));
      return new Promise((resolve, reject) => running.push({ resolve, reject }));
    },
    async end(failure) {
      const one = running.shift()!;
      if (failure === undefined) one.resolve();
      else one.reject(failure);
      await new Promise((resolve) => setImmediate(resolve));
    },
  };
}

test('what comes while a group is written goes together into the next', async () => {
  const store = handStore();
  const committer = createCommitter(store);
  const done: string[] = [];
  committer.acceptBatch([message('a')], () => done.push('a'));
  committer.acceptBatch([message('b'), message('c')], () => done.push('bc'));
  committer.acceptBatch([message('d')], () => done.push('d'));
  expect(store.groups).toEqual([['a']]);
  await store.end();
  expect(done).toEqual(['a']);
  expect(store.groups).toEqual([['a'], ['b', 'c', 'd']]);
  await store.end();
  expect(done).toEqual(['a', 'bc', 'd']);
  expect(committer.waitingMessages).toBe(0);
  expect(committer.waitingBytes).toBe(0);
});

test('a group ends at its bounds, and a batch is never split', async () => {
  const store = handStore();
  const committer = createCommitter(store, { ...defaultCommitLimits, maxGroupMessages: 3, maxGroupBytes: 100 });
  for (const batch of [['x'], ['a', 'b'], ['c', 'd'], ['e']])
    committer.acceptBatch(
      batch.map((id) => message(id)),
      () => undefined,
    );
  committer.acceptBatch([message('large', 99)], () => undefined);
  committer.acceptBatch(
    ['1', '2', '3', '4'].map((id) => message(id)),
    () => undefined,
  );
  for (let group = 0; group < 5; group++) await store.end();
  expect(store.groups).toEqual([['x'], ['a', 'b'], ['c', 'd', 'e'], ['large'], ['1', '2', '3', '4']]);
});

test('the failure of a group goes to each of its batches, and the next is tried', async () => {
  const store = handStore();
  const committer = createCommitter(store);
  const told: (string | undefined)[] = [];
  committer.acceptBatch([message('a')], (failure) => told.push(failure?.code));
  committer.acceptBatch([message('b')], (failure) => told.push(failure?.code));
  committer.acceptBatch([message('c')], (failure) => told.push(failure?.code));
  await store.end();
  await store.end(new StoreError('PH_STORE_FULL', 'full'));
  committer.acceptBatch([message('d')], (failure) => told.push(failure?.code));
  await store.end(new Error('of another kind'));
  expect(told).toEqual([undefined, 'PH_STORE_FULL', 'PH_STORE_FULL', 'PH_STORE_FAILED']);
});

test('more than may wait is refused at once as busy, but never what finds nothing waiting', async () => {
  const store = handStore();
  const committer = createCommitter(store, { ...defaultCommitLimits, maxWaitingMessages: 2, maxWaitingBytes: 10 });
  const told: (string | undefined)[] = [];
  const accept = (id: string, bytes: number): void =>
    committer.acceptBatch([message(id, bytes)], (failure) => told.push(failure?.code));
  accept('huge', 50);
  accept('small', 1);
  expect(told).toEqual(['PH_STORE_BUSY']);
  await store.end();
  for (const id of ['a', 'b', 'c']) accept(id, 1);
  expect(told).toEqual(['PH_STORE_BUSY', undefined, 'PH_STORE_BUSY']);
});

test('idle resolves when everything has its answer', async () => {
  const store = handStore();
  const committer = createCommitter(store);
  const told: string[] = [];
  await committer.idle();
  committer.acceptBatch([message('a')], () => told.push('a'));
  committer.acceptBatch([message('b')], () => told.push('b'));
  const idle = committer.idle().then(() => told.push('idle'));
  await store.end();
  await store.end();
  await idle;
  expect(told).toEqual(['a', 'b', 'idle']);
});
