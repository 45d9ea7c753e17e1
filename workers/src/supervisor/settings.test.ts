import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ensureCertificate } from './certificate.ts';
import { readConfig } from './settings.ts';
import { readIdentity } from './tls-files.ts';

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
