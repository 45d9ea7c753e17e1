/** StartTLS of the LDAP source before a server that does as it likes: nothing is said to who is not the one in the URL. */
import { writeFileSync } from 'node:fs';
import { createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import { join } from 'node:path';
import { TLSSocket } from 'node:tls';
import { createLdapSource, ldapOptions } from '@posthorn/users-ldap';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { makeCa, type Pair, type TestCa } from '../lib/certificates.ts';
import { tempFolder } from '../lib/process.ts';

/** ExtendedResponse: success. @param id of the request */
const goAhead = (id: number) => Buffer.from([0x30, 0x0c, 0x02, 0x01, id, 0x78, 0x07, 0x0a, 0x01, 0, 0x04, 0, 0x04, 0]);

let ca: TestCa;
const folder = tempFolder('ldap-starttls');
const servers: { server: Server; sockets: Socket[] }[] = [];
beforeAll(async () => {
  ca = await makeCa('directory CA');
  writeFileSync(join(folder.path, 'ca.pem'), ca.certificate);
});
afterAll(() => {
  for (const { server, sockets } of servers) {
    for (const socket of sockets) socket.destroy();
    server.close();
  }
  folder.remove();
});

/** @param pair what it shows; undefined: it says the go-ahead and then nothing more. */
async function directory(pair: Pair | undefined) {
  const heard: string[] = [];
  const sockets: Socket[] = [];
  const server = createServer((plain) => {
    sockets.push(plain);
    plain.on('error', () => undefined);
    plain.once('data', (request: Buffer) => {
      plain.write(goAhead(request[4]!));
      if (pair === undefined) return;
      const secure = new TLSSocket(plain, { isServer: true, cert: pair.certificate, key: pair.key });
      secure.on('error', () => undefined);
      secure.on('data', (bytes: Buffer) => {
        heard.push(bytes.toString('latin1'));
        secure.destroy();
      });
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  servers.push({ server, sockets });
  const { port } = server.address() as AddressInfo;
  const source = (host: string, timeoutMs = 10_000) =>
    createLdapSource(
      ldapOptions.parse({
        url: `ldap://${host}:${port}`,
        startTls: true,
        caFile: join(folder.path, 'ca.pem'),
        base: 'dc=example,dc=test',
        timeoutMs,
      }),
    );
  return { heard, source };
}

describe('the certificate has to be for', () => {
  it('the address in the URL', async () => {
    const wrong = await directory(await ca.issue({ name: 'any', dns: ['localhost'] }));
    await expect(wrong.source('127.0.0.1').verify('alice', 'secret')).rejects.toThrow(/does not match|altnames/);
    expect(wrong.heard).toEqual([]);
    const right = await directory(await ca.issue({ name: 'any', ip: ['127.0.0.1'] }));
    await expect(right.source('127.0.0.1').verify('alice', 'secret')).rejects.toThrow(/closed/);
    expect(right.heard.join()).toContain('alice');
  });

  it('the name in the URL', async () => {
    const wrong = await directory(await ca.issue({ name: 'any', ip: ['127.0.0.1'] }));
    await expect(wrong.source('localhost').verify('alice', 'secret')).rejects.toThrow(/does not match|altnames/);
    expect(wrong.heard).toEqual([]);
    const right = await directory(await ca.issue({ name: 'any', dns: ['localhost'] }));
    await expect(right.source('localhost').verify('alice', 'secret')).rejects.toThrow(/closed/);
    expect(right.heard).toHaveLength(1);
  });
});

it('a handshake that never ends is given up', async () => {
  const { source } = await directory(undefined);
  await expect(source('127.0.0.1', 500).list()).rejects.toThrow('StartTLS took too long');
});
