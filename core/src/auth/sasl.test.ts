import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Authenticator } from './authenticator.ts';
import { readOauthBearer, readXoauth2 } from './mechanisms/bearer.ts';
import { readPlain } from './mechanisms/plain.ts';
import {
  decodeInitialResponse,
  decodeResponse,
  findMechanism,
  type SaslContext,
  type SaslStep,
  usableMechanisms,
} from './sasl.ts';
import { makeScramKeys } from './scram-keys.ts';

const WRONG = { ok: false, why: 'credentials' } as const;
const keys = await makeScramKeys('pencil', Buffer.from('W22ZaJ0SNY7soEsUEjb6gQ==', 'base64'), 4096);

function context(over: Partial<SaslContext> = {}, forms: Partial<Authenticator['forms']> = {}): SaslContext {
  const authenticator: Authenticator = {
    forms: { password: true, secret: true, scram: true, bearer: true, ...forms },
    nonce: () => '1896.697170952',
    check: async () => WRONG,
    checkSecret: async (name, _client, matches) => (matches('tanstaaftanstaaf') ? { ok: true, user: name } : WRONG),
    scram: (name) => ({ ok: true, keys, conclude: async (proven) => (proven ? { ok: true, user: name } : WRONG) }),
    checkCertificate: async () => WRONG,
    checkBearer: async () => WRONG,
  };
  return {
    authenticator,
    clientAddress: '192.0.2.7',
    hostname: 'postoffice.reston.mci.net',
    tls: undefined,
    takesPassword: true,
    ...over,
  };
}

async function start(name: string, initial?: string, using = context()): Promise<SaslStep> {
  return await findMechanism(name, using)!.start(using, initial === undefined ? undefined : Buffer.from(initial));
}

async function answer(step: SaslStep, response: string): Promise<SaslStep> {
  if (step.is !== 'challenge') throw new Error(`no challenge but ${step.is}`);
  return await step.next(Buffer.from(response));
}

describe('what is offered', () => {
  const tls = { version: 'TLSv1.3', cipher: 'X' };
  it('is what somebody can log in with, the strongest first', () => {
    const binding = { exporter: () => Buffer.alloc(32), serverEndPoint: () => undefined };
    const clientCertificate = { subjectAltNames: [], fingerprint256: '' };
    expect(usableMechanisms(context({ tls: { ...tls, channelBinding: binding, clientCertificate } }))).toEqual([
      'SCRAM-SHA-256-PLUS',
      'SCRAM-SHA-256',
      'EXTERNAL',
      'OAUTHBEARER',
      'XOAUTH2',
      'CRAM-MD5',
      'PLAIN',
      'LOGIN',
    ]);
  });
  it('is less without TLS, without stored keys, and nothing where no login is taken', () => {
    expect(usableMechanisms(context())).toEqual(['SCRAM-SHA-256', 'CRAM-MD5', 'PLAIN', 'LOGIN']);
    expect(usableMechanisms(context({ tls }, { secret: false, scram: false, bearer: false }))).toEqual(['PLAIN', 'LOGIN']);
    expect(usableMechanisms(context({ takesPassword: false }))).toEqual([]);
  });
  it('is never what the operator does not allow', () => {
    const using = context({}, { allowed: ['PLAIN'] });
    expect(usableMechanisms(using)).toEqual(['PLAIN']);
    expect(findMechanism('LOGIN', using)).toBeUndefined();
    expect(findMechanism('plain', using)?.name).toBe('PLAIN');
  });
});

describe('the examples of the RFCs', () => {
  it('CRAM-MD5 of RFC 2195 §2', async () => {
    const step = await start('CRAM-MD5');
    expect(step).toMatchObject({ is: 'challenge', challenge: '<1896.697170952@postoffice.reston.mci.net>' });
    expect(await answer(step, 'tim b913a602c7eda7a495b4e6e7334d3890')).toEqual({ is: 'success', user: 'tim' });
    expect(await answer(step, 'tim b913a602c7eda7a495b4e6e7334d3891')).toMatchObject({ why: 'credentials', name: 'tim' });
    for (const wrong of ['tim', 'tim B913A602C7EDA7A495B4E6E7334D3890', ' b913a602c7eda7a495b4e6e7334d3890', ''])
      expect(await answer(step, wrong)).toMatchObject({ why: 'malformed' });
  });
  it('SCRAM-SHA-256 of RFC 7677 §3', async () => {
    const nonce = '%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0';
    const using = context();
    const step = await start('SCRAM-SHA-256', 'n,,n=user,r=rOprNGfwEbeRWgbNEkqO', {
      ...using,
      authenticator: { ...using.authenticator, nonce: () => nonce },
    });
    expect(step).toMatchObject({ challenge: `r=rOprNGfwEbeRWgbNEkqO${nonce},s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096` });
    const proof = 'dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=';
    const last = await answer(step, `c=biws,r=rOprNGfwEbeRWgbNEkqO${nonce},p=${proof}`);
    expect(last).toMatchObject({ is: 'challenge', challenge: 'v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=' });
    expect(await answer(last, '')).toEqual({ is: 'success', user: 'user' });
  });
});

it('a client that could bind its channel is refused only where PLUS was offered', async () => {
  const channelBinding = { exporter: () => Buffer.alloc(32), serverEndPoint: () => undefined };
  const over = { tls: { version: 'TLSv1.3', cipher: 'X', channelBinding } };
  expect(await start('SCRAM-SHA-256', 'y,,n=user,r=abc', context(over))).toMatchObject({ is: 'failure', why: 'credentials' });
  const without = context(over, { allowed: ['SCRAM-SHA-256'] });
  expect(await start('SCRAM-SHA-256', 'y,,n=user,r=abc', without)).toMatchObject({ is: 'challenge' });
  expect(await start('SCRAM-SHA-256', 'n,,n=user,r=abc', context(over))).toMatchObject({ is: 'challenge' });
});

