/** Holds the sources of this project to one suite: the file by its own means, HTTP against a server of its own, LDAP against slapd (Debian: slapd). */
import { writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { describe, it } from 'vitest';
import { hashPassword, verifyPassword } from '@posthorn/core/auth/password';
import { createHttpSource, httpOptions } from '@posthorn/users-http';
import { createLdapSource, ldapOptions } from '@posthorn/users-ldap';
import { missing } from '../lib/peers/install.ts';
import { startSlapd } from '../lib/peers/slapd.ts';
import { freePorts, tempFolder } from '../lib/process.ts';
import { PASSWORD, USERS, userSourceSuite } from './user-source.ts';

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

if (missing(['slapd']).length > 0) {
  console.warn('NOT TESTED: users in LDAP: not installed: slapd; as root: npm run peers');
  describe('users in LDAP', () => it.skip('slapd is not installed', () => undefined));
} else {
  userSourceSuite('users in LDAP', async () => {
    const slapd = await startSlapd({ people: USERS, password: PASSWORD });
    const [closed] = (await freePorts(1)) as [number];
    const { base, bindDn, bindPasswordFile } = slapd;
    const sourceAt = (port: number) =>
      createLdapSource(
        ldapOptions.parse({ url: `ldap://127.0.0.1:${port}`, base, bindDn, bindPasswordFile, sendAs: ['description'] }),
      );
    return { source: sourceAt(slapd.port), down: sourceAt(closed), close: slapd.stop };
  });
}
