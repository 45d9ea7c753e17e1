import { expect, it } from 'vitest';
import type { User } from '../directory/directory.ts';
import type { Log } from '../observe/log.ts';
import { loginKey } from '../wire/address-key.ts';
import { KnownSalts } from './known-salts.ts';
import { createAuthenticator, type AuthenticatorLimits, type BearerCheck } from './password-authenticator.ts';
import { formatScramKeys, makeScramKeys, parseScramKeys } from './scram-keys.ts';

const CLIENT = '192.0.2.7';
const FINGERPRINT = Array.from({ length: 32 }, () => 'AB').join(':');
const scram = formatScramKeys(await makeScramKeys('secret', Buffer.from('salt of alice'), 4096));
const ALICE: User = { name: 'alice', scram, secret: 'secret of alice', addresses: ['alice@example.org'] };
const BOB: User = { name: 'bob', addresses: [], certificates: [FINGERPRINT] };
const CAROL: User = { name: 'carol', addresses: ['carol@example.org'], certificates: [] };

function rig(limits: Partial<AuthenticatorLimits> = {}, bearer?: BearerCheck, known: readonly User[] = [ALICE, BOB, CAROL]) {
  const log: Log = { debug: () => 0, info: () => 0, warn: () => 0, error: () => 0, with: () => log };
  const waits: { delayMs: number; end: () => void }[] = [];
  const users = new Set(known);
  const knownSalts = new KnownSalts(known);
  const authenticator = createAuthenticator({
    findUser: (name) => [...users].find((user) => [user.name, ...user.addresses].some((one) => loginKey(one) === loginKey(name))),
    knownSalts: () => knownSalts,
    findHolder: (fingerprint256) => [ALICE, BOB, CAROL].find((user) => user.certificates?.includes(fingerprint256)),
    forms: () => ({ password: true, secret: true, scram: true, bearer: true }),
    stableKey: Buffer.alloc(32, 7),
    bearer: () => bearer,
    clock: { now: () => 0, monotonic: () => 0, after: (delayMs, then) => (waits.push({ delayMs, end: then }), () => undefined) },
    log,
    counters: { add: () => undefined },
    limits: { failureDelayMs: 0, ...limits },
  });
  return { authenticator, users, waits };
}

it('a secret is asked for by name, and nobody has the one that stands in for it', async () => {
  const { authenticator } = rig();
  const shown: string[] = [];
  const matches = (secret: string) => (shown.push(secret), true);
  expect(await authenticator.checkSecret('alice@example.org', CLIENT, matches)).toEqual({ ok: true, user: 'alice' });
  expect(await authenticator.checkSecret('bob', CLIENT, matches)).toEqual({ ok: false, why: 'credentials' });
  expect(await authenticator.checkSecret('nobody', CLIENT, matches)).toEqual({ ok: false, why: 'credentials' });
  expect(shown).toHaveLength(3);
  expect(shown[0]).toBe('secret of alice');
  expect(shown[1]).toMatch(/.{20}/);
});

it('an unknown user has a salt that stays, and that another installation does not have', async () => {
  const { authenticator } = rig();
  const keysOf = (name: string) => {
    const login = authenticator.scram(name, CLIENT);
    if (!login.ok) throw new Error(login.why);
    return login.keys;
  };
  expect(keysOf('alice')).toEqual(parseScramKeys(scram));
  expect(keysOf('nobody')).toEqual(keysOf('nobody'));
  expect(keysOf('nobody').salt).toHaveLength(keysOf('alice').salt.length);
  expect(keysOf('nobody').salt).not.toEqual(keysOf('nobody2').salt);
  const login = authenticator.scram('nobody', CLIENT);
  expect(login.ok && (await login.conclude(true))).toEqual({ ok: false, why: 'credentials' });
});

