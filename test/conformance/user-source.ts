/**
 * What every source of users has to do (core/src/auth/user-source.ts), as a suite: alice has the password `secret word`
 * and two addresses and may write as her team, `odd*)(uid=` has a name that must not be read as anything else, and bob has no address.
 */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { SourceUser, UserSource } from '@posthorn/sdk';

export interface SourceUnderTest {
  readonly source: UserSource;
  /** One that nobody answers for. */
  readonly down: UserSource;
  close(): Promise<void>;
}

export const PASSWORD = 'secret wörd';
export const USERS: readonly SourceUser[] = [
  { name: 'alice', addresses: ['a@example.test', 'alice@example.test'], sendAs: ['@team.example.test'] },
  { name: 'bob', addresses: [] },
  { name: 'odd*)(uid=', addresses: ['odd@example.test'] },
];

/** @param open starts what it needs; the suite closes it. */
export function userSourceSuite(name: string, open: () => Promise<SourceUnderTest>): void {
  describe(name, () => {
    let under: SourceUnderTest;
    beforeAll(async () => {
      under = await open();
    });
    afterAll(() => under?.close());

    it('lists everybody with all addresses', async () => {
      const listed = await under.source.list();
      const sorted = listed
        .map((user) => ({ ...user, addresses: user.addresses.toSorted() }))
        .toSorted((a, b) => (a.name < b.name ? -1 : 1));
      expect(sorted).toEqual(USERS.map((user) => ({ ...user, addresses: [...user.addresses] })));
    });
    it('says yes to the right password, whatever is in the name', async () => {
      for (const user of USERS) expect(await under.source.verify(user.name, PASSWORD)).toBe(true);
    });
    it.each([
      ['a wrong password', 'alice', 'secret'],
      ['no password', 'alice', ''],
      ['an unknown name', 'nobody', PASSWORD],
      ['no name', '', PASSWORD],
      ['a pattern', 'ali*', PASSWORD],
      ['any name', '*', PASSWORD],
      ['a piece of a filter', 'x)(|(uid=alice', PASSWORD],
      ['a name with a NUL', 'alice\0', PASSWORD],
    ])('says no to %s', async (_what, login, password) => {
      expect(await under.source.verify(login, password)).toBe(false);
    });
    it('answers many questions at once', async () => {
      const answers = await Promise.all(
        Array.from({ length: 20 }, (_, at) => under.source.verify('alice', at % 2 === 0 ? PASSWORD : 'no')),
      );
      expect(answers).toEqual(Array.from({ length: 20 }, (_, at) => at % 2 === 0));
    });
    it('rejects when it cannot be asked', async () => {
      await expect(under.down.list()).rejects.toThrow();
      await expect(under.down.verify('alice', PASSWORD)).rejects.toThrow();
    });
  });
}
