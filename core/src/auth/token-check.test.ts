import { exportJWK, exportSPKI, generateKeyPair, type JWTHeaderParameters, SignJWT } from 'jose';
import type { OauthConfig } from '@posthorn/config';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { systemClock as clock } from '../mail/system-clock.ts';
import { createTokenCheck } from './token-check.ts';

const ISSUER = 'https://id.example.org';
const BASE: OauthConfig = { claims: ['email', 'username'], timeoutMs: 5000 };

interface Asked {
  readonly url: string;
  readonly headers: Headers;
  readonly body: string;
}

/** An issuer that gives this answer. */
function issuer(status: number, answer: unknown) {
  const asked: Asked[] = [];
  const fake: typeof fetch = async (input, init) => {
    asked.push({
      url: String(input instanceof Request ? input.url : input),
      headers: new Headers(init?.headers),
      body: typeof init?.body === 'string' ? init.body : '',
    });
    return new Response(typeof answer === 'string' ? answer : JSON.stringify(answer), { status });
  };
  return { asked, fetch: fake };
}

describe('signed tokens', async () => {
  const { publicKey, privateKey } = await generateKeyPair('ES256');
  const other = await generateKeyPair('ES256');
  const keys = { keys: [{ ...(await exportJWK(publicKey)), kid: 'one', alg: 'ES256' }] };
  const oauth = { ...BASE, jwks: `${ISSUER}/keys`, issuer: ISSUER, audience: 'mail' };
  const check = createTokenCheck({ oauth, clientSecret: undefined, clock, fetch: issuer(200, keys).fetch });

  function token(claims: Record<string, unknown> = {}, key = privateKey, ends = '5m') {
    return new SignJWT({ iss: ISSUER, aud: 'mail', email: 'alice@example.org', ...claims })
      .setProtectedHeader({ alg: 'ES256', kid: 'one' })
      .setIssuedAt()
      .setExpirationTime(ends)
      .sign(key);
  }

  it('are for whom they say', async () => {
    expect(await check(await token())).toBe('alice@example.org');
    // People choose their user name at some issuers: it is no second way in.
    expect(await check(await token({ username: 'bob' }))).toBe('alice@example.org');
    for (const none of ['', null]) expect(await check(await token({ email: none, username: 'bob' }))).toBe('bob');
    // A claim that is there says it alone, though it says nothing that can be read.
    for (const odd of [['alice@example.org'], 7, {}, false])
      expect(await check(await token({ email: odd, username: 'bob' }))).toBeUndefined();
    expect(await check(await token({ email_verified: false, username: 'bob' }))).toBeUndefined();
  });
  it('are nobody’s when they are another issuer’s, for another server, over, or signed by somebody else', async () => {
    for (const bad of [
      await token({ iss: 'https://elsewhere.example' }),
      await token({ aud: 'calendar' }),
      await token({}, privateKey, '-5m'),
      await token({}, other.privateKey),
      'no token',
      `${Buffer.from('{"alg":"none"}').toString('base64url')}.${Buffer.from('{"email":"a@b"}').toString('base64url')}.`,
    ])
      expect(await check(bad)).toBeUndefined();
  });
  it('are nobody’s by any trick with their header or their times', async () => {
    const claims = { iss: ISSUER, aud: 'mail', email: 'alice@example.org' };
    const signed = (header: JWTHeaderParameters, more: object, key: CryptoKey | Uint8Array) =>
      new SignJWT({ ...claims, ...more }).setProtectedHeader(header).sign(key);
    const soon = Math.floor(Date.now() / 1000) + 300;
    const published = Buffer.from(await exportSPKI(publicKey));
    for (const trick of [
      // The public key, which all know, as a secret.
      await signed({ alg: 'HS256', kid: 'one' }, { exp: soon }, published),
      await signed({ alg: 'HS256', kid: 'one' }, { exp: soon }, Buffer.from(JSON.stringify(keys.keys[0]))),
      // A key that comes with the token, or lies somewhere else.
      await signed({ alg: 'ES256', jwk: await exportJWK(other.publicKey) }, { exp: soon }, other.privateKey),
      await signed({ alg: 'ES256', kid: '../../etc/passwd', jku: 'https://evil.example/' }, { exp: soon }, other.privateKey),
      // Good for ever, or not yet; for all, and for none.
      await signed({ alg: 'ES256', kid: 'one' }, {}, privateKey),
      await signed({ alg: 'ES256', kid: 'one' }, { exp: soon, nbf: soon }, privateKey),
      await signed({ alg: 'ES256', kid: 'one' }, { exp: soon, aud: ['calendar'] }, privateKey),
      await signed({ alg: 'ES256', kid: 'one' }, { exp: soon, iss: [ISSUER] }, privateKey),
      `${await signed({ alg: 'ES256', kid: 'one' }, { exp: soon }, privateKey)}.`,
      'x'.repeat(9000),
    ])
      expect(await check(trick), trick.slice(0, 200)).toBeUndefined();
  });
  it('an address that was not verified does not count', async () => {
    for (const no of [false, 'false', 0]) expect(await check(await token({ email_verified: no }))).toBeUndefined();
    expect(await check(await token({ email_verified: 'true' }))).toBe('alice@example.org');
    expect(await check(await token({ email_verified: true }))).toBe('alice@example.org');
  });
  it('need the scope where one is asked for', async () => {
    const scoped = createTokenCheck({
      oauth: { ...oauth, scope: 'mail' },
      clientSecret: undefined,
      clock,
      fetch: issuer(200, keys).fetch,
    });
    expect(await scoped(await token({ scope: 'openid mail' }))).toBe('alice@example.org');
    expect(await scoped(await token({ scope: 'openid email' }))).toBeUndefined();
    expect(await scoped(await token())).toBeUndefined();
  });
  describe('whose key is here', () => {
    afterEach(() => vi.useRealTimers());
    // Ten forged ones at a time kept all others out, a timeout of the issuer long: a good token took 14.7 s.
    it('do not wait for the issuer behind those that name another key', async () => {
      const answers = [Promise.resolve(Response.json(keys))];
      const issuerSays = Promise.withResolvers<Response>();
      let asked = 0;
      const slow = createTokenCheck({
        oauth,
        clientSecret: undefined,
        clock,
        fetch: async () => (asked++, (await answers.shift()) ?? (await issuerSays.promise)),
      });
      expect(await slow(await token())).toBe('alice@example.org');
      // The issuer is asked for an unknown key again when some time has passed.
      vi.useFakeTimers({ toFake: ['Date'], now: Date.now() + 60_000 });
      const part = (fields: object) => Buffer.from(JSON.stringify(fields)).toString('base64url');
      const forged = (kid: number) => `${part({ alg: 'ES256', kid: `forged ${kid}` })}.${part({})}.${'A'.repeat(86)}`;
      const refused = Promise.all(Array.from({ length: 500 }, (_, kid) => slow(forged(kid))));
      // Nor do they wait without end.
      await expect(slow(forged(500))).rejects.toThrow('too many tokens wait for the keys of the issuer');
      expect(await slow(await token())).toBe('alice@example.org');
      issuerSays.resolve(Response.json(keys));
      expect(await refused).toEqual(Array(500).fill(undefined));
      expect(asked).toBe(2);
    });
  });
  it('cannot be checked while the keys cannot be had', async () => {
    const down = createTokenCheck({ oauth, clientSecret: undefined, clock, fetch: issuer(503, '').fetch });
    await expect(down(await token())).rejects.toThrow(/503/);
    const endless = issuer(200, { keys: [{ kty: 'x'.repeat(2_000_000) }] });
    await expect(
      createTokenCheck({ oauth, clientSecret: undefined, clock, fetch: endless.fetch })(await token()),
    ).rejects.toThrow(/more than 1048576 bytes/);
  });
});

