/** Holds the sources of this project to one suite: the file by its own means, HTTP against a server of its own, LDAP against slapd (Debian: slapd). */
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { describe, it } from 'vitest';
import { hashPassword, verifyPassword } from '@posthorn/core/auth/password';
import { createHttpSource, httpOptions } from '@posthorn/users-http';
import { createLdapSource, ldapOptions } from '@posthorn/users-ldap';
import { freePorts, run, start, stop, tempFolder, waitForPort } from '../lib/process.ts';
import { PASSWORD, USERS, userSourceSuite } from './user-source.ts';

const SLAPD = ['/usr/sbin/slapd', '/usr/lib/openldap/slapd', '/usr/libexec/slapd'].find((file) => existsSync(file));
const BASE = 'dc=example,dc=test';

userSourceSuite('users in a file', async () => {
  const hash = await hashPassword(PASSWORD, { memoryKiB: 64, passes: 1, lanes: 1 });
  const gone = async (): Promise<never> => {
    throw new Error('the file is gone');
  };
  return {
    source: {
      list: async () => USERS,
      verify: async (name, password) =>
        USERS.some((user) => user.name === name) && password !== '' && (await verifyPassword(password, hash)),
    },
    down: { list: gone, verify: gone },
    close: async () => undefined,
  };
});

userSourceSuite('users behind HTTP', async () => {
  const server = createServer((request, response) => {
    const pieces: Buffer[] = [];
    request.on('data', (piece: Buffer) => pieces.push(piece));
    request.on('end', () => {
      if (request.headers.authorization !== 'Bearer token of ours') response.writeHead(401).end();
      else if (request.url === '/api/users') response.end(JSON.stringify(USERS));
      else {
        const { name, password } = JSON.parse(Buffer.concat(pieces).toString()) as { name: string; password: string };
        const right = USERS.some((user) => user.name === name) && password === PASSWORD;
        response.writeHead(right ? 200 : 403).end();
      }
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const folder = tempFolder('users-http');
  const tokenFile = join(folder.path, 'token');
  writeFileSync(tokenFile, 'token of ours\n');
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/api/`;
  return {
    source: createHttpSource(httpOptions.parse({ url, tokenFile })),
    // Without the token it says 401, which is no answer.
    down: createHttpSource(httpOptions.parse({ url })),
    close: async () => {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
      folder.remove();
    },
  };
});

if (SLAPD === undefined) {
  describe('users in LDAP', () => it.skip('slapd is not installed: apt-get install slapd', () => undefined));
} else {
  const slapd = SLAPD;
  userSourceSuite('users in LDAP', async () => {
    const folder = tempFolder('slapd');
    const [port, closed] = (await freePorts(2)) as [number, number];
    const at = (name: string) => join(folder.path, name);
    mkdirSync(at('db'));
    writeFileSync(
      at('slapd.conf'),
      [
        ...['core', 'cosine', 'inetorgperson'].map((name) => `include /etc/ldap/schema/${name}.schema`),
        'modulepath /usr/lib/ldap',
        'moduleload back_mdb',
        `pidfile ${at('pid')}`,
        'database mdb',
        `suffix "${BASE}"`,
        `rootdn "cn=admin,${BASE}"`,
        'rootpw admin',
        `directory ${at('db')}`,
        'access to attrs=userPassword by anonymous auth by * none',
        'access to * by dn.exact="cn=reader,dc=example,dc=test" read by * none',
        '',
      ].join('\n'),
    );
    const encode = (text: string) => Buffer.from(text).toString('base64');
    const entries = USERS.map((user, index) =>
      [
        `dn: cn=person ${index},${BASE}`,
        'objectClass: inetOrgPerson',
        `cn: person ${index}`,
        'sn: person',
        `uid:: ${encode(user.name)}`,
        ...user.addresses.map((address) => `mail: ${address}`),
        ...(user.sendAs ?? []).map((sender) => `description: ${sender}`),
        `userPassword:: ${encode(PASSWORD)}`,
      ].join('\n'),
    );
    const ldif = [
      `dn: ${BASE}\nobjectClass: dcObject\nobjectClass: organization\no: test\ndc: example`,
      `dn: cn=reader,${BASE}\nobjectClass: organizationalRole\nobjectClass: simpleSecurityObject\ncn: reader\nuserPassword: reads`,
      ...entries,
    ];
    writeFileSync(at('users.ldif'), `${ldif.join('\n\n')}\n`);
    await run([slapd, '-T', 'add', '-f', at('slapd.conf'), '-l', at('users.ldif')], { cwd: folder.path });
    const running = await start([slapd, '-d', '0', '-f', at('slapd.conf'), '-h', `ldap://127.0.0.1:${port}`], {
      cwd: folder.path,
    });
    await waitForPort(port, { running, greets: false });
    writeFileSync(at('reader'), 'reads\n');
    const options = { bindDn: `cn=reader,${BASE}`, bindPasswordFile: at('reader'), base: BASE, sendAs: ['description'] };
    return {
      source: createLdapSource(ldapOptions.parse({ ...options, url: `ldap://127.0.0.1:${port}` })),
      down: createLdapSource(ldapOptions.parse({ ...options, url: `ldap://127.0.0.1:${closed}` })),
      close: async () => {
        await stop(running);
        folder.remove();
      },
    };
  });
}
