import { beforeAll, describe, expect, it, vi } from 'vitest';
import type { User } from '../directory/directory.ts';
import type { Log } from '../observe/log.ts';
import { hashPassword } from './password.ts';
import { createAuthenticator, type AuthenticatorLimits } from './password-authenticator.ts';
import type { UserSource } from './user-source.ts';

const CHEAP = { memoryKiB: 64, passes: 1, lanes: 1 };
const CLIENT = '192.0.2.7';
let secretHash: string;
let otherHash: string;

beforeAll(async () => {
  secretHash = await hashPassword('secret', CHEAP);
  otherHash = await hashPassword('other', CHEAP);
});

function rig(limits: Partial<AuthenticatorLimits> = {}, source?: Pick<UserSource, 'verify'>) {
  const users = new Map<string, User>([['alice', { name: 'alice', passwordHash: secretHash, addresses: [] }]]);
  const counted = new Map<string, number>();
  const logged: string[] = [];
  const waits: { delayMs: number; end: () => void }[] = [];
  const time = { now: 1000 };
  const log: Log = { debug: () => 0, info: () => 0, warn: () => 0, error: (event) => void logged.push(event), with: () => log };
  const authenticator = createAuthenticator({
    findUser: (name) => users.get(name.toLowerCase()) ?? (name === 'alice@example.org' ? users.get('alice') : undefined),
    findHolder: () => undefined,
    knownSalts: () => undefined,
    source: () => source,
    clock: {
      now: () => time.now,
      monotonic: () => time.now,
      after: (delayMs, then) => (waits.push({ delayMs, end: then }), () => undefined),
    },
    log,
    counters: { add: (name, by = 1) => void counted.set(name, (counted.get(name) ?? 0) + by) },
    forms: () => ({ password: true, secret: true, scram: true, bearer: true }),
    stableKey: Buffer.alloc(32, 7),
    limits: { failureDelayMs: 0, ...limits },
  });
  return { authenticator, users, counted, logged, time, waits };
}

describe('a login', () => {
  it('succeeds with the right password, under the name of the user', async () => {
    const { authenticator } = rig();
    expect(await authenticator.check('alice@example.org', 'secret', CLIENT)).toEqual({ ok: true, user: 'alice' });
  });

  // PLAIN compared the identities byte by byte and refused at once: `ALICE` was not let in as `alice`.
  it('is for any name of the same user, and as another fails as a wrong password does', async () => {
    const { authenticator, users, counted } = rig();
    users.set('bob', { name: 'bob', passwordHash: otherHash, addresses: [] });
    const as = (actAs: string, name = 'alice') => authenticator.check(name, 'secret', CLIENT, actAs);
    // Once computed, and once remembered.
    for (let times = 0; times < 2; times++) {
      expect(await Promise.all([as('ALICE'), as('alice@example.org'), as('alice', 'alice@example.org'), as('bob')])).toEqual([
        { ok: true, user: 'alice' },
        { ok: true, user: 'alice' },
        { ok: true, user: 'alice' },
        { ok: false, why: 'credentials' },
      ]);
    }
    expect(await as('nobody')).toEqual({ ok: false, why: 'credentials' });
    expect(await as('nobody', 'nobody')).toEqual({ ok: false, why: 'credentials' });
    expect(counted.get('auth.failures')).toBe(4);
  });

  it('fails alike for a wrong password and an unknown user, after the same work', async () => {
    const { authenticator, counted } = rig();
    const wrong = await authenticator.check('alice', 'guess', CLIENT);
    expect(wrong).toEqual({ ok: false, why: 'credentials' });
    expect(await authenticator.check('nobody', 'guess', CLIENT)).toEqual(wrong);
    expect(await authenticator.check('nobody', '', CLIENT)).toEqual(wrong);
    expect(counted.get('auth.failures')).toBe(3);
  });

  it('is refused for a stored hash that cannot be used, which is logged', async () => {
    const { authenticator, users, logged } = rig();
    users.set('alice', { name: 'alice', passwordHash: 'secret', addresses: [] });
    expect(await authenticator.check('alice', 'secret', CLIENT)).toEqual({ ok: false, why: 'credentials' });
    expect(logged).toEqual(['auth.unusable-hash']);
  });

  it('is refused without work for an endless name or password', async () => {
    const { authenticator, counted } = rig();
    expect(await authenticator.check('alice', 'x'.repeat(100_000), CLIENT)).toMatchObject({ ok: false });
    expect(await authenticator.check('x'.repeat(100_000), 'secret', CLIENT)).toMatchObject({ ok: false });
    expect(counted.size).toBe(0);
  });
});

