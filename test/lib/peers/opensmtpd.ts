/** An OpenSMTPD of our own on loopback, in a root folder of its own (apart.ts). Needs root. */
import { chmodSync, chownSync, existsSync, mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { freePorts, run, start, stop, waitForPort } from '../process.ts';
import { BOX, copyRoot } from './apart.ts';
import type { MailServer, MailServerOptions, Route } from './mail-server.ts';

/** Starts an instance and waits for its greeting. */
export async function startOpenSmtpd(options: MailServerOptions): Promise<MailServer> {
  const root = await copyRoot('opensmtpd');
  const [plain, starttls, implicit] = (await freePorts(3)) as [number, number, number];
  const ports = { plain, starttls, implicit };
  const put = (name: string, text: string, mode = 0o600) => {
    mkdirSync(join(root.path, 'etc/ssl/certs'), { recursive: true });
    writeFileSync(join(root.path, 'etc', name), text);
    chmodSync(join(root.path, 'etc', name), mode);
  };
  mkdirSync(join(root.path, 'var/spool'), { recursive: true });
  if (!existsSync(join(root.path, 'var/run'))) symlinkSync('../run', join(root.path, 'var/run'));
  chownSync(join(root.path, 'box'), BOX.uid, BOX.gid);
  put('cert.pem', options.certificate.cert);
  put('key.pem', options.certificate.key);
  put('ssl/certs/ca-certificates.crt', options.trusted, 0o644);
  const hash = await run(root.command('/usr/libexec/opensmtpd/encrypt', options.login.password));
  put('posthorn.conf', configText(options, ports, hash.stdout.trim()));
  const program = '/usr/sbin/smtpd';
  let printed = '';
  const command = root.command(program, '-d', '-v', '-f', '/etc/posthorn.conf');
  const running = await start(['sh', '-c', 'exec "$@" 2>&1', 'sh', ...command], { onOut: (text) => (printed += text) });
  try {
    await waitForPort(plain, { running });
  } catch (error) {
    await stop(running);
    root.remove();
    throw new Error(`OpenSMTPD did not start:\n${printed}`, { cause: error });
  }
  const { stderr, stdout } = await run(root.command(program, '-h'), { mayFail: true });
  return {
    name: `OpenSMTPD ${/OpenSMTPD (\S+)/.exec(stdout + stderr)?.[1]}`,
    ports,
    boxOf: (user) => join(root.path, 'box', user, 'new'),
    log: () => printed,
    stop: async () => {
      await stop(running);
      root.remove();
    },
  };
}

function action(name: string, route: Route): string {
  if (route.tls === 'none') return `action "${name}" relay host "smtp+notls://127.0.0.1:${route.port}"`;
  if (route.login === undefined) return `action "${name}" relay host "smtp+tls://localhost:${route.port}"`;
  return `table secrets { "next" = "${route.login.user}:${route.login.password}" }
action "${name}" relay host "smtp+tls://next@localhost:${route.port}" auth <secrets>`;
}

function configText(options: MailServerOptions, ports: MailServer['ports'], hash: string): string {
  const on = `hostname ${options.domains[0]}`;
  const routes = Object.entries(options.routes).map(([domain, route], index) => ({ name: `to${index}`, domain, route }));
  const users = options.users.map((user) => `"${user}" = "${BOX.name}"`).join(', ');
  return `
pki mail cert "/etc/cert.pem"
pki mail key "/etc/key.pem"
smtp max-message-size ${options.maxMessageBytes}
queue ttl 1h
bounce warn-interval 3s
table boxes { ${users} }
table logins { "${options.login.user}" = "${hash}" }
listen on 127.0.0.1 port ${ports.plain} ${on}
listen on 127.0.0.1 port ${ports.starttls} tls pki mail ${on}
listen on 127.0.0.1 port ${ports.implicit} smtps pki mail auth-optional <logins> ${on}
action "box" maildir "/box/%{rcpt.user}" virtual <boxes>
${routes.map(({ name, route }) => action(name, route)).join('\n')}
match from any for domain { ${options.domains.map((domain) => `"${domain}"`).join(', ')} } action "box"
${routes.map(({ name, domain }) => `match from any for domain "${domain}" action "${name}"`).join('\n')}
`;
}
