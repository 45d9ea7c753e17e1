/** `posthorn check`, of what starts and could not keep a promise. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, expect, it } from 'vitest';
import { run, tempFolder } from '../lib/process.ts';
import { POSTHORN } from '../lib/server.ts';

const folder = tempFolder('check');
afterAll(() => folder.remove());

async function warningsOf(tls: string): Promise<string[]> {
  const file = join(folder.path, `${tls}.yaml`);
  const listeners = [
    '{ name: mx, protocol: smtp, address: "127.0.0.1:2525" }',
    '{ name: quiet, protocol: smtp, address: "127.0.0.1:2526", requests: { requireTls: false } }',
    '{ name: pop, protocol: pop3, address: "127.0.0.1:2110" }',
  ];
  writeFileSync(join(folder.path, 'users.yaml'), '', { mode: 0o600 });
  writeFileSync(
    file,
    `hostname: mx.example.org\ndata: ./data\ndomains: { example.org: {} }\nlisteners: [${listeners.join(', ')}]\nrelay: { tls: ${tls} }\n`,
  );
  const { stderr } = await run([POSTHORN, 'check', file]);
  return stderr.split('\n').filter((line) => line !== '');
}

it('REQUIRETLS where nothing goes out with TLS', async () => {
  expect(await warningsOf('never')).toEqual([
    'warning: listener mx takes mail with REQUIRETLS, which bounces (5.7.10): relay.tls is never',
  ]);
  expect(await warningsOf('opportunistic')).toEqual([]);
});
