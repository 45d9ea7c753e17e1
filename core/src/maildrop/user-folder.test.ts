import { expect, it } from 'vitest';
import { isUserName, maildirOf } from './user-folder.ts';

it.each(['alice', 'alice@example.org', 'a.b+c', 'Jörg', '名前', '_x', '0', 'x'.repeat(200)])('%s can be a user', (name) => {
  expect(isUserName(name)).toBe(true);
});

it.each([
  '',
  '.',
  '..',
  '../bob',
  'a/b',
  'a\\b',
  '/etc/passwd',
  '.hidden',
  '-rf',
  'a\0b',
  'a\nb',
  'a b',
  'x'.repeat(201),
  'ö'.repeat(101),
])('%j cannot, so no path leads out of the root', (name) => {
  expect(maildirOf('/root', name)).toBeUndefined();
});
