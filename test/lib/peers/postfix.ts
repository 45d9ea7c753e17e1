/**
 * A Postfix of our own: configuration, queue and port in a temporary folder, on loopback, beside whatever the machine runs.
 * Tuned to be fast at what is measured, never hampered; each setting says why. Needs root (Postfix's master does).
 * Its log goes where the machine's syslog takes it, if there is one: that work is not counted against it.
 */
import { chmodSync, chownSync, mkdirSync, readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { freePorts, run, start, stop, tempFolder, waitForPort } from '../process.ts';
import { program } from './install.ts';

export interface PostfixOptions {
  /**
   * What becomes of accepted mail. `hold`: it stays in the queue, on disk, and the delivery side sleeps. `discard`: the
   * queue manager hands it to a transport that throws it away.
   * `lmtp`: all of it to the LMTP server on this loopback port, with XFORWARD.
   * `relay`: all of it to the smart host on this loopback port. `maildir`: into a Maildir of this user of the machine.
   */
  readonly mail:
    | 'hold'
    | 'discard'
    | { readonly relayPort: number }
    | { readonly lmtpPort: number }
    | { readonly maildir: string };
  /** Sessions that must fit at once. */
  readonly sessions?: number;
  /** Settings of main.cf on top of all these. */
  readonly settings?: Readonly<Record<string, string | number>>;
  /** Rows of master.cf in addition. */
  readonly services?: readonly (readonly string[])[];
  /** Turns the command line into the one to start (a bench puts the server into a group whose CPU it counts). */
  readonly wrap?: (command: readonly string[]) => string[];
}

export interface Postfix {
  readonly port: number;
  readonly pid: number;
  /** Messages in the queue, held ones too. */
  queued(): number;
  /** Has Postfix try everything deferred now. */
  flush(): Promise<void>;
  /** Throws everything in the queue away. */
  purge(): Promise<void>;
  stop(): Promise<void>;
}

/** Starts an instance and waits for its greeting. */
export async function startPostfix(options: PostfixOptions): Promise<Postfix> {
  const folder = tempFolder('postfix');
  chmodSync(folder.path, 0o755); // Its processes drop root and must still get in.
  const [port] = (await freePorts(1)) as [number];
  const paths = writeConfig(folder.path, port, options);
  const admin = (tool: string, ...args: string[]) => run([program(tool), '-c', paths.config, ...args]);
  // `check` makes the queue's folders; then the master itself, without the script around it that would outlive a signal.
  await admin('postfix', 'check');
  const wrap = options.wrap ?? ((command) => [...command]);
  const running = await start(wrap([join(DAEMONS, 'master'), '-c', paths.config, '-s']));
  try {
    await waitForPort(port, { running });
  } catch (error) {
    await stop(running);
    throw error;
  }
  return {
    port,
    pid: running.pid,
    queued: () => QUEUES.reduce((sum, name) => sum + countFiles(join(paths.queue, name)), 0),
    flush: async () => void (await admin('postqueue', '-f')),
    purge: async () => void (await admin('postsuper', '-d', 'ALL')),
    stop: async () => {
      await stop(running);
      folder.remove();
    },
  };
}

const DAEMONS = '/usr/lib/postfix/sbin';
const QUEUES = ['maildrop', 'incoming', 'active', 'deferred', 'hold'];

/** Queue files are in hashed folders below some queues: all plain files count. */
function countFiles(path: string): number {
  return readdirSync(path, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile()).length;
}

function writeConfig(folder: string, port: number, options: PostfixOptions): { config: string; queue: string } {
  const config = join(folder, 'etc');
  const queue = join(folder, 'queue');
  const data = join(folder, 'lib');
  for (const path of [config, queue, data]) mkdirSync(path);
  const [uid, gid] = postfixIds();
  chownSync(data, uid, gid);
  const limit = (options.sessions ?? 50) + 20;
  const main: Record<string, string | number> = {
    compatibility_level: '3.6',
    queue_directory: queue,
    data_directory: data,
    daemon_directory: DAEMONS,
    command_directory: '/usr/sbin',
    mail_owner: 'postfix',
    setgid_group: 'postdrop',
    myhostname: 'postfix.test',
    mydomain: 'test',
    inet_interfaces: '127.0.0.1',
    inet_protocols: 'ipv4',
    mynetworks: '127.0.0.0/8',
    // Nothing asks the outside, nothing is looked up that relaying from loopback does not need.
    disable_dns_lookups: 'yes',
    smtpd_peername_lookup: 'no',
    smtpd_tls_security_level: 'none',
    smtp_tls_security_level: 'none',
    alias_maps: '',
    local_recipient_maps: '',
    smtpd_relay_restrictions: 'permit_mynetworks, reject',
    smtpd_recipient_restrictions: '',
    // Room for every session at once, and no process thrown away during a round.
    default_process_limit: limit,
    smtpd_client_connection_count_limit: 0,
    smtpd_client_connection_rate_limit: 0,
    max_use: 100_000,
    max_idle: '600s',
    // Built to slow an intake down that outruns delivery: not here, where delivery is held or keeps up.
    in_flow_delay: 0,
    // The same number of connections to the next hop as Posthorn gets. Its connection cache is off: on loopback the
    // processes around it cost more than a new connection (tried: 511 messages a second without, 468 with it).
    default_destination_concurrency_limit: 50,
    initial_destination_concurrency: 50,
    smtp_connection_cache_on_demand: 'no',
    qmgr_message_active_limit: 20_000,
    qmgr_message_recipient_limit: 20_000,
    message_size_limit: 104_857_600,
    mailbox_size_limit: 0,
    header_size_limit: 1_048_576,
    smtputf8_enable: 'no',
    // Mail as it comes: not rewritten, not given headers it lacks (what Posthorn does, and what a comparison needs).
    local_header_rewrite_clients: '',
    always_add_missing_headers: 'no',
    message_drop_headers: '',
    disable_mime_input_processing: 'yes',
  };
  if (options.mail === 'hold') {
    // cleanup renames the finished queue file to `hold` and wakes nobody.
    main['smtpd_end_of_data_restrictions'] = 'check_client_access static:HOLD';
    main['mydestination'] = '';
  } else if (options.mail === 'discard') {
    main['default_transport'] = 'discard:';
    main['mydestination'] = '';
  } else if ('lmtpPort' in options.mail) {
    main['default_transport'] = `lmtp:inet:127.0.0.1:${options.mail.lmtpPort}`;
    main['lmtp_send_xforward_command'] = 'yes';
    main['mydestination'] = '';
  } else if ('relayPort' in options.mail) {
    main['relayhost'] = `[127.0.0.1]:${options.mail.relayPort}`;
    main['mydestination'] = '';
  } else {
    main['mydestination'] = 'postfix.test';
    main['virtual_mailbox_domains'] = '';
    main['local_transport'] = 'virtual';
    main['virtual_mailbox_base'] = options.mail.maildir;
    main['virtual_mailbox_maps'] = 'static:box/';
    main['virtual_uid_maps'] = `static:${uid}`;
    main['virtual_gid_maps'] = `static:${gid}`;
    main['virtual_mailbox_limit'] = 0;
    main['virtual_minimum_uid'] = 1;
    chownSync(options.mail.maildir, uid, gid);
  }
  writeFileSync(
    join(config, 'main.cf'),
    Object.entries({ ...main, ...options.settings })
      .map(([key, value]) => `${key} = ${value}\n`)
      .join(''),
  );
  writeFileSync(join(config, 'master.cf'), masterCf(port, options.services ?? []));
  return { config, queue };
}

/** Services in use only; no chroot (the fifth column), which a folder without /etc and libraries would break. */
function masterCf(port: number, more: readonly (readonly string[])[]): string {
  const rows = [
    [`127.0.0.1:${port}`, 'inet', 'n', '-', 'n', '-', '-', 'smtpd'],
    ['pickup', 'unix', 'n', '-', 'n', '60', '1', 'pickup'],
    ['cleanup', 'unix', 'n', '-', 'n', '-', '0', 'cleanup'],
    ['qmgr', 'unix', 'n', '-', 'n', '300', '1', 'qmgr'],
    ['rewrite', 'unix', '-', '-', 'n', '-', '-', 'trivial-rewrite'],
    ['bounce', 'unix', '-', '-', 'n', '-', '0', 'bounce'],
    ['defer', 'unix', '-', '-', 'n', '-', '0', 'bounce'],
    ['trace', 'unix', '-', '-', 'n', '-', '0', 'bounce'],
    ['flush', 'unix', 'n', '-', 'n', '1000?', '0', 'flush'],
    ['proxymap', 'unix', '-', '-', 'n', '-', '-', 'proxymap'],
    ['smtp', 'unix', '-', '-', 'n', '-', '-', 'smtp'],
    ['relay', 'unix', '-', '-', 'n', '-', '-', 'smtp'],
    ['lmtp', 'unix', '-', '-', 'n', '-', '-', 'lmtp'],
    ['error', 'unix', '-', '-', 'n', '-', '-', 'error'],
    ['discard', 'unix', '-', '-', 'n', '-', '-', 'discard'],
    ['retry', 'unix', '-', '-', 'n', '-', '-', 'error'],
    ['showq', 'unix', 'n', '-', 'n', '-', '-', 'showq'],
    ['virtual', 'unix', '-', 'n', 'n', '-', '-', 'virtual'],
    ['anvil', 'unix', '-', '-', 'n', '-', '1', 'anvil'],
    ['scache', 'unix', '-', '-', 'n', '-', '1', 'scache'],
    ...more,
  ];
  return rows.map((row) => row.join(' ') + '\n').join('');
}

/** User and group id of Debian's user `postfix`. */
function postfixIds(): [number, number] {
  const line = /^postfix:[^:]*:(\d+):(\d+):/m.exec(readFileSync('/etc/passwd', 'utf8'));
  if (line === null) throw new Error('no user postfix: the package is not set up');
  return [Number(line[1]), Number(line[2])];
}
