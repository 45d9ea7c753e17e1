import { createPrivateKey } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { configSchema } from '@posthorn/config';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ensureCertificate } from './certificate.ts';
import { readConfig, SettingsError } from './settings.ts';
import { readIdentity, readTls } from './tls-files.ts';

/** On secp256k1, good for a hundred years. */
const COIN_CERTIFICATE = `-----BEGIN CERTIFICATE-----
MIIBgTCCASigAwIBAgIUYnHIFOS3utu0p9N9zpzXtGyFmAYwCgYIKoZIzj0EAwIw
FzEVMBMGA1UEAwwMY29pbi5leGFtcGxlMCAXDTI2MTEyNjEzMTUxMVoYDzIxMjYx
MTAyMTMxNTExWjAXMRUwEwYDVQQDDAxjb2luLmV4YW1wbGUwVjAQBgcqhkjOPQIB
BgUrgQQACgNCAARWbsbuUeUvlyXbTOGQRQPValuGAeUIrShiowU/VUzod4osQ8iA
k6hFBrd/IGrk/wSToka4z3PdvGQIhaE29gpHo1MwUTAdBgNVHQ4EFgQUJwKYEn7y
cmp4lRRNTqJoCcqO4tUwHwYDVR0jBBgwFoAUJwKYEn7ycmp4lRRNTqJoCcqO4tUw
DwYDVR0TAQH/BAUwAwEB/zAKBggqhkjOPQQDAgNHADBEAiBBQporBwg/wpj3WAQ5
ZCZps0HV5tyRv+kkv8j2josfxgIgKAh6EqP1LMFJ7M32ZUG59W4fpKoSKkL1DjSH
hhqE1u0=
-----END CERTIFICATE-----
`;
const COIN_KEY = `-----BEGIN PRIVATE KEY-----
MIGEAgEAMBAGByqGSM49AgEGBSuBBAAKBG0wawIBAQQgNJynhXhlpxkOT/EMlJ1/
XWYSTGhjeXCKtJwp6FXWJtOhRANCAARWbsbuUeUvlyXbTOGQRQPValuGAeUIrShi
owU/VUzod4osQ8iAk6hFBrd/IGrk/wSToka4z3PdvGQIhaE29gpH
-----END PRIVATE KEY-----
`;

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'settings-'));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

async function make(name: string, more = ''): Promise<{ certificate: string; key: string }> {
  const made = await ensureCertificate(join(folder, name), 'mx.example.org', Date.now());
  const files = { certificate: join(folder, `${name}.pem`), key: join(folder, `${name}.key`) };
  writeFileSync(files.certificate, `${made.certificate}\n${more}`);
  writeFileSync(files.key, made.key);
  return files;
}