describe('introspection', () => {
  const oauth = { ...BASE, introspection: `${ISSUER}/introspect`, clientId: 'post:horn' };
  const check = (status: number, answer: unknown, over: Partial<OauthConfig> = {}) => {
    const { asked, fetch } = issuer(status, answer);
    return { asked, result: createTokenCheck({ oauth: { ...oauth, ...over }, clientSecret: 's%t', clock, fetch })('a.b/c+d==') };
  };

  it('asks with our name and the token, and takes the name from the answer', async () => {
    const { asked, result } = check(200, { active: true, username: 'alice' });
    expect(await result).toBe('alice');
    expect(asked[0]).toMatchObject({ url: `${ISSUER}/introspect`, body: 'token=a.b%2Fc%2Bd%3D%3D&token_type_hint=access_token' });
    expect(asked[0]?.headers.get('authorization')).toBe(`Basic ${Buffer.from('post%3Ahorn:s%25t').toString('base64')}`);
  });
  it('a token that is not active, or for somebody else, is nobody’s', async () => {
    expect(await check(200, { active: false, username: 'alice' }).result).toBeUndefined();
    expect(await check(200, { username: 'alice' }).result).toBeUndefined();
    expect(await check(200, { active: true, username: 'alice', aud: 'calendar' }, { audience: 'mail' }).result).toBeUndefined();
    expect(await check(200, { active: true, username: 'alice', aud: ['x', 'mail'] }, { audience: 'mail' }).result).toBe('alice');
    expect(await check(200, { active: true, username: 'alice', iss: 'x' }, { issuer: ISSUER }).result).toBeUndefined();
  });
  it('a token that is called active is nobody’s before it begins and after it ended, as the same answer says', async () => {
    const now = Math.floor(Date.now() / 1000);
    const said = (times: object) => check(200, { active: true, username: 'alice', ...times }).result;
    for (const bad of [{ exp: now - 60 }, { nbf: now + 60 }, { exp: `${now - 60}` }, { exp: 'soon' }, { exp: 0 }])
      expect(await said(bad), JSON.stringify(bad)).toBeUndefined();
    for (const good of [{ exp: now + 60, nbf: now - 60 }, { exp: now - 20 }, { nbf: now + 20 }, { exp: null, nbf: null }])
      expect(await said(good), JSON.stringify(good)).toBe('alice');
  });
  it.each([
    ['an error', 500, ''],
    ['no JSON', 200, '<html>'],
    ['no object', 200, 'null'],
    ['too much', 200, { active: true, more: 'x'.repeat(70_000) }],
  ])('%s is no answer', async (_what, status, answer) => {
    await expect(check(status, answer).result).rejects.toThrow();
  });
});
