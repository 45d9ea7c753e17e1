import { configSchema } from '@posthorn/config';
import { expect, it } from 'vitest';
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
