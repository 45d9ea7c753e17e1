import { expect, it } from 'vitest';
import type { User } from '../directory/directory.ts';
import { mailboxRules } from './mailbox-rules.ts';

const DEFAULTS = { retentionDays: 30, quotaBytes: 1000, whenFull: 'defer' } as const;
const user = (name: string, more: Partial<User> = {}): User => ({ name, addresses: [], ...more });

it('takes what is said for one user before what holds for all', () => {
  const rules = mailboxRules(DEFAULTS, [
    user('alice', { quotaBytes: 5, retentionDays: 90 }),
    user('bob', { quotaBytes: null, retentionDays: null }),
    user('carol'),
  ]);
  expect(['alice', 'bob', 'carol', 'nobody'].map(rules.quotaBytesOf)).toEqual([5, null, 1000, 1000]);
  expect(['alice', 'bob', 'carol', 'nobody'].map(rules.daysOf)).toEqual([90, null, 30, 30]);
});

it.each([
  ['nobody', [], 30, true],
  ['all alike', [user('a'), user('b', { retentionDays: 30 })], 30, true],
  ['one who keeps all', [user('a'), user('b', { retentionDays: null })], 30, false],
  ['all who keep all', [user('a', { retentionDays: null })], null, true],
  ['one with less', [user('a'), user('b', { retentionDays: 7 })], 7, false],
] as const)('tells the least before the login: %s', (_who, users, leastDays, sameForAll) => {
  expect(mailboxRules(DEFAULTS, users)).toMatchObject({ leastDays, sameForAll });
});
