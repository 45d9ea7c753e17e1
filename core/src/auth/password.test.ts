import { argon2Sync } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { formatPasswordHash, hashPassword, parsePasswordHash, PasswordHashError, verifyPassword } from './password.ts';

const CHEAP = { memoryKiB: 64, passes: 1, lanes: 1 };

describe('verifyPassword', () => {
  // From the test suite of the argon2 reference implementation (phc-winner-argon2, test.c, version 0x13).
  it.each([
    ['password', '$argon2id$v=19$m=256,t=2,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4'],
    ['password', '$argon2id$v=19$m=256,t=2,p=2$c29tZXNhbHQ$bQk8UB/VmZZF4Oo79iDXuL5/0ttZwg2f/5U52iv1cDc'],
    ['password', '$argon2id$v=19$m=65536,t=1,p=1$c29tZXNhbHQ$9qWtwbpyPd3vm1rB1GThgPzZ3/ydHL92zKL+15XZypg'],
    ['differentpassword', '$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$C4TWUs9rDEvq7w3+J4umqA32aWKB1+DSiRuBfYxFj94'],
    ['password', '$argon2id$v=19$m=65536,t=2,p=1$ZGlmZnNhbHQ$vfMrBczELrFdWP0ZsfhWsRPaHppYdP3MVEMIVlqoFBw'],
  ])('agrees with the reference implementation: %s %s', async (password, stored) => {
    expect(await verifyPassword(password, stored)).toBe(true);
    expect(await verifyPassword(`${password}.`, stored)).toBe(false);
  });

  it('takes what hashPassword made, with a salt of its own each time', async () => {
    const one = await hashPassword('pässwörd', CHEAP);
    const two = await hashPassword('pässwörd', CHEAP);
    expect(one).toMatch(/^\$argon2id\$v=19\$m=64,t=1,p=1\$[A-Za-z0-9+/]{22}\$[A-Za-z0-9+/]{43}$/);
    expect(one).not.toBe(two);
    expect(await verifyPassword('pässwörd', one)).toBe(true);
    expect(await verifyPassword('passwort', one)).toBe(false);
  });

  it('takes what looks the same for the same, as SCRAM does, and what another program hashed as it was typed', async () => {
    const typed = 'cafe\u0301\u00a0\u2168';
    for (const stored of await Promise.all([typed, 'caf\u00e9 IX'].map((text) => hashPassword(text, CHEAP)))) {
      expect(await verifyPassword(typed, stored)).toBe(true);
      expect(await verifyPassword('caf\u00e9 IX', stored)).toBe(true);
      expect(await verifyPassword('cafe IX', stored)).toBe(false);
    }
    const salt = Buffer.from('somesalt');
    const asTyped = argon2Sync('argon2id', { message: typed, nonce: salt, parallelism: 1, tagLength: 32, memory: 64, passes: 1 });
    expect(await verifyPassword(typed, formatPasswordHash({ ...CHEAP, salt, hash: asTyped }))).toBe(true);
  });

  it.each([
    '',
    'secret',
    '$2b$10$abcdefghijklmnopqrstuv',
    '$argon2i$v=19$m=64,t=1,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4',
    '$argon2id$v=16$m=64,t=1,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4',
    '$argon2id$v=19$m=9999999,t=1,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4',
    '$argon2id$v=19$m=64,t=0,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4',
    '$argon2id$v=19$m=8,t=1,p=2$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4',
    '$argon2id$v=19$m=64,t=1,p=1$c29t$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4',
    '$argon2id$v=19$m=64,t=1,p=1$c29tZXNhbHQ$',
  ])('refuses %j as a stored hash', async (stored) => {
    await expect(verifyPassword('password', stored)).rejects.toThrow(PasswordHashError);
  });
});

it('a hash is read back as it was written', () => {
  const parsed = { memoryKiB: 19456, passes: 2, lanes: 1, salt: Buffer.alloc(16, 1), hash: Buffer.alloc(32, 2) };
  expect(parsePasswordHash(formatPasswordHash(parsed))).toEqual(parsed);
});
