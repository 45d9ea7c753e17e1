/** The log of a running server says why something failed, with what is behind an error; an error in it was `{}`. */
import { readFileSync } from 'node:fs';
import { connect } from 'node:tls';
import { afterAll, expect, it } from 'vitest';
import { freePorts } from '../lib/process.ts';
import { ServerLog } from '../lib/server-log.ts';
import { type Posthorn, startPosthorn } from '../lib/server.ts';

let server: Posthorn;
afterAll(async () => {
  await server?.stop();
  server?.remove();
});

it('why the issuer of tokens could not be asked', async () => {
  const [closed] = (await freePorts(1)) as [number];
  const log = new ServerLog();
  const oauth = { issuer: 'https://id.example.org', audience: 'mail', jwks: `http://127.0.0.1:${closed}/keys` };
  server = await startPosthorn({ users: { alice: 'secret' }, config: { auth: { oauth } }, onLog: log.read });
  const failed = log.next('smtp.auth-failed');
  const ca = readFileSync(server.certificateFile);
  const client = connect({ port: server.ports.submissions, host: '127.0.0.1', servername: 'localhost', ca });
  const part = (fields: object) => Buffer.from(JSON.stringify(fields)).toString('base64url');
  const token = `${part({ alg: 'ES256', kid: 'one' })}.${part({})}.${'A'.repeat(86)}`;
  const response = Buffer.from(`user=alice\x01auth=Bearer ${token}\x01\x01`).toString('base64');
  client.write(`EHLO client.example\r\nAUTH XOAUTH2 ${response}\r\n`);
  expect((await failed)['cause']).toBe(`fetch failed: connect ECONNREFUSED 127.0.0.1:${closed}`);
  client.destroy();
});