describe('a verified login', () => {
  it('is remembered for a while, from any address, and computed again afterwards', async () => {
    const { authenticator, counted, time } = rig({ rememberMs: 300_000 });
    await authenticator.check('alice', 'secret', CLIENT);
    expect(await authenticator.check('alice', 'secret', '198.51.100.1')).toEqual({ ok: true, user: 'alice' });
    time.now += 299_999;
    await authenticator.check('alice', 'secret', CLIENT);
    expect([counted.get('auth.verified'), counted.get('auth.remembered')]).toEqual([1, 2]);
    time.now += 1;
    await authenticator.check('alice', 'secret', CLIENT);
    expect(counted.get('auth.verified')).toBe(2);
  });

  it('does not help another password', async () => {
    const { authenticator } = rig();
    await authenticator.check('alice', 'secret', CLIENT);
    expect(await authenticator.check('alice', 'secret ', CLIENT)).toMatchObject({ ok: false });
    expect(await authenticator.check('alice', 'secret', CLIENT)).toMatchObject({ ok: true });
  });

  it('is worth nothing once the user has another password, or is gone', async () => {
    const { authenticator, users } = rig();
    await authenticator.check('alice', 'secret', CLIENT);
    users.set('alice', { name: 'alice', passwordHash: otherHash, addresses: [] });
    expect(await authenticator.check('alice', 'secret', CLIENT)).toMatchObject({ ok: false });
    expect(await authenticator.check('alice', 'other', CLIENT)).toMatchObject({ ok: true });
    users.delete('alice');
    expect(await authenticator.check('alice', 'other', CLIENT)).toMatchObject({ ok: false });
  });

  // It counted for nothing: the client's trust stayed lost, the user's failures stayed, and one guess of another locked him out.
  it('counts as a success each time it is remembered', async () => {
    const { authenticator } = rig({ maxFailuresPerUser: 6, maxFailuresPerClient: 1000, maxFailuresTrusted: 5 });
    await authenticator.check('alice', 'secret', CLIENT);
    for (let slip = 0; slip < 5; slip++) await authenticator.check('alice', `slip${slip}`, CLIENT);
    expect(await authenticator.check('alice', 'secret', CLIENT)).toMatchObject({ ok: true });
    expect(await authenticator.check('alice', 'secret', '203.0.113.9')).toMatchObject({ ok: true });
    for (let guess = 0; guess < 6; guess++) await authenticator.check('alice', `x${guess}`, `198.51.100.${guess}`);
    expect(await authenticator.check('alice', 'secret', '198.51.100.99')).toEqual({ ok: false, why: 'throttled' });
    expect(await authenticator.check('alice', 'secret', CLIENT)).toMatchObject({ ok: true });
    // He came from here for the first time while he was remembered.
    expect(await authenticator.check('alice', 'secret', '203.0.113.9')).toMatchObject({ ok: true });
  });

  it('is none when the user was taken out, or got another password, while it was computed', async () => {
    const { authenticator, users } = rig();
    const begun = [authenticator.check('alice', 'secret', CLIENT), authenticator.check('alice@example.org', 'secret', CLIENT)];
    users.delete('alice');
    for (const result of await Promise.all(begun)) expect(result).toEqual({ ok: false, why: 'credentials' });
    users.set('alice', { name: 'alice', passwordHash: secretHash, addresses: [] });
    const next = authenticator.check('alice', 'secret', CLIENT);
    users.set('alice', { name: 'alice', passwordHash: otherHash, addresses: [] });
    expect(await next).toEqual({ ok: false, why: 'credentials' });
  });

  it('is worth nothing once its user is not in the list of the source any more', async () => {
    const { authenticator, users } = rig({}, { verify: async () => true });
    users.set('carol', { name: 'carol', elsewhere: true, addresses: [] });
    expect(await authenticator.check('carol', 'secret', CLIENT)).toEqual({ ok: true, user: 'carol' });
    users.delete('carol');
    expect(await authenticator.check('carol', 'secret', CLIENT)).toEqual({ ok: false, why: 'credentials' });
  });

  it('is computed once for a client that opens many connections at once', async () => {
    const { authenticator, counted } = rig();
    const results = await Promise.all(Array.from({ length: 10 }, () => authenticator.check('alice', 'secret', CLIENT)));
    expect(results.every((result) => result.ok)).toBe(true);
    expect(counted.get('auth.verified')).toBe(1);
  });
});

