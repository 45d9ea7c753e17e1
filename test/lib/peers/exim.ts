/**
 * An Exim of our own on loopback, in a root folder of its own (apart.ts), with all that Debian's build can do switched on:
 * SMTPUTF8, CHUNKING, PRDR, DSN, PIPECONNECT, session resumption. Needs root.
 */
import { chmodSync, chownSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { freePorts, run, start, stop, waitForPort } from '../process.ts';
import { BOX, copyRoot } from './apart.ts';
import type { MailServer, MailServerOptions, Route } from './mail-server.ts';

const EXIM = { name: 'Debian-exim', id: 64_971 } as const;

/** Starts an instance and waits for its greeting. */
export async function startExim(options: MailServerOptions): Promise<MailServer> {
  const root = await copyRoot('exim4-daemon-light');
  const [plain, starttls, implicit] = (await freePorts(3)) as [number, number, number];
  const ports = { plain, starttls, implicit };
  const put = (name: string, text: string, mode = 0o644) => {
    writeFileSync(join(root.path, 'etc', name), text);
    chmodSync(join(root.path, 'etc', name), mode);
  };
  for (const [path, id] of [
    ['var/spool/exim', EXIM.id],
    ['var/log/exim', EXIM.id],
    ['box', BOX.uid],
  ] as const) {
    mkdirSync(join(root.path, path), { recursive: true });
    chownSync(join(root.path, path), id, id);
  }
  put('cert.pem', options.certificate.cert);
  put('trusted.pem', options.trusted);
  put('key.pem', options.certificate.key);
  put('users', options.users.map((user) => `${user}: ${user}\n`).join(''));
  // Where it looks by itself: with -C it would give up root, which its deliveries need.
  mkdirSync(join(root.path, 'etc/exim4'), { recursive: true });
  put('exim4/exim4.conf', configText(options, ports), 0o640);
  chownSync(join(root.path, 'etc/exim4/exim4.conf'), 0, EXIM.id);
  const log = join(root.path, 'var/log/exim/mainlog');
  const running = await start(root.command('/usr/sbin/exim4', '-bdf', '-q5s'));
  const readLog = () => (existsSync(log) ? readFileSync(log, 'utf8') : '') + running.stderr();
  try {
    await waitForPort(plain, { running });
  } catch (error) {
    await stop(running);
    const printed = readLog();
    root.remove();
    throw new Error(`Exim did not start:\n${printed}`, { cause: error });
  }
  const { stdout } = await run(root.command('/usr/sbin/exim4', '-bV'));
  return {
    name: `Exim ${/Exim version (\S+)/.exec(stdout)?.[1]}`,
    ports,
    boxOf: (user) => join(root.path, 'box', user, 'new'),
    log: readLog,
    stop: async () => {
      await stop(running);
      root.remove();
    },
  };
}

function transport(name: string, route: Route): string {
  const tls =
    route.tls === 'none'
      ? 'hosts_avoid_tls = *'
      : 'hosts_require_tls = *\n  tls_verify_certificates = /etc/trusted.pem\n  tls_verify_hosts = *\n  tls_verify_cert_hostnames = *\n  tls_resumption_hosts = *';
  return `
${name}:
  driver = smtp
  max_rcpt = 1000
  port = ${route.port}
  hosts_try_chunking = *
  hosts_try_prdr = *
  hosts_pipe_connect = *
  hosts_try_dane =
  dnssec_request_domains =
  ${tls}
${route.login === undefined ? '' : '  hosts_require_auth = *\n'}`;
}

function router(name: string, domain: string): string {
  return `
${name}:
  driver = manualroute
  domains = ${domain}
  transport = ${name}
  route_list = * localhost byname
  self = send
  host_find_failed = defer
`;
}

function configText(options: MailServerOptions, ports: MailServer['ports']): string {
  const routes = Object.entries(options.routes).map(([domain, route], index) => ({ name: `to${index}`, domain, route }));
  const login = routes.find(({ route }) => route.login !== undefined)?.route.login;
  return `
primary_hostname = ${options.domains[0]}
qualify_domain = ${options.domains[0]}
domainlist ours = ${options.domains.join(' : ')}
exim_user = ${EXIM.name}
exim_group = ${EXIM.name}
spool_directory = /var/spool/exim
log_file_path = /var/log/exim/%slog
log_selector = +all
keep_environment =
never_users =
disable_ipv6 = true
local_interfaces = <; [127.0.0.1]:${ports.plain} ; [127.0.0.1]:${ports.starttls} ; [127.0.0.1]:${ports.implicit}
tls_on_connect_ports = ${ports.implicit}
tls_advertise_hosts = \${if eq{$received_port}{${ports.plain}}{}{*}}
tls_certificate = /etc/cert.pem
tls_privatekey = /etc/key.pem
tls_resumption_hosts = *
host_lookup =
message_size_limit = ${options.maxMessageBytes}
smtputf8_advertise_hosts = *
chunking_advertise_hosts = *
dsn_advertise_hosts = *
pipelining_connect_advertise_hosts = *
prdr_enable = true
recipients_max = 1000
smtp_accept_max = 100
smtp_accept_queue_per_connection = 0
remote_max_parallel = 5
queue_run_in_order = false
delay_warning = 3s
add_environment = PATH=/usr/bin:/bin
bounce_return_size_limit = 100K
acl_smtp_rcpt = rcpt
acl_smtp_data_prdr = prdr

begin acl
rcpt:
  accept domains = +ours
         local_parts = lsearch;/etc/users
  deny   domains = +ours
         message = 5.1.1 no such user here
  accept
prdr:
  deny   local_parts = ^.*-not-this
         message = 5.7.1 not this one
  accept

begin routers
box:
  driver = accept
  domains = +ours
  local_parts = lsearch;/etc/users
  transport = box
${routes.map(({ name, domain }) => router(name, domain)).join('')}

begin transports
box:
  driver = appendfile
  directory = /box/$local_part_data
  create_directory
  maildir_format
  user = ${BOX.name}
  group = ${BOX.name}
  return_path_add
${routes.map(({ name, route }) => transport(name, route)).join('')}

begin retry
* * F,1h,5s

begin authenticators
plain:
  driver = plaintext
  public_name = PLAIN
  server_prompts = :
  server_condition = \${if and{{eq{$auth2}{${options.login.user}}}{eq{$auth3}{${options.login.password}}}}}
  server_set_id = $auth2
  server_advertise_condition = \${if eq{$tls_in_cipher}{}{}{*}}
${
  login === undefined
    ? ''
    : `cram:
  driver = cram_md5
  public_name = CRAM-MD5
  client_name = ${login.user}
  client_secret = ${login.password}
plain_out:
  driver = plaintext
  public_name = PLAIN
  client_send = ^${login.user}^${login.password}
`
}`;
}
