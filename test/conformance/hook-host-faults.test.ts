/**
 * What a plugin can do to its thread: at each, the one who asked gets the declared answer within the deadline plus
 * 100 ms, everyone else's calls are answered as if nothing was, and the pool is whole again. Prints what was measured.
 */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type HookRig, messageOf, rcpt, startHooks, timed } from '../lib/hook-rig.ts';

const DEADLINE_MS = 1500;
const GRACE_MS = 100;
const figures: string[] = [];

/** How much later than asked for this process wakes up: what the machine, and not the pool, adds to an answer. */
function lateness(delayMs: number): Promise<number> {
  const from = performance.now();
  return new Promise((resolve) => setTimeout(() => resolve(performance.now() - from - delayMs), delayMs));
}

interface Fault {
  readonly way: string;
  /** Where it is tried; both if nothing is said. */
  readonly on?: readonly ('compute' | 'wait')[];
  readonly failure: 'timeout' | 'crash' | 'threw' | 'nonsense' | 'crash|timeout';
  /** Does it cost the thread? */
  readonly kills: boolean;
}

const faults: Fault[] = [
  { way: 'endless', on: ['compute'], failure: 'timeout', kills: true },
  { way: 'endless', on: ['wait'], failure: 'crash', kills: true },
  { way: 'endless-later', on: ['compute'], failure: 'timeout', kills: true },
  { way: 'regex', on: ['compute'], failure: 'timeout', kills: true },
  { way: 'throws', failure: 'threw', kills: false },
  // Whether the heap is full before the deadline depends on the machine.
  { way: 'fill-heap', failure: 'crash|timeout', kills: true },
  { way: 'fill-buffers', failure: 'crash|timeout', kills: true },
  { way: 'never', failure: 'timeout', kills: false },
  { way: 'resolves-late', failure: 'timeout', kills: false },
  { way: 'rejects-late', failure: 'timeout', kills: false },
  { way: 'nonsense', failure: 'nonsense', kills: false },
  { way: 'exit', failure: 'crash', kills: true },
  { way: 'exit-later', failure: 'crash', kills: true },
  { way: 'throws-outside', failure: 'crash', kills: true },
];

afterAll(() => console.log(figures.join('\n')));

for (const kind of ['compute', 'wait'] as const) {
  describe(`on a ${kind} thread, a plugin that does`, () => {
    let rig: HookRig;
    beforeAll(async () => {
      rig = await startHooks(
        [{ './evil.ts': { isolation: kind, deadlineMs: DEADLINE_MS } }, { './finder.ts': { isolation: kind, deadlineMs: 5000 } }],
        {
          threads: 2,
          heapLimitBytes: 48 * 1024 * 1024,
          externalLimitBytes: 96 * 1024 * 1024,
        },
      );
    });
    afterAll(() => rig.close());

    test.each(faults.filter(({ on }) => on === undefined || on.includes(kind)))('$way', async ({ way, failure, kills }) => {
      rig.lines.length = 0;
      const innocentsBefore = Array.from({ length: 20 }, () => timed(rig.pipeline.rcpt!(rcpt('finds'))));
      const late = lateness(DEADLINE_MS);
      const guilty = timed(rig.pipeline.rcpt!(rcpt(way)));
      const innocentsAfter = Array.from({ length: 20 }, () => timed(rig.pipeline.rcpt!(rcpt('finds'))));
      const { verdict, tookMs } = await guilty;
      const innocents = await Promise.all([...innocentsBefore, ...innocentsAfter]);

      expect(verdict).toMatchObject({
        kind: 'defer',
        code: 451,
        enhanced: '4.3.0',
        plugin: 'evil',
        cause: expect.stringMatching(new RegExp(`: (?:${failure}): `)),
      });
      if (tookMs > DEADLINE_MS) expect(tookMs).toBeLessThan(DEADLINE_MS + GRACE_MS + (await late));
      for (const one of innocents)
        expect(one.verdict).toMatchObject({ kind: 'pass', evidence: [{ name: 'EVIL' }, { name: 'RCPT' }] });
      expect(rig.lines.filter(({ event }) => event === 'hook.failed')).toHaveLength(1);
      await expect.poll(() => rig.lines.some(({ event }) => event === 'plugin-thread.died')).toBe(kills);
      await expect.poll(() => rig.pool.status.map(({ state }) => state)).toEqual(['serving', 'serving']);

      const slowest = Math.max(...innocents.map((one) => one.tookMs));
      figures.push(`${kind} ${way}: answered after ${tookMs.toFixed(0)} ms, slowest of 40 others ${slowest.toFixed(0)} ms`);
    });
  });
}

