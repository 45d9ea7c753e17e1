import { expect, it } from 'vitest';
import { BufferPool } from './buffer-pool.ts';

it('gives the same buffer again, and never one that is lent', () => {
  const pool = new BufferPool();
  const first = pool.take();
  const second = pool.take(100_000);
  expect(second).not.toBe(first);
  pool.give(first);
  expect(pool.take()).toBe(first);
});

it('gives small ones past a bound, large enough for what is asked, and large ones again later', () => {
  const pool = new BufferPool();
  const lent = Array.from({ length: 64 }, () => pool.take());
  const small = pool.take();
  expect(small.length).toBeLessThan(20_000);
  expect(pool.take(130_000).length).toBe(130_000);
  pool.give(small);
  expect(pool.take().length).toBeLessThan(20_000);
  pool.give(lent[0]!);
  expect(pool.take()).toBe(lent[0]);
  expect(pool.take(300_000).length).toBe(300_000);
});

it('takes back what it lent, once, and nothing else', () => {
  const pool = new BufferPool();
  const lent = Array.from({ length: 64 }, () => pool.take());
  const fresh = pool.take(256 * 1024);
  for (const buffer of [lent[0]!, fresh]) {
    pool.give(buffer);
    expect(() => pool.give(buffer)).toThrow('not lent');
  }
  expect(() => pool.give(Buffer.alloc(256 * 1024))).toThrow('not lent');
  expect(pool.take()).toBe(lent[0]);
  expect(pool.take().length).toBeLessThan(20_000);
});