// `a.smith@example.org` had alice's salt and `a.smith@nowhere.invalid` another: one local part with two was a user's.
it('a salt tells nobody: a local part has one at every domain, a user’s name and addresses and what is nobody’s', async () => {
  const address = { ...ALICE, addresses: ['alice@example.org', 'A.Smith@example.org', '"odd one"@example.org'] };
  const scramOfCarol = formatScramKeys(await makeScramKeys('secret', Buffer.from('salt of carol'), 4096));
  const carol: User = { name: 'carol@example.org', scram: scramOfCarol, addresses: [] };
  const { authenticator } = rig({}, undefined, [address, BOB, carol]);
  const saltOf = (name: string) => {
    const login = authenticator.scram(name, CLIENT);
    if (!login.ok) throw new Error(login.why);
    return [login.keys.iterations, Buffer.from(login.keys.salt).toString()];
  };
  for (const local of ['alice', 'a.smith', '"odd one"', 'carol', 'bob', 'nobody']) {
    const [first, ...others] = ['', '@example.org', '@nowhere.invalid', '@EXAMPLE.ORG'].map((end) => saltOf(local + end));
    for (const other of others) expect(other, local).toEqual(first);
  }
  expect(saltOf('a.smith@nowhere.invalid')).toEqual([4096, 'salt of alice']);
  expect(saltOf('carol@nowhere.invalid')).toEqual([4096, 'salt of carol']);
  expect(saltOf('nobody')).not.toEqual(saltOf('somebody'));
});

it('an invented salt looks as most of the stored ones do', async () => {
  const user = async (name: string, saltBytes: number, iterations: number): Promise<User> => ({
    name,
    scram: formatScramKeys(await makeScramKeys('secret', Buffer.alloc(saltBytes, 1), iterations)),
    addresses: [],
  });
  const looks = (users: readonly User[]) => {
    const login = rig({}, undefined, users).authenticator.scram('nobody', CLIENT);
    return login.ok && [login.keys.iterations, login.keys.salt.length];
  };
  const [odd, own, like] = await Promise.all([user('odd', 16, 5000), user('own', 66, 4096), user('like', 66, 4096)]);
  expect(looks([])).toEqual([60_000, 16]);
  expect(looks([odd])).toEqual([5000, 16]);
  expect(looks([odd, own, like])).toEqual([4096, 66]);
});

it('a proof is for any name of the same user, and for nobody else', async () => {
  const { authenticator } = rig();
  const as = async (actAs: string) => {
    const login = authenticator.scram('alice', CLIENT, actAs);
    return login.ok ? await login.conclude(true) : login;
  };
  expect(await as('alice@example.org')).toEqual({ ok: true, user: 'alice' });
  expect(await as('bob')).toEqual({ ok: false, why: 'credentials' });
  expect(await as('nobody')).toEqual({ ok: false, why: 'credentials' });
});

it('a certificate is its user’s by an address or by its fingerprint', async () => {
  const { authenticator } = rig();
  const of = (names: string[], fingerprint256 = 'CD') => ({ subjectAltNames: names, fingerprint256 });
  const check = (...args: [ReturnType<typeof of>, string?]) => authenticator.checkCertificate(args[0], args[1], CLIENT);
  expect(await check(of(['dns:x', 'email:alice@example.org']))).toEqual({ ok: true, user: 'alice' });
  expect(await check(of(['email:alice@example.org']), 'alice')).toEqual({ ok: true, user: 'alice' });
  expect(await check(of([], FINGERPRINT), 'bob')).toEqual({ ok: true, user: 'bob' });
  // What `posthorn user certificate` noted says whose it is, without a name and before any address in it.
  expect(await check(of([], FINGERPRINT))).toEqual({ ok: true, user: 'bob' });
  expect(await check(of(['email:alice@example.org'], FINGERPRINT))).toEqual({ ok: true, user: 'bob' });
  expect(await check(of(['email:alice@example.org']), 'bob')).toMatchObject({ ok: false });
  // Who has fingerprints logs in by them alone.
  expect(await check(of(['email:bob']), 'bob')).toMatchObject({ ok: false });
  expect(await check(of(['email:carol@example.org']))).toMatchObject({ ok: false });
  expect(await check(of(['email:carol@example.org']), 'carol')).toMatchObject({ ok: false });
  expect(await check(of(['dns:alice@example.org']))).toMatchObject({ ok: false });
  expect(await check(of([]))).toMatchObject({ ok: false });
});

