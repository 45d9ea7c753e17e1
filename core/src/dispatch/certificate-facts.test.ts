import { createHash, type X509Certificate } from 'node:crypto';
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { serverEndPointOf, subjectAltNamesOf } from './certificate-facts.ts';

describe('names of a certificate', () => {
  it('are of the kinds a login can be by', () => {
    expect(subjectAltNamesOf('email:alice@example.org, DNS:a.example, URI:urn:x, IP Address:192.0.2.1')).toEqual([
      'email:alice@example.org',
      'dns:a.example',
      'uri:urn:x',
      'ip:192.0.2.1',
    ]);
    expect(subjectAltNamesOf('othername:<unsupported>, DNS:a.example')).toEqual(['dns:a.example']);
    expect(subjectAltNamesOf(undefined)).toEqual([]);
  });

  it('cannot be smuggled in by one that has a comma in it', () => {
    expect(subjectAltNamesOf('email:"x@example.org, email:root@example.org", DNS:b.example')).toEqual([
      'email:x@example.org, email:root@example.org',
      'dns:b.example',
    ]);
    expect(subjectAltNamesOf('email:"a\\u0000@example.org"')).toEqual([]);
    expect(subjectAltNamesOf('email:"not closed, DNS:b.example')).toEqual([]);
    expect(subjectAltNamesOf('email:a"b, DNS:b.example')).toEqual([]);
  });
});

const value = fc.string({
  minLength: 1,
  maxLength: 30,
  unit: fc.constantFrom('a', '@', '.', ',', ' ', '"', '\\', ':', 'DNS', 'email:'),
});
const label = fc.constantFrom('email', 'DNS', 'URI', 'IP Address', 'othername', 'Registered ID');
/** As Node writes one: in quotes where it could be misread. */
const written = (text: string) => (/[,"\\]/.test(text) ? JSON.stringify(text) : text);

describe('whatever stands in a certificate', () => {
  it('comes out as the names that went in, no more and no other', () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(label, value)), (names) => {
        const text = names.map(([kind, name]) => `${kind}:${written(name)}`).join(', ');
        const kinds: Readonly<Record<string, string>> = { email: 'email', DNS: 'dns', URI: 'uri', 'IP Address': 'ip' };
        const expected = names.flatMap(([kind, name]) => (kinds[kind] === undefined ? [] : [`${kinds[kind]}:${name}`]));
        expect(subjectAltNamesOf(text)).toEqual(expected);
      }),
    );
  });

  it('throws nothing', () => {
    fc.assert(fc.property(fc.string(), (text) => void subjectAltNamesOf(text)));
  });
});

describe('tls-server-end-point', () => {
  const of = (signatureAlgorithm: string | undefined) =>
    serverEndPointOf({ signatureAlgorithm, raw: Buffer.from('der') } as unknown as X509Certificate);
  const hash = (name: string) => createHash(name).update('der').digest();

  it('has the hash of the signature', () => {
    expect(of('ecdsa-with-SHA384')).toEqual(hash('sha384'));
    expect(of('sha512WithRSAEncryption')).toEqual(hash('sha512'));
  });
  it('has SHA-256 in place of MD5 and SHA-1', () => {
    expect(of('sha1WithRSAEncryption')).toEqual(hash('sha256'));
    expect(of('md5WithRSAEncryption')).toEqual(hash('sha256'));
  });
  it('is not there for a signature without a hash', () => {
    expect(of('ED25519')).toBeUndefined();
    expect(of(undefined)).toBeUndefined();
  });
});
