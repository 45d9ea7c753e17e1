/** Who stands before us, as others do it: Postfix by LMTP and XFORWARD, swaks by XCLIENT, curl by PROXY. Skips what is not installed. */
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, expect, it } from 'vitest';
import { missing, type Package, program } from '../lib/peers/install.ts';
import { startPostfix } from '../lib/peers/postfix.ts';
import { run } from '../lib/process.ts';
import { ServerLog } from '../lib/server-log.ts';
import { maildirOf, type Posthorn, startPosthorn, waitForMail } from '../lib/server.ts';
import { sayAll, talkTo } from '../lib/talk.ts';

const LOOPBACK = '127.0.0.0/8';
/** The port is looked for from another address, which sends no header. */
const PROXY = '127.0.0.5';

let server: Posthorn;
let log: ServerLog;
afterEach(async () => {
  await server.stop();
  server.remove();
});

async function serve(listener: Record<string, unknown>): Promise<void> {
  log = new ServerLog();
  server = await startPosthorn({
    users: { alice: 'secret', bob: 'secret' },
    listener: { plaintextLogin: 'always', ...listener },
    config: { throughput: { processes: 1 } },
    onLog: log.read,
  });
}

async function onlyMessageOf(user: string): Promise<string> {
  expect(await waitForMail(server, user, 1)).toBe(1);
  const folder = join(maildirOf(server, user), 'new');
  return readFileSync(join(folder, readdirSync(folder)[0]!), 'utf8');
}

function withPeer(needs: Package, root: boolean) {
  const without = missing([needs]).length > 0 || (root && process.getuid?.() !== 0);
  if (without) console.warn(`SKIPPED: ${needs} is not here${root ? ', or this is not root' : ''}`);
  return it.skipIf(without);
}

withPeer('postfix', true)(
  'Postfix delivers to each recipient by LMTP, and tells by XFORWARD whom it had the message from',
  async () => {
    await serve({ protocol: 'lmtp', tls: 'none', xforwardFrom: [LOOPBACK] });
    const postfix = await startPostfix({ mail: { lmtpPort: server.ports.smtp } });
    try {
      const accepted = log.next('smtp.accepted');
      const talk = await talkTo(postfix.port);
      await sayAll(talk, [
        ['EHLO sender.test', '250'],
        ['MAIL FROM:<>', '250'],
        ['RCPT TO:<alice@example.test>', '250'],
        ['RCPT TO:<nobody@example.test>', '250'],
        ['RCPT TO:<bob@example.test>', '250'],
        ['DATA', '354'],
      ]);
      expect(await talk.say('Subject: by LMTP\r\n\r\n..\r\ntext\r\n.')).toMatch(/^250/);
      await sayAll(talk, [['QUIT', '221']]);
      for (const user of ['alice', 'bob']) {
        const message = await onlyMessageOf(user);
        expect(message).toMatch(/^Received: from postfix\.test .*\r?\n\tby localhost \(Posthorn\) with LMTP/m);
        expect(message).toMatch(/\n\.\r?\ntext\r?\n$/);
      }
      expect(await accepted).toMatchObject({
        recipients: 2,
        forwarded: { ADDR: '127.0.0.1', HELO: 'sender.test', SOURCE: 'REMOTE' },
      });
      // Nothing is left of it there: each recipient had its answer.
      await expect.poll(() => postfix.queued(), { timeout: 10_000 }).toBe(0);
    } finally {
      await postfix.stop();
    }
  },
);

withPeer('swaks', false)('swaks says by XCLIENT whose session it is', async () => {
  await serve({ tls: 'none', xclientFrom: [LOOPBACK] });
  const closed = log.next('smtp.closed', ({ client }) => client === '2001:db8::7');
  const said = `--server 127.0.0.1:${server.ports.smtp} --from a@sender.test --to alice@example.test --helo said.test`;
  const client = '--xclient-addr IPV6:2001:db8::7 --xclient-name client.test --xclient-port 4711';
  await run([program('swaks'), ...said.split(' '), ...client.split(' ')]);
  await closed;
  expect(await onlyMessageOf('alice')).toContain('Received: from said.test (client.test [IPv6:2001:db8::7])');
});

withPeer('curl', false)('curl sends and fetches behind its PROXY header', async () => {
  await serve({ tls: 'none', proxyFrom: [PROXY] });
  const closed = log.next('pop3.closed', ({ user }) => user === 'alice');
  const mail = join(server.folder, 'mail.txt');
  writeFileSync(mail, 'Subject: behind a proxy\r\n\r\ntext\r\n');
  const curl = (...more: string[]) =>
    run([program('curl'), '--silent', '--show-error', '--interface', PROXY, '--haproxy-protocol', ...more]);
  const upload = `--mail-from a@sender.test --mail-rcpt alice@example.test --upload-file ${mail}`;
  await curl(...upload.split(' '), `smtp://127.0.0.1:${server.ports.smtp}/said.test`);
  expect(await onlyMessageOf('alice')).toContain('Subject: behind a proxy');
  const { stdout } = await curl('--user', 'alice:secret', `pop3://127.0.0.1:${server.ports.pop3}/1`);
  expect(stdout).toContain('Subject: behind a proxy');
  await closed;
});
