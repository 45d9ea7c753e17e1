import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Config } from '@posthorn/config';
import type { SourceUser } from '@posthorn/core/auth/user-source';
import type { User } from '@posthorn/core/directory/directory';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { withSourceUsers } from './source-users.ts';

let folder: string;
const servers: Server[] = [];
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'posthorn-source-'));
});
afterEach(() => {
  for (const server of servers.splice(0)) server.close();
  rmSync(folder, { recursive: true });
});

function configWith(source: Record<string, unknown>): Config {
  return { data: folder, auth: { source } } as unknown as Config;
}

/** Beside these users of users.yaml. */
function beside(own: readonly User[], listed: readonly SourceUser[]) {
  const file = join(folder, 'source.mjs');
  const list = `async () => (${JSON.stringify(listed)})`;
  writeFileSync(file, `export const userSource = { kind: 'user-source', create: () => ({ list: ${list} }) };`);
  return withSourceUsers(configWith({ [file]: {} }), own, (problem) => expect.unreachable(problem));
}

describe('names and addresses', () => {
  const alice: User = { name: 'alice', addresses: ['alice@example.org', 'boss@münchen.example'] };

  // Who logs in by an address is looked up by name first: the name took the address over, and could send as it.
  it.each(['alice@example.org', 'ALICE@example.org', 'boss@xn--mnchen-3ya.example'])(
    'the address of a user of users.yaml is nobody’s name: %s',
    async (name) => {
      const { users, leftOut } = await beside([alice], [{ name, addresses: ['new@example.org'] }]);
      expect(users).toEqual([alice]);
      expect(leftOut).toEqual([name]);
    },
  );

  it('the name of another is nobody’s address, but for who has the name', async () => {
    const own = { name: 'own@example.org', addresses: [] };
    const { users, leftOut } = await beside(
      [own],
      [
        { name: 'bob', addresses: ['Own@example.org', 'carol@example.org', 'bob@example.org'] },
        { name: 'carol@example.org', addresses: ['carol@example.org', 'bob@example.org'] },
      ],
    );
    expect(users).toEqual([
      own,
      { name: 'bob', elsewhere: true, addresses: ['bob@example.org'] },
      { name: 'carol@example.org', elsewhere: true, addresses: ['carol@example.org'] },
    ]);
    expect(leftOut).toEqual(['Own@example.org', 'carol@example.org', 'bob@example.org']);
  });
});

describe('a source that cannot be asked', () => {
  async function listen(location: string): Promise<string> {
    const server = createServer((_request, response) => response.writeHead(302, { location }).end()).listen(0, '127.0.0.1');
    servers.push(server);
    await once(server, 'listening');
    return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  }
  const problemOf = async (url: string) => {
    const error: unknown = await withSourceUsers(configWith({ http: { url } }), [], () => undefined).catch(
      (reason: unknown) => reason,
    );
    return error instanceof Error ? error.message : 'none';
  };

  // All that was told was "users cannot be listed: fetch failed".
  it('is told of with the reason: nobody there, a redirect', async () => {
    expect(await problemOf(await listen('/elsewhere'))).toMatch(/^users cannot be listed: .*redirect/);
    const gone = await listen('');
    const [server] = servers.splice(1);
    await new Promise((resolve) => server?.close(resolve));
    expect(await problemOf(gone)).toMatch(/^users cannot be listed: .*ECONNREFUSED/);
  });
});