describe('where some users are elsewhere', () => {
  // Users of the file were answered after a second, while all others waited for the source, and told apart by that.
  it('a wrong password waits for the source and for argon2id, whoever it is tried for', async () => {
    const asked: { name: string; password: string; answer: (right: boolean) => void }[] = [];
    const verify: UserSource['verify'] = (name, password) => new Promise((answer) => asked.push({ name, password, answer }));
    const { authenticator, users, counted } = rig({}, { verify });
    users.set('carol', { name: 'carol', elsewhere: true, addresses: [] });
    for (const name of ['alice', 'carol', 'nobody']) {
      let answered = false;
      const tried = authenticator.check(name, 'guess', CLIENT).finally(() => (answered = true));
      await vi.waitUntil(() => asked.length === 1, { timeout: 20_000 });
      expect(answered).toBe(false);
      const [question] = asked.splice(0);
      // What was guessed for a user of the file is not told to the source.
      if (name === 'alice') expect(`${question!.name} ${question!.password}`).not.toMatch(/alice|guess/);
      question!.answer(false);
      expect(await tried).toEqual({ ok: false, why: 'credentials' });
    }
    expect(counted.get('auth.failures')).toBe(3);
    expect(await authenticator.check('alice', 'secret', CLIENT)).toEqual({ ok: true, user: 'alice' });
    expect(asked).toEqual([]);
  });

  it('and the source is down, a wrong password is answered alike for all, and the file’s own log in', async () => {
    const gone = async () => await Promise.reject(new Error('gone'));
    const { authenticator, users, counted, waits } = rig({ failureDelayMs: 1000 }, { verify: gone });
    users.set('carol', { name: 'carol', elsewhere: true, addresses: [] });
    for (const name of ['alice', 'carol', 'nobody']) {
      const tried = authenticator.check(name, 'guess', CLIENT);
      await vi.waitUntil(() => waits.length === 1, { timeout: 20_000 });
      const [wait] = waits.splice(0);
      expect(wait!.delayMs).toBe(1000);
      wait!.end();
      expect(await tried).toEqual({ ok: false, why: 'throttled' });
    }
    // A guess at the file's own is one, and counts.
    expect(counted.get('auth.failures')).toBe(1);
    expect(await authenticator.check('alice', 'secret', CLIENT)).toEqual({ ok: true, user: 'alice' });
  });
});