test('an endless loop after an await on a wait thread has nobody to blame: everyone there is tried once more', async () => {
  const rig = await startHooks([{ './evil.ts': { isolation: 'wait', deadlineMs: 2000 } }], { threads: 2 });
  const late = lateness(2000);
  const { verdict, tookMs } = await timed(rig.pipeline.rcpt!(rcpt('endless-later')));
  expect(verdict).toMatchObject({ kind: 'defer', plugin: 'evil' });
  expect(tookMs).toBeLessThan(2000 + GRACE_MS + (await late));
  await expect.poll(() => rig.pool.status.map(({ state }) => state)).toEqual(['serving', 'serving']);
  expect(await rig.pipeline.rcpt!(rcpt('finds'))).toMatchObject({ kind: 'pass' });
  await rig.close();
});

test('a stray rejection of a plugin is logged and costs nothing', async () => {
  const rig = await startHooks([{ './evil.ts': { isolation: 'compute' } }], { threads: 1 });
  expect(await rig.pipeline.rcpt!(rcpt('rejects-outside'))).toMatchObject({ kind: 'pass' });
  await expect.poll(() => rig.lines.map(({ event }) => event)).toEqual(['plugin.unhandled-rejection']);
  expect(rig.pool.status).toMatchObject([{ state: 'serving' }]);
  await rig.close();
});

test('with one thread, what waits behind an endless loop is answered by its successor before the loop is ended', async () => {
  const rig = await startHooks([{ './evil.ts': { isolation: 'compute', deadlineMs: 2000 } }], { threads: 1 });
  const guilty = timed(rig.pipeline.rcpt!(rcpt('endless')));
  const innocent = await timed(rig.pipeline.rcpt!(rcpt('finds')));
  expect(innocent.verdict.kind).toBe('pass');
  const { verdict, tookMs } = await guilty;
  expect(verdict.kind).toBe('defer');
  expect(innocent.tookMs).toBeLessThan(tookMs);
  await rig.close();
});

test('a slow answer in time counts, even when the thread was given up as stuck', async () => {
  const rig = await startHooks([{ './evil.ts': { isolation: 'compute', deadlineMs: 5000 } }], { threads: 1 });
  expect(await rig.pipeline.rcpt!(rcpt('slow'))).toMatchObject({ kind: 'reject', text: 'slow but in time' });
  await rig.close();
});

test('a plugin that kills its thread at every message does not take the others with it, nor leave memory behind', async () => {
  const rig = await startHooks([{ './evil.ts': { isolation: 'compute', deadlineMs: 3000 } }], { threads: 2 });
  const bytes = Buffer.from('Subject: x\r\n\r\nbody\r\n');
  const outcomes = await Promise.all(
    Array.from({ length: 40 }, async (_, index) => {
      const held = await rig.hold(bytes);
      const verdict = await rig.pipeline.message!(messageOf(held, index % 10 === 5 ? 'exit' : 'finds'));
      held.drop();
      return verdict.kind;
    }),
  );
  expect(outcomes.map((kind, index) => (index % 10 === 5 ? kind === 'defer' : kind === 'pass'))).not.toContain(false);
  expect(rig.memory.usedBytes).toBe(0);
  await rig.close();
});

test('more calls than may be pending fail at once, and close lets the others end', async () => {
  const rig = await startHooks([{ './evil.ts': { isolation: 'wait', deadlineMs: 300 } }], { threads: 1 });
  const all = Array.from({ length: 10_010 }, async () => rig.pipeline.rcpt!(rcpt('never')));
  const closed = rig.close();
  const causes = (await Promise.all(all)).map(({ cause }) => /overload|timeout/.exec(cause ?? '')?.[0]);
  expect(causes.filter((cause) => cause === 'overload')).toHaveLength(10);
  expect(causes.filter((cause) => cause === 'timeout')).toHaveLength(10_000);
  await closed;
});
