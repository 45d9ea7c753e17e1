/**
 * What every queue store promises, as tests: called by queue-store.test.ts for the stores of this project, and by any
 * other package that brings one. `make` gives a store that is not open, over the same place each time it is called
 * within a test, so that closing one and opening the next is a restart.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { access, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type DeliveryState, type NewMessage, type QueueStore, StoreError } from '@posthorn/core/queue/store';
import * as fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { bodyOf, envelopeOf, listOf, messageOf } from '../lib/queue-messages.ts';

/** Makes the store of a test. */
export type MakeStore = (directory: string) => QueueStore;

const tried: DeliveryState = {
  recipients: [
    { status: 'delivered', attempts: 1, nextAttemptAtMs: 0, reply: '250 2.0.0 Ok' },
    {
      status: 'pending',
      attempts: 1,
      nextAttemptAtMs: 1_700_000_300_000,
      reply: '451 4.3.0 Später',
      warned: 1,
      owed: { nextHop: 'maildir:a', handover: { to: 'mailbox', reports: false, keepsTime: true } },
    },
  ],
};

async function codeOf(doing: Promise<unknown>): Promise<string> {
  const failure = await doing.then(
    () => undefined,
    (cause: unknown) => cause,
  );
  return failure instanceof StoreError ? failure.code : `no StoreError: ${String(failure)}`;
}

