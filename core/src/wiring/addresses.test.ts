import { expect, test } from 'vitest';
import { createAddressMatcher } from './addresses.ts';

test('an address list matches ranges of both families and single addresses', () => {
  const matches = createAddressMatcher(['10.0.0.0/8', '192.0.2.7', '2001:db8::/32']);
  expect(['10.9.9.9', '192.0.2.7', '2001:db8:1::1', '::ffff:10.1.1.1'].map(matches)).toEqual([true, true, true, true]);
  // As a proxy may write it.
  expect(['::ffff:a01:101', '::FFFF:192.0.2.7', '2001:DB8:0:0::1'].map(matches)).toEqual([true, true, true]);
  expect(['11.0.0.1', '192.0.2.8', '2001:db9::1', 'rubbish', ''].map(matches)).toEqual([false, false, false, false, false]);
});

test('an empty list matches nobody', () => {
  expect(createAddressMatcher([])('127.0.0.1')).toBe(false);
});
