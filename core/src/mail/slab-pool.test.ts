import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { SharedSlabs, SlabPool, type Block } from './slab-pool.ts';

const KIB = 1024;
const MIB = 1024 * KIB;

function overlaps(a: Block, b: Block): boolean {
  return a.slab === b.slab && a.offset < b.offset + b.bytes.length && b.offset < a.offset + a.bytes.length;
}

test('blocks in use never overlap, and the bytes in use add up', () => {
  const steps = fc.array(fc.oneof(fc.record({ take: fc.integer({ min: 0, max: 1200 * KIB }) }), fc.record({ give: fc.nat() })), {
    maxLength: 120,
  });
  fc.assert(
    fc.property(steps, (list) => {
      const known = new SharedSlabs();
      const pool = new SlabPool({
        threadIndex: 3,
        limitBytes: 6 * MIB,
        largestBlockBytes: MIB,
        keepBytes: 2 * MIB,
        onNewSlab: (id, memory) => known.announce(id, memory),
        onSlabGone: (id) => known.forget(id),
      });
      const held: Block[] = [];
      for (const step of list) {
        if ('give' in step) {
          const [block] = held.length === 0 ? [] : held.splice(step.give % held.length, 1);
          if (block !== undefined) pool.give(block);
          continue;
        }
        const block = pool.take(step.take);
        if (step.take > MIB) expect(block).toBeUndefined();
        if (block === undefined) continue;
        expect(block.bytes.length).toBeGreaterThanOrEqual(step.take);
        expect(held.some((other) => overlaps(block, other))).toBe(false);
        expect(known.view({ slab: block.slab, offset: block.offset, length: 1 }).buffer).toBe(block.bytes.buffer);
        held.push(block);
      }
      expect(pool.usedBytes).toBe(held.reduce((sum, block) => sum + block.bytes.length, 0));
      expect(pool.heldBytes).toBeLessThanOrEqual(6 * MIB);
      for (const block of held) pool.give(block);
      expect(pool.usedBytes).toBe(0);
      expect(pool.heldBytes).toBeLessThanOrEqual(2 * MIB);
      expect([...known.entries()]).toHaveLength(pool.heldBytes / MIB);
    }),
    { numRuns: 200 },
  );
});

test('a pool at its limit says so, and serves again when blocks came back', () => {
  const pool = new SlabPool({ threadIndex: 0, limitBytes: 2 * MIB, largestBlockBytes: MIB });
  const first = pool.take(MIB)!;
  const second = pool.take(MIB)!;
  expect(pool.take(1)).toBeUndefined();
  pool.give(first);
  expect(pool.take(1)).toBeDefined();
  pool.give(second);
});

test('every class can use what other classes gave back', () => {
  const pool = new SlabPool({ threadIndex: 0, limitBytes: MIB, largestBlockBytes: MIB });
  for (let size = 8 * KIB; size <= MIB; size *= 2) pool.give(pool.take(size)!);
  expect(pool.heldBytes).toBe(MIB);
});

test('a block given back twice is an error, not two owners', () => {
  const pool = new SlabPool({ threadIndex: 0, limitBytes: MIB, largestBlockBytes: MIB });
  const block = pool.take(10)!;
  pool.give(block);
  expect(() => pool.give(block)).toThrow('twice');
});

test('a view of memory that was never announced is an error', () => {
  expect(() => new SharedSlabs().view({ slab: 7, offset: 0, length: 1 })).toThrow('not known');
});

test('the memory of a thread that ended is forgotten, that of others is not', () => {
  const known = new SharedSlabs();
  const pools = [1, 2].map(
    (threadIndex) =>
      new SlabPool({
        threadIndex,
        limitBytes: 4 * MIB,
        largestBlockBytes: MIB,
        onNewSlab: (id, memory) => known.announce(id, memory),
      }),
  );
  const [one, two] = pools.map((pool) => pool.take(MIB)!);
  known.forgetThread(1);
  expect(() => known.view({ slab: one!.slab, offset: 0, length: 1 })).toThrow('not known');
  expect(known.view({ slab: two!.slab, offset: 0, length: 1 })).toHaveLength(1);
});