/** Registers the suite for one implementation. */
export function queueStoreSuite(name: string, make: MakeStore): void {
  describe(`queue store: ${name}`, () => {
    let directory: string;
    let store: QueueStore;

    beforeEach(async () => {
      directory = mkdtempSync(join(tmpdir(), 'posthorn-store-'));
      store = make(join(directory, 'shard'));
      await store.open();
    });
    afterEach(async () => {
      await store.close();
      rmSync(directory, { recursive: true });
    });

    test('gives back the envelope and the pieces in order', async () => {
      await store.add([
        messageOf('m1', [Buffer.from('Received: x\r\n'), Buffer.alloc(0), Buffer.from('Subject: y\r\n\r\nz\r\n')]),
      ]);
      expect(await store.read('m1')).toEqual({ envelope: envelopeOf('m1'), state: undefined });
      expect((await bodyOf(store, 'm1')).toString()).toBe('Received: x\r\nSubject: y\r\n\r\nz\r\n');
    });

    test('gives a large body in chunks of at most 64 KiB', async () => {
      const body = Buffer.alloc(300_001, 'ab\r\n');
      await store.add([messageOf('m1', [body.subarray(0, 100_000), body.subarray(100_000)])]);
      const sizes: number[] = [];
      for await (const chunk of store.body('m1')) sizes.push(chunk.length);
      expect(Math.max(...sizes)).toBeLessThanOrEqual(64 * 1024);
      expect((await bodyOf(store, 'm1')).equals(body)).toBe(true);
    });

    test('keeps a message without a body', async () => {
      await store.add([messageOf('m1', [])]);
      expect(await bodyOf(store, 'm1')).toHaveLength(0);
    });

    test('puts the range of a spool file behind the pieces and takes the file over', async () => {
      const path = join(directory, 'spool');
      const bytes = Buffer.alloc(200_000, '0123456789');
      await writeFile(path, bytes);
      await store.add([{ ...messageOf('m1', 'head\r\n'), file: { path, from: 5, to: 150_003 } }]);
      const expected = Buffer.concat([Buffer.from('head\r\n'), bytes.subarray(5, 150_003)]);
      expect((await bodyOf(store, 'm1')).equals(expected)).toBe(true);
      await expect(access(path)).rejects.toThrow('ENOENT');
      await store.close();
      store = make(join(directory, 'shard'));
      await store.open();
      if ((await store.read('m1')) !== undefined) expect((await bodyOf(store, 'm1')).equals(expected)).toBe(true);
      await store.remove('m1');
      expect((await listOf(store)).ids).toEqual([]);
    });

    test('does not look at the buffers again once add has resolved', async () => {
      const message = messageOf('m1', 'the bytes\r\n');
      await store.add([message]);
      message.envelope.fill(0);
      message.pieces[0]!.fill(0);
      expect((await store.read('m1'))?.envelope.id).toBe('m1');
      expect((await bodyOf(store, 'm1')).toString()).toBe('the bytes\r\n');
    });

    test('takes pieces that lie in shared memory', async () => {
      const shared = new Uint8Array(new SharedArrayBuffer(70_000)).fill(65);
      await store.add([messageOf('m1', [shared.subarray(10, 20), shared.subarray(0, 60_000)])]);
      expect((await bodyOf(store, 'm1')).equals(Buffer.alloc(60_010, 'A'))).toBe(true);
    });

    test('records what became of recipients, the last state winning', async () => {
      await store.add([messageOf('m1', 'x', 2)]);
      await store.settle('m1', { recipients: [tried.recipients[1]!, tried.recipients[1]!] });
      await store.settle('m1', tried);
      expect((await store.read('m1'))?.state).toEqual(tried);
    });

    test('forgets a removed message', async () => {
      await store.add([messageOf('m1', 'x'), messageOf('m2', 'y')]);
      await store.remove('m1');
      expect(await store.read('m1')).toBeUndefined();
      expect(await codeOf(bodyOf(store, 'm1'))).toBe('PH_STORE_FAILED');
      expect(await listOf(store)).toEqual({ ids: ['m2'], damaged: [] });
    });

    test('takes settle and remove of a message it does not have for done', async () => {
      await store.settle('nobody', tried);
      await store.remove('nobody');
      await store.remove('nobody');
      expect(await listOf(store)).toEqual({ ids: [], damaged: [] });
    });

    test('lists the oldest first', async () => {
      for (const group of [['b3', 'b1'], ['a9'], ['c2', 'b2']]) await store.add(group.map((id) => messageOf(id, id)));
      await store.settle('b1', tried);
      expect((await listOf(store)).ids).toEqual(['a9', 'b1', 'b2', 'b3', 'c2']);
    });

    test('has all of it after a restart', async () => {
      await store.add([messageOf('m1', 'one', 2), messageOf('m2', 'two'), messageOf('m3', 'three')]);
      await store.settle('m1', tried);
      await store.remove('m2');
      await store.close();
      // A store in memory is the same object again; for it a restart is no loss either.
      store = name.includes('memory') ? store : make(join(directory, 'shard'));
      await store.open();
      expect((await listOf(store)).ids).toEqual(['m1', 'm3']);
      expect(await store.read('m1')).toEqual({ envelope: envelopeOf('m1', 2), state: tried });
      expect((await bodyOf(store, 'm3')).toString()).toBe('three');
    });

    test.each(['', '../up', 'a/b', '.hidden', 'ä', 'x'.repeat(65), 'a b'])(
      'refuses the id %j and stores nothing of its group',
      async (id) => {
        expect(await codeOf(store.add([messageOf('good', 'x'), messageOf(id, 'y')]))).toBe('PH_STORE_FAILED');
        expect((await listOf(store)).ids).toEqual([]);
      },
    );

    test('stores nothing of a group when a spool file is missing or too short', async () => {
      const path = join(directory, 'spool');
      await writeFile(path, 'short');
      for (const file of [
        { path: join(directory, 'none'), from: 0, to: 5 },
        { path, from: 0, to: 6 },
      ]) {
        expect(await codeOf(store.add([messageOf('m1', 'x'), { ...messageOf('m2', 'y'), file }]))).toBe('PH_STORE_FAILED');
      }
      expect((await listOf(store)).ids).toEqual([]);
    });

    test('says PH_STORE_CLOSED when it is not open', async () => {
      await store.close();
      await store.close();
      const doing = [store.add([messageOf('m1', 'x')]), store.read('m1'), store.settle('m1', tried), store.remove('m1')];
      for (const one of [...doing, store.freeBytes(), bodyOf(store, 'm1'), listOf(store)]) {
        expect(await codeOf(one)).toBe('PH_STORE_CLOSED');
      }
    });

    test('knows how many bytes are free', async () => {
      expect(await store.freeBytes()).toBeGreaterThan(0);
    });

    test('agrees with a model through any sequence of calls and restarts', async () => {
      const step = fc.oneof(
        {
          weight: 4,
          arbitrary: fc.record({
            do: fc.constant('add' as const),
            sizes: fc.array(fc.nat(50_000), { minLength: 1, maxLength: 4 }),
          }),
        },
        { weight: 3, arbitrary: fc.record({ do: fc.constantFrom('settle' as const, 'remove' as const), pick: fc.nat() }) },
        { weight: 1, arbitrary: fc.record({ do: fc.constant('restart' as const) }) },
      );
      let run = 0;
      await fc.assert(
        fc.asyncProperty(fc.array(step, { maxLength: 25 }), async (steps) => {
          const place = join(directory, `run-${++run}`);
          let tested = make(place);
          await tested.open();
          const model = new Map<string, { message: NewMessage; state: DeliveryState | undefined }>();
          let next = 0;
          for (const one of steps) {
            if (one.do === 'add') {
              const group = one.sizes.map((size) => messageOf(`r${run}.${String(++next).padStart(4, '0')}`, 'z'.repeat(size), 2));
              await tested.add(group);
              for (const message of group) model.set(message.id, { message, state: undefined });
            } else if (one.do === 'restart') {
              await tested.close();
              if (!name.includes('memory')) tested = make(place);
              await tested.open();
            } else {
              const id = [...model.keys()][one.pick % Math.max(1, model.size)] ?? 'nobody';
              if (one.do === 'remove') {
                await tested.remove(id);
                model.delete(id);
              } else {
                const state = { recipients: [{ status: 'pending' as const, attempts: 1, nextAttemptAtMs: one.pick }] };
                await tested.settle(id, state);
                const held = model.get(id);
                if (held !== undefined) held.state = state;
              }
            }
          }
          expect((await listOf(tested)).ids).toEqual([...model.keys()].sort());
          for (const [id, { message, state }] of model) {
            expect(await tested.read(id)).toEqual({ envelope: envelopeOf(id, 2), state });
            expect((await bodyOf(tested, id)).equals(Buffer.concat(message.pieces))).toBe(true);
          }
          await tested.close();
        }),
        { numRuns: 25 },
      );
    });
  });
}