it('a token is for the users that its issuer names, and for no other', async () => {
  const { authenticator } = rig({}, async (token) => ({ good: 'alice@example.org', foreign: 'stranger' })[token]);
  const check = (token: string, actAs?: string) => authenticator.checkBearer(token, actAs, CLIENT);
  expect(await check('good')).toEqual({ ok: true, user: 'alice' });
  expect(await check('good', 'alice')).toEqual({ ok: true, user: 'alice' });
  expect(await check('good', 'bob')).toMatchObject({ ok: false });
  expect(await check('good', 'stranger')).toMatchObject({ ok: false });
  expect(await check('foreign', 'stranger')).toMatchObject({ ok: false });
  expect(await check('foreign')).toMatchObject({ ok: false });
  expect(await check('bad')).toMatchObject({ ok: false });
});

it('bad tokens without a name lock out nobody else’s tokens', async () => {
  const { authenticator } = rig({ maxFailuresPerUser: 3 }, async (token) => (token === 'good' ? 'alice' : undefined));
  for (let guess = 0; guess < 5; guess++) await authenticator.checkBearer(`bad${guess}`, undefined, '198.51.100.1');
  expect(await authenticator.checkBearer('good', undefined, CLIENT)).toEqual({ ok: true, user: 'alice' });
  for (let guess = 0; guess < 3; guess++) await authenticator.checkBearer('bad', undefined, '198.51.100.2');
  expect(await authenticator.checkBearer('bad', undefined, '198.51.100.3')).toEqual({ ok: false, why: 'throttled' });
});

it('every way to log in counts towards the same lock-out', async () => {
  const { authenticator } = rig({ maxFailuresPerClient: 3 });
  await authenticator.checkSecret('alice', CLIENT, () => false);
  const login = authenticator.scram('alice', CLIENT);
  if (login.ok) await login.conclude(false);
  await authenticator.check('alice', 'wrong', CLIENT);
  expect(await authenticator.checkSecret('alice', CLIENT, () => true)).toEqual({ ok: false, why: 'throttled' });
  expect(authenticator.scram('alice', CLIENT)).toEqual({ ok: false, why: 'throttled' });
  expect(await authenticator.checkCertificate({ subjectAltNames: [], fingerprint256: '' }, 'bob', CLIENT)).toMatchObject({
    why: 'throttled',
  });
});

// The gate was asked at the first message alone: 24 of 25 exchanges begun together failed, and the last one logged in.
it('exchanges of SCRAM that were begun before the limit was reached end at it', async () => {
  const { authenticator } = rig({ maxFailuresPerClient: 3, maxFailuresPerUser: 1000 });
  const logins = Array.from({ length: 6 }, () => authenticator.scram('alice', CLIENT));
  const ends = await Promise.all(logins.map(async (login, at) => (login.ok ? await login.conclude(at === 5) : login)));
  expect(ends.map((end) => (end.ok ? 'ok' : end.why))).toEqual([...Array(3).fill('credentials'), ...Array(3).fill('throttled')]);
});

it('a proof is good for a user who is still there, with the same keys', async () => {
  const { authenticator, users } = rig();
  const begin = () => {
    const login = authenticator.scram('alice', CLIENT);
    if (!login.ok) throw new Error(login.why);
    return login;
  };
  const [gone, changed, kept] = [begin(), begin(), begin()];
  users.delete(ALICE);
  expect(await gone.conclude(true)).toEqual({ ok: false, why: 'credentials' });
  const other = { ...ALICE, scram: formatScramKeys(await makeScramKeys('another', undefined, 4096)) };
  users.add(other);
  expect(await changed.conclude(true)).toEqual({ ok: false, why: 'credentials' });
  users.delete(other);
  users.add({ ...ALICE });
  expect(await kept.conclude(true)).toEqual({ ok: true, user: 'alice' });
});

it('a failure waits for its answer, whoever it was tried for; a success does not', async () => {
  const { authenticator, waits } = rig({ failureDelayMs: 1000 });
  const failures = [
    authenticator.checkSecret('alice', CLIENT, () => false),
    authenticator.checkSecret('nobody', CLIENT, () => true),
  ];
  expect(waits.map(({ delayMs }) => delayMs)).toEqual([1000, 1000]);
  for (const { end } of waits) end();
  expect(await Promise.all(failures)).toEqual([
    { ok: false, why: 'credentials' },
    { ok: false, why: 'credentials' },
  ]);
  expect(await authenticator.checkSecret('alice', CLIENT, () => true)).toMatchObject({ ok: true });
});