describe('a certificate', () => {
  it('is taken with its key, and not with another', async () => {
    const [one, other] = [await make('one'), await make('other')];
    expect(readIdentity(one, 'tls').certificate).toContain('BEGIN CERTIFICATE');
    expect(() => readIdentity({ ...one, key: other.key }, 'tls')).toThrow(/is not the key of/);
  });

  // `chain.pem is not the key of` sent people off to look for another key.
  it('comes before those between it and the CA, and the error says so', async () => {
    const [own, ca] = [await make('own'), await make('ca-first')];
    const chain = join(folder, 'wrong-order.pem');
    writeFileSync(chain, `${readFileSync(ca.certificate, 'utf8')}${readFileSync(own.certificate, 'utf8')}`);
    expect(() => readIdentity({ certificate: chain, key: own.key }, 'tls.certificates[0]')).toThrow(
      /^tls\.certificates\[0\]\.certificate: .*wrong-order\.pem has the certificates in the wrong order: the server's own, whose key is .*own\.key, has to be the first, and is number 2$/,
    );
  });

  // A certificate in place of the key was told of as `DECODER routines::unsupported`.
  it('or a key that is something else is told of by what is there', async () => {
    const one = await make('mixed-up');
    writeFileSync(join(folder, 'empty'), '');
    const problem = (certificate: string, key: string) => () => readIdentity({ certificate, key }, 'tls');
    expect(problem(one.certificate, one.certificate)).toThrow(
      /^tls\.key: .*mixed-up\.pem has no "BEGIN PRIVATE KEY" in it: expected a PEM file with one, found CERTIFICATE$/,
    );
    expect(problem(one.key, one.key)).toThrow(
      /^tls\.certificate: .*mixed-up\.key has no "BEGIN CERTIFICATE" in it: expected a PEM file with one, found PRIVATE KEY$/,
    );
    expect(problem(one.certificate, join(folder, 'empty'))).toThrow(/^tls\.key: .*empty has no .*, found no PEM$/);
  });

  it('has a key without a passphrase', async () => {
    const one = await make('locked');
    const locked = createPrivateKey(readFileSync(one.key)).export({
      type: 'pkcs8',
      format: 'pem',
      cipher: 'aes-128-cbc',
      passphrase: 'secret',
    });
    writeFileSync(one.key, locked);
    expect(() => readIdentity(one, 'tls')).toThrow(/^tls\.key: .*locked\.key has a passphrase/);
  });

  it('has a key on a curve that TLS knows', () => {
    // Made by a tool of coins; Node can sign with it, and no handshake could.
    const files = { certificate: join(folder, 'coin.pem'), key: join(folder, 'coin.key') };
    writeFileSync(files.certificate, COIN_CERTIFICATE);
    writeFileSync(files.key, COIN_KEY);
    expect(() => readIdentity(files, 'tls')).toThrow(
      /^tls\.certificate: .*coin\.pem has a key on secp256k1, which TLS does not know/,
    );
  });

  it('that no session thread could use is found before one starts', async () => {
    const broken = await make('chain', '-----BEGIN CERTIFICATE-----\nbm90aGluZw==\n-----END CERTIFICATE-----\n');
    expect(() => readIdentity(broken, 'tls')).toThrow(/tls\.certificate: .*chain\.pem cannot be used/);
  });
});

it('a data folder that is a file is found before a start', () => {
  const file = join(folder, 'posthorn.yaml');
  writeFileSync(file, 'data: ./posthorn.yaml\n');
  expect(() => readConfig(file)).toThrow(/^data: .*posthorn\.yaml is a file, not a folder$/);
});

describe('what is read for client certificates', () => {
  const problemOf = async (text: string, key: 'clientCa' | 'clientCrl') => {
    const file = join(folder, `${key}.pem`);
    writeFileSync(file, text);
    const listener = { name: 'mx', protocol: 'smtp', address: '127.0.0.1:0', clientCertificates: 'request', [key]: file };
    const config = { ...configSchema.parse({ data: folder, listeners: [listener] }), hostname: 'mx.example.org' };
    return readTls(config).then(
      () => 'fine',
      (error: unknown) => (error instanceof SettingsError ? error.message : `thrown: ${String(error)}`),
    );
  };

  it('is named with its key when it is of no use', async () => {
    const { certificate } = await ensureCertificate(join(folder, 'ca'), 'mx.example.org', Date.now());
    expect(await problemOf('nothing', 'clientCa')).toMatch(/^listeners\[0\]\.clientCa: .* no certificate is in it$/);
    expect(await problemOf(certificate, 'clientCa')).toMatch(/a certificate in it is not that of a CA$/);
    expect(await problemOf(certificate, 'clientCrl')).toMatch(/^listeners\[0\]\.clientCrl: .* no revocation list is in it$/);
    const broken = '-----BEGIN X509 CRL-----\nbm90aGluZw==\n-----END X509 CRL-----\n';
    expect(await problemOf(broken, 'clientCrl')).toMatch(/clientCrl\.pem cannot be used: /);
  });
});