describe('guessing', () => {
  it('locks the client out, from its whole IPv6 network, until the time is over', async () => {
    const { authenticator, time } = rig({ maxFailuresPerClient: 3, maxFailuresPerUser: 1000, lockOutMs: 60_000 });
    for (let guess = 0; guess < 3; guess++) await authenticator.check(`user${guess}`, 'x', `2001:db8::${guess}`);
    expect(await authenticator.check('alice', 'secret', '2001:db8::ffff')).toEqual({ ok: false, why: 'throttled' });
    expect(await authenticator.check('alice', 'secret', '2001:db8:0:1::1')).toMatchObject({ ok: true });
    time.now += 60_000;
    expect(await authenticator.check('alice', 'secret', '2001:db8::1')).toMatchObject({ ok: true });
  });

  it('from network after network of one IPv6 site locks the site out, but not who was in before', async () => {
    const { authenticator } = rig({ maxFailuresPerClient: 3, maxFailuresPerUser: 1000 });
    await authenticator.check('alice', 'secret', '2001:db8:0:ffff::1');
    for (let guess = 0; guess < 48; guess++) {
      const tried = await authenticator.check(`user${guess}`, 'x', `2001:db8:0:${guess.toString(16)}::1`);
      expect(tried).toEqual({ ok: false, why: 'credentials' });
    }
    expect(await authenticator.check('user99', 'x', '2001:db8:0:aaaa::1')).toEqual({ ok: false, why: 'throttled' });
    expect(await authenticator.check('alice', 'secret', '2001:db8:0:ffff::2')).toMatchObject({ ok: true });
    expect(await authenticator.check('user99', 'x', '2001:db8:1:aaaa::1')).toEqual({ ok: false, why: 'credentials' });
  });

  it('from many addresses locks the user out, but not the client that was in before', async () => {
    const { authenticator } = rig({ maxFailuresPerUser: 5, maxFailuresPerClient: 1000 });
    await authenticator.check('alice', 'secret', CLIENT);
    for (let guess = 0; guess < 5; guess++) await authenticator.check('alice', `x${guess}`, `198.51.100.${guess}`);
    expect(await authenticator.check('alice', 'secret', '198.51.100.99')).toEqual({ ok: false, why: 'throttled' });
    expect(await authenticator.check('alice', 'secret', CLIENT)).toMatchObject({ ok: true });
  });

  it('does not go on for long from a client that was in before', async () => {
    const { authenticator } = rig({ maxFailuresPerUser: 3, maxFailuresPerClient: 1000, maxFailuresTrusted: 4 });
    await authenticator.check('alice', 'secret', CLIENT);
    for (let guess = 0; guess < 4; guess++) {
      expect(await authenticator.check('alice', `x${guess}`, CLIENT)).toEqual({ ok: false, why: 'credentials' });
    }
    expect(await authenticator.check('alice', 'secret', CLIENT)).toEqual({ ok: false, why: 'throttled' });
  });

  it('counts within the window only', async () => {
    const { authenticator, time } = rig({ maxFailuresPerClient: 3, windowMs: 10_000 });
    for (let guess = 0; guess < 9; guess++) {
      expect(await authenticator.check(`u${guess}`, 'x', CLIENT)).toEqual({ ok: false, why: 'credentials' });
      time.now += 5_001;
    }
  });

  // Each of many tries begun at once was allowed, since none had failed yet: 29 failed, and the 30th logged in.
  it('by tries that are all begun at once gets no more than the limit', async () => {
    const { authenticator, counted } = rig({ maxFailuresPerClient: 3, maxFailuresPerUser: 1000, maxComputing: 2 });
    const guesses = Array.from({ length: 20 }, (_, guess) => authenticator.check('alice', `x${guess}`, CLIENT));
    const last = authenticator.check('alice', 'secret', CLIENT);
    const whys = (await Promise.all(guesses)).map((result) => (result.ok ? 'ok' : result.why));
    expect(whys).toEqual([...Array(3).fill('credentials'), ...Array(17).fill('throttled')]);
    expect(await last).toEqual({ ok: false, why: 'throttled' });
    expect(counted.get('auth.failures')).toBe(3);
    expect(await authenticator.check('alice', 'secret', '198.51.100.1')).toMatchObject({ ok: true });
  });

  // What is remembered answers at once: among many guesses the right one was answered before any other had failed.
  it('by many tries at once meets nothing that is remembered', async () => {
    for (const from of [CLIENT, '198.51.100.1']) {
      const { authenticator } = rig({ maxFailuresPerClient: 3, maxFailuresPerUser: 1000, maxFailuresTrusted: 3 });
      // He is remembered, and trusted at one of both.
      await authenticator.check('alice', 'secret', '198.51.100.1');
      const guesses = Array.from({ length: 9 }, (_, guess) => authenticator.check('alice', `x${guess}`, from));
      expect(await authenticator.check('alice', 'secret', from)).toEqual({ ok: false, why: 'throttled' });
      await Promise.all(guesses);
    }
    const { authenticator, counted } = rig({ maxFailuresPerClient: 3, maxFailuresTrusted: 3 });
    await authenticator.check('alice', 'secret', CLIENT);
    const slips = [authenticator.check('alice', 'slip', CLIENT), authenticator.check('alice', 'slap', CLIENT)];
    expect(await authenticator.check('alice', 'secret', CLIENT)).toMatchObject({ ok: true });
    expect(counted.get('auth.remembered')).toBe(1);
    await Promise.all(slips);
  });

  it('throttles a user who does not exist as one who does', async () => {
    const { authenticator } = rig({ maxFailuresPerUser: 2, maxFailuresPerClient: 1000 });
    for (const name of ['alice', 'nobody']) {
      for (let guess = 0; guess < 2; guess++) await authenticator.check(name, `x${guess}`, CLIENT);
      expect(await authenticator.check(name, 'secret', CLIENT)).toEqual({ ok: false, why: 'throttled' });
    }
  });
});

