import { configSchema } from '@posthorn/config';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { openUserSource } from './user-source.ts';

const open = (source: Record<string, Record<string, unknown>>) =>
  openUserSource({ ...configSchema.parse({ auth: { source } }), hostname: 'mx.example.org' });

it('what is wrong with the options of a source is told by their keys', async () => {
  await expect(open({ http: { url: 'http://id.example.org/', timeoutMs: 1 } })).rejects.toThrow(
    /^auth\.source\.http\.url: expected https: passwords must not travel in clear\nauth\.source\.http\.timeoutMs: /,
  );
  await expect(open({ http: { url: 'https://posthorn:secret@id.example.org/' } })).rejects.toThrow(
    /^auth\.source\.http\.url: expected a URL without a login in it; see tokenFile$/,
  );
  await expect(open({ ldap: { url: 'ldap://ldap.example.org', base: 'dc=example' } })).rejects.toThrow(
    'auth.source.ldap: ldap:// to another machine needs startTls, or plaintext: true',
  );
  await expect(open({ ldap: { url: 'ldaps://ldap.example.org', base: 'dc=example', bindDn: 'cn=reader' } })).rejects.toThrow(
    'auth.source.ldap: bindDn and bindPasswordFile need each other, and a password',
  );
});

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'user-source-'));
});
afterEach(() => {
  vi.useRealTimers();
  rmSync(folder, { recursive: true });
});

/** @param create of the plugin, as source text */
function openMine(create: string) {
  const file = join(folder, 'mine.mjs');
  writeFileSync(file, `export const userSource = { name: 'mine', kind: 'user-source', create: ${create} };`);
  return open({ [file]: {} });
}

it('a source of your own that never answers is given up: it cannot be told now', async () => {
  const source = await openMine('() => ({ list: () => new Promise(() => {}), verify: () => new Promise(() => {}) })');
  vi.useFakeTimers();
  const asked = Promise.allSettled([source!.verify('alice', 'secret'), source!.list()]);
  await vi.advanceTimersByTimeAsync(60_000);
  expect(await asked).toEqual([
    { status: 'rejected', reason: new Error('no answer within 10000 ms') },
    { status: 'rejected', reason: new Error('no answer within 60000 ms') },
  ]);
});

it('a source of your own that answers is left alone', async () => {
  const source = await openMine(
    "() => ({ list: async () => [{ name: 'alice', addresses: [] }], verify: async (name) => name === 'alice' })",
  );
  expect(await source!.list()).toEqual([{ name: 'alice', addresses: [] }]);
  expect([await source!.verify('alice', ''), await source!.verify('bob', '')]).toEqual([true, false]);
});
