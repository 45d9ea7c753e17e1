import * as fc from 'fast-check';
import { expect, it } from 'vitest';
import { decodePlain } from './sasl-plain.ts';

const encode = (text: string): string => Buffer.from(text).toString('base64');

it('reads name and password, with the same authorization identity or none', () => {
  expect(decodePlain(encode('\0alice\0sécret word'))).toEqual({ name: 'alice', password: 'sécret word' });
  expect(decodePlain(encode('alice\0alice\0secret'))).toEqual({ name: 'alice', password: 'secret' });
});

it.each([
  '',
  '=',
  '*',
  'not base64',
  encode('alice\0secret'),
  encode('\0alice\0secret\0'),
  encode('\0\0secret'),
  encode('\0alice\0'),
  encode('bob\0alice\0secret'),
  encode(`\0${'x'.repeat(256)}\0secret`),
  encode(`\0alice\0${'x'.repeat(256)}`),
  Buffer.from([0, 97, 0, 0xff, 0xfe]).toString('base64'),
  `${encode('\0alice\0secret')}=`,
])('refuses %j', (response) => {
  expect(decodePlain(response)).toBeUndefined();
});

it('never throws', () => {
  fc.assert(fc.property(fc.string(), (text) => void decodePlain(text)));
  fc.assert(fc.property(fc.base64String(), (text) => void decodePlain(text)));
});