describe('a lock-out tells of nobody', () => {
  it('holds for every spelling of a name, whether somebody has it or not', async () => {
    const { authenticator } = rig({ maxFailuresPerUser: 2, maxFailuresPerClient: 1000 });
    for (const [name, others] of [
      ['alice', ['ALICE', 'Alice']],
      ['nobody', ['NOBODY', 'Nobody']],
      ['nobody@müller.example', ['Nobody@MÜLLER.example', '"nobody"@xn--mller-kva.example', '"no\\body"@müller.example']],
    ] as const) {
      for (let guess = 0; guess < 2; guess++) await authenticator.check(name, `x${guess}`, CLIENT);
      for (const other of [name, ...others]) {
        expect(await authenticator.check(other, 'secret', CLIENT), other).toEqual({ ok: false, why: 'throttled' });
      }
    }
  });

  it('of a name holds for none of the addresses, which would tell that both are one user’s', async () => {
    const { authenticator } = rig({ maxFailuresPerUser: 2, maxFailuresPerClient: 1000 });
    for (const user of ['alice', 'nobody']) {
      for (let guess = 0; guess < 2; guess++) await authenticator.check(user, `x${guess}`, CLIENT);
      expect(await authenticator.check(`${user}@example.org`, 'guess', CLIENT)).toEqual({ ok: false, why: 'credentials' });
    }
  });
});

describe('many computations', () => {
  it('are bounded: what would wait too long is throttled, the rest is answered', async () => {
    const { authenticator, counted } = rig({
      maxComputing: 1,
      maxWaiting: 2,
      maxFailuresPerUser: 1000,
      maxFailuresPerClient: 1000,
    });
    const results = await Promise.all(
      Array.from({ length: 10 }, (_, number) => authenticator.check('alice', `x${number}`, CLIENT)),
    );
    const whys = results.map((result) => (result.ok ? 'ok' : result.why));
    expect(whys).toEqual([...Array.from({ length: 3 }, () => 'credentials'), ...Array.from({ length: 7 }, () => 'throttled')]);
    expect(counted.get('auth.busy')).toBe(7);
    expect(await authenticator.check('alice', 'secret', CLIENT)).toMatchObject({ ok: true });
  });

  it('of one client leave room for another', async () => {
    const { authenticator } = rig({ maxPendingPerClient: 2, maxComputing: 1, maxWaiting: 100 });
    const flood = Array.from({ length: 20 }, (_, number) => authenticator.check('nobody', `x${number}`, '198.51.100.1'));
    expect(await authenticator.check('alice', 'secret', CLIENT)).toMatchObject({ ok: true });
    const whys = (await Promise.all(flood)).map((result) => (result.ok ? 'ok' : result.why));
    expect(whys.filter((why) => why === 'throttled')).toHaveLength(18);
  });
});