describe('names in SCRAM', () => {
  it('may hold commas and equals signs, written in their own way', async () => {
    const names: string[] = [];
    const using = context();
    const noting: SaslContext = {
      ...using,
      authenticator: {
        ...using.authenticator,
        scram: (name, client) => {
          names.push(name);
          return using.authenticator.scram(name, client);
        },
      },
    };
    for (const written of ['a=2Cb=3Dc', 'x\u00ady', 'ⅸ']) await start('SCRAM-SHA-256', `n,,n=${written},r=abc`, noting);
    expect(names).toEqual(['a,b=c', 'xy', 'ix']);
  });
  it.each(['a=2cb', 'a=b', 'a=', '', 'a\0b'])('%j is refused', async (written) => {
    expect(await start('SCRAM-SHA-256', `n,,n=${written},r=abc`)).toMatchObject({ is: 'failure', why: 'malformed' });
  });
});

describe('PLAIN', () => {
  const read = (text: string) => readPlain(Buffer.from(text));
  it('has name and password, and an authorization identity or none', () => {
    expect(read('\0alice\0sécret word')).toEqual({ actAs: '', name: 'alice', password: 'sécret word' });
    expect(read('alice\0alice\0secret')).toEqual({ actAs: 'alice', name: 'alice', password: 'secret' });
  });
  it.each([
    '',
    'alice\0secret',
    '\0alice\0secret\0',
    '\0\0secret',
    '\0alice\0',
    `${'x'.repeat(256)}\0alice\0secret`,
    `\0${'x'.repeat(256)}\0secret`,
    `\0alice\0${'x'.repeat(256)}`,
  ])('is not %j', (text) => {
    expect(read(text)).toBeUndefined();
  });
  it('has names by SASLprep, as SCRAM and USER have, and the password as it was typed', () => {
    expect(read('ju\u0308rgen\0ju\u00adrgen\u2168\0pa\u00a0ss')).toEqual({
      actAs: 'jürgen',
      name: 'jurgenIX',
      password: 'pa\u00a0ss',
    });
    expect(read('\0\u00ad\0secret')).toBeUndefined();
  });

  it('leaves it to the authenticator whose the authorization identity is', async () => {
    const asked: unknown[] = [];
    const using = context();
    const check: Authenticator['check'] = async (...args) => (asked.push(args), WRONG);
    const noting = { ...using, authenticator: { ...using.authenticator, check } };
    for (const actAs of ['', 'ALICE']) await start('PLAIN', `${actAs}\0alice\0secret`, noting);
    expect(asked).toEqual([
      ['alice', 'secret', '192.0.2.7', undefined],
      ['alice', 'secret', '192.0.2.7', 'ALICE'],
    ]);
  });

  it('takes fields of 255 octets', () => {
    const long = 'é'.repeat(127) + 'x';
    expect(read(`${long}\0${long}\0${long}`)).toEqual({ actAs: long, name: long, password: long });
  });
  it('is not what is not UTF-8', () => {
    expect(readPlain(Buffer.from([0, 97, 0, 0xff, 0xfe]))).toBeUndefined();
  });
});

describe('tokens', () => {
  it('come with a name or without', () => {
    const keysOf = (text: string) => `host=h\x01port=587\x01auth=${text}\x01\x01`;
    expect(readOauthBearer(`n,a=us=2Cer=3D,\x01${keysOf('Bearer a.b-c~+/==')}`)).toEqual({ name: 'us,er=', token: 'a.b-c~+/==' });
    expect(readOauthBearer(`y,,\x01${keysOf('bearer x')}`)).toEqual({ name: undefined, token: 'x' });
    expect(readXoauth2('user=a@b\x01auth=Bearer x\x01\x01')).toEqual({ name: 'a@b', token: 'x' });
  });
  it.each([
    'n,,\x01auth=Bearer x\x01',
    'n,,\x01host=h\x01\x01',
    'n,,\x01auth=Bearer x y\x01\x01',
    'auth=Bearer x\x01\x01',
    '\x01',
  ])('do not come as %j', (text) => {
    expect(readOauthBearer(text)).toBeUndefined();
    expect(readXoauth2(text)).toBeUndefined();
  });
});

describe('responses', () => {
  it('are base64 as it should be, and `=` is empty with the command only', () => {
    expect(decodeResponse('AGE=')).toEqual(Buffer.from('\0a'));
    expect(decodeResponse('')).toEqual(Buffer.alloc(0));
    expect(decodeInitialResponse('=')).toEqual(Buffer.alloc(0));
    for (const wrong of ['=', 'AGE', 'AG E=', 'AGE==', 'not base64', '-_==']) expect(decodeResponse(wrong)).toBeUndefined();
    expect(decodeInitialResponse('')).toBeUndefined();
  });
  it('of any bytes never throw, in no mechanism', async () => {
    const tls = { version: 'TLSv1.3', cipher: 'X', clientCertificate: { subjectAltNames: [], fingerprint256: '' } };
    const using = context({ tls });
    for (const name of usableMechanisms(using)) {
      await fc.assert(
        fc.asyncProperty(fc.uint8Array({ maxLength: 60 }), fc.string(), async (bytes, text) => {
          const mechanism = findMechanism(name, using)!;
          for (const initial of [undefined, Buffer.from(bytes), Buffer.from(`n,,n=${text},r=${text}`)]) {
            const step = await mechanism.start(using, initial);
            if (step.is === 'challenge') await step.next(Buffer.from(bytes));
          }
        }),
        { numRuns: 50 },
      );
    }
  });
});
