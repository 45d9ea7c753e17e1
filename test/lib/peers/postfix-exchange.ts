/**
 * A Postfix that mail is exchanged with, beside the one that is measured (postfix.ts): TLS, SMTPUTF8, mailboxes, next hops
 * by domain, and a Dovecot that knows its users' passwords.
 */
import { chmodSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { freePorts, run, tempFolder } from '../process.ts';
import { type Dovecot, startDovecot } from './dovecot.ts';
import { program } from './install.ts';
import type { MailServer, MailServerOptions, Route } from './mail-server.ts';
import { startPostfix } from './postfix.ts';

/** Starts an instance and waits for its greeting. */
export async function startPostfixExchange(options: MailServerOptions): Promise<MailServer> {
  const folder = tempFolder('exchange');
  chmodSync(folder.path, 0o711); // Postfix drops root and must still get to the mailboxes.
  const inside = (name: string) => join(folder.path, name);
  mkdirSync(inside('box'));
  writeFileSync(inside('cert.pem'), options.certificate.cert);
  writeFileSync(inside('trusted.pem'), options.trusted);
  writeFileSync(inside('key.pem'), options.certificate.key, { mode: 0o600 });
  const [starttls, implicit] = (await freePorts(2)) as [number, number];
  const log = inside('log');
  const routes = Object.entries(options.routes).map(([domain, route], index) => ({ name: `to${index}`, domain, route }));
  const tls = ['-o', 'smtpd_tls_security_level=may'];
  const smtpd = (port: number, ...settings: string[]) => [
    `127.0.0.1:${port}`,
    'inet',
    'n',
    '-',
    'n',
    '-',
    '-',
    'smtpd',
    ...settings,
  ];
  let dovecot: Dovecot | undefined;
  try {
    dovecot = await startDovecot({
      users: [options.login.user],
      password: options.login.password,
      mail: () => [],
      settings: `service auth {\n  unix_listener ${inside('auth')} {\n    mode = 0666\n  }\n}\n`,
    });
    const knows = dovecot;
    const postfix = await startPostfix({
      mail: { maildir: inside('box') },
      settings: {
        myhostname: options.domains[0],
        mydestination: options.domains.join(', '),
        smtputf8_enable: 'yes',
        message_size_limit: options.maxMessageBytes,
        maillog_file: log,
        maillog_file_prefixes: folder.path,
        virtual_mailbox_maps: map(
          options.users.flatMap((user) => options.domains.map((domain) => [`${user}@${domain}`, `${user}/`] as const)),
        ),
        local_recipient_maps: '$virtual_mailbox_maps',
        transport_maps: map(routes.map(({ name, domain, route }) => [domain, `${name}:[127.0.0.1]:${route.port}`])),
        smtpd_tls_cert_file: inside('cert.pem'),
        smtpd_tls_key_file: inside('key.pem'),
        smtpd_tls_received_header: 'yes',
        smtp_tls_session_cache_database: 'btree:$data_directory/smtp_sessions',
        smtp_tls_loglevel: 2,
        default_destination_recipient_limit: 1000,
        smtpd_tls_loglevel: 2,
        smtpd_sasl_type: 'dovecot',
        smtpd_sasl_path: inside('auth'),
        delay_warning_time: '3s',
        minimal_backoff_time: '5s',
        queue_run_delay: '5s',
      },
      services: [
        smtpd(starttls, ...tls),
        smtpd(implicit, ...tls, '-o', 'smtpd_tls_wrappermode=yes', '-o', 'smtpd_sasl_auth_enable=yes'),
        ['tlsmgr', 'unix', '-', '-', 'n', '1000?', '1', 'tlsmgr'],
        ['postlog', 'unix-dgram', 'n', '-', 'n', '-', '1', 'postlogd'],
        ...routes.map(({ name, route }) => client(name, route, inside('trusted.pem'))),
      ],
    });
    const { stdout } = await run([program('postconf'), '-d', '-h', 'mail_version']);
    return {
      name: `Postfix ${stdout.trim()}`,
      ports: { plain: postfix.port, starttls, implicit },
      boxOf: (user) => join(inside('box'), user, 'new'),
      log: () => (existsSync(log) ? readFileSync(log, 'utf8') : ''),
      stop: async () => {
        await postfix.stop();
        await knows.stop();
        folder.remove();
      },
    };
  } catch (error) {
    await dovecot?.stop();
    folder.remove();
    throw error;
  }
}

const map = (rows: readonly (readonly [string, string])[]) =>
  `inline:{ ${rows.map(([key, value]) => `{${key} = ${value}}`).join(', ')} }`;

function client(name: string, route: Route, caFile: string): string[] {
  const settings =
    route.tls === 'none'
      ? { smtp_tls_security_level: 'none' }
      : { smtp_tls_security_level: 'secure', smtp_tls_secure_cert_match: 'localhost', smtp_tls_CAfile: caFile };
  const login =
    route.login === undefined
      ? {}
      : {
          smtp_sasl_auth_enable: 'yes',
          smtp_sasl_password_maps: `static:${route.login.user}:${route.login.password}`,
          smtp_sasl_tls_security_options: 'noanonymous',
        };
  const chosen = Object.entries({ ...settings, ...login }).flatMap(([key, value]) => ['-o', `${key}=${value}`]);
  return [name, 'unix', '-', '-', 'n', '-', '-', 'smtp', ...chosen];
}
