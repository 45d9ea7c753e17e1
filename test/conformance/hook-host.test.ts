/** One suite over every place a plugin can run: inline, on a compute thread, on a wait thread. The verdicts are the same. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type HookRig, messageOf, rcpt, startHooks } from '../lib/hook-rig.ts';

const places = [
  ['inline', 'inline'],
  ['compute', 'compute'],
  ['wait', 'wait'],
  ['inline', 'compute'],
  ['compute', 'inline'],
  ['wait', 'compute'],
] as const;
const spam = Buffer.from('Subject: spam\r\nX: 1\r\n\r\nbody\r\n');

for (const [finder, looker] of places) {
  describe(`finder ${finder}, looker ${looker}`, () => {
    let rig: HookRig;
    beforeAll(async () => {
      rig = await startHooks(
        [
          { './looker.ts': { isolation: looker, header: 'X-Looked', deadlineMs: 5000 } },
          { './finder.ts': { isolation: finder, deadlineMs: 5000 } },
          { './evil.ts': { isolation: looker, deadlineMs: 5000, onFailure: 'pass' } },
        ],
        { spillBytes: 64 * 1024 },
      );
    });
    afterAll(() => rig.close());

    test('evidence, edits and what a reader sees', async () => {
      const held = await rig.hold(spam);
      const verdict = await rig.pipeline.message!(messageOf(held));
      const sum = spam.reduce((total, byte) => (total + byte) % 65521, 0);
      expect(verdict).toEqual({
        kind: 'pass',
        evidence: [
          { name: 'SUBJECT_SPAM', weight: 3, reason: 'it says so', plugin: 'finder' },
          { name: 'LOOKED', weight: 0.5, reason: 'saw it', plugin: 'looker' },
        ],
        edits: [
          {
            edit: 'add-header',
            name: 'X-Looked',
            value: `${sum}|${spam.length}|Subject: spam|m1|client.test|other:EARLIER,finder:SUBJECT_SPAM|X-LOOKED|mx.test`,
          },
        ],
      });
      held.drop();
      expect(rig.memory.usedBytes).toBe(0);
    });

    test('a message in a spool file is read like one in memory', async () => {
      const large = Buffer.concat([spam, Buffer.alloc(300 * 1024, 'x')]);
      const held = await rig.hold(large);
      expect(held.sealed!.place.in).toBe('file');
      const { edits } = await rig.pipeline.message!(messageOf(held));
      const sum = large.reduce((total, byte) => (total + byte) % 65521, 0);
      expect(edits).toMatchObject([{ value: expect.stringContaining(`${sum}|${large.length}|Subject: spam|`) }]);
      held.drop();
      expect(rig.memory.usedBytes).toBe(0);
    });

    test('a reject with its code, text and private cause', async () => {
      expect(await rig.pipeline.rcpt!(rcpt('nobody'))).toEqual({
        kind: 'reject',
        text: 'a@example.org may not',
        code: 553,
        enhanced: '5.7.2',
        cause: 'private',
        plugin: 'looker',
        evidence: [{ name: 'RCPT', weight: 0.1, reason: 'seen', plugin: 'finder' }],
        edits: [],
      });
    });

    test.each(['throws', 'throws-nothing', 'nonsense', 'nonsense-function'])('a plugin that %s and passes', async (way) => {
      rig.lines.length = 0;
      expect(await rig.pipeline.rcpt!(rcpt(way))).toMatchObject({ kind: 'pass', evidence: [{ name: 'RCPT' }] });
      expect(rig.lines).toMatchObject([{ event: 'hook.failed', plugin: 'evil', stage: 'rcpt', session: 's1' }]);
    });
  });
}

test('everything asked in one turn goes out as one message, and comes to each who asked', async () => {
  const rig = await startHooks([{ './evil.ts': { deadlineMs: 5000 } }], { threads: 1 });
  await rig.pipeline.rcpt!(rcpt('ok'));
  rig.counts.clear();
  const ways = Array.from({ length: 200 }, (_, index) => (index % 2 === 0 ? 'finds' : 'rejects'));
  const verdicts = await Promise.all(ways.map(async (way) => rig.pipeline.rcpt!(rcpt(way))));
  expect(verdicts.map(({ kind }) => (kind === 'pass' ? 'finds' : 'rejects'))).toEqual(ways);
  expect(Object.fromEntries(rig.counts)).toEqual({ 'hook.hops': 1, 'hook.calls': 200 });
  await rig.close();
});

test('calls go to all threads of a kind', async () => {
  const rig = await startHooks([{ './evil.ts': { deadlineMs: 5000 } }], { threads: 2 });
  await rig.pipeline.rcpt!(rcpt('ok'));
  rig.counts.clear();
  await Promise.all(Array.from({ length: 10 }, async () => rig.pipeline.rcpt!(rcpt('ok'))));
  expect(Object.fromEntries(rig.counts)).toEqual({ 'hook.hops': 2, 'hook.calls': 10 });
  await rig.close();
});

test('without threaded plugins there are no threads', async () => {
  const rig = await startHooks(['./finder.ts']);
  expect(rig.pool.status).toEqual([]);
  expect(rig.pipeline.rcpt!(rcpt('a'))).toMatchObject({ kind: 'pass' });
  await rig.close();
});
