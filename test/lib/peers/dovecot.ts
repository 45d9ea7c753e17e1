/**
 * A Dovecot of our own that speaks POP3 on a loopback port, from a temporary folder: the high-performance mode of its
 * manual (login and mail processes kept, many clients each), plain passwords from a file, remembered by its auth cache.
 * Needs root (its master does). Works with version 2.3, which Debian 12 has.
 */
import { appendFileSync, chmodSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { type Owner, writeMaildir } from '../maildir.ts';
import { freePorts, start, stop, tempFolder, waitForPort } from '../process.ts';
import { program } from './install.ts';

export interface DovecotOptions {
  /** All users, with the same password. */
  readonly users: readonly string[];
  readonly password: string;
  /** Messages of a user's maildrop. */
  readonly mail: (user: string) => Iterable<Uint8Array>;
  /** Whether the names of a user's messages tell their sizes; by default all do. */
  readonly sizesInNames?: (user: string) => boolean;
  /**
   * Processes that serve maildrops, shared by all clients; default: four to a core. One to a client, Dovecot's default,
   * costs it half as much CPU again (tried: 2.7 to 3.2 s for 1,000 sessions, shared 1.5 to 1.9).
   */
  readonly mailProcesses?: number;
  /** LMTP too, for those users, with this many bytes of quota for each. */
  readonly lmtp?: { readonly quotaBytes: number };
  /** Lines behind its configuration: what is said last counts. */
  readonly settings?: string;
  /** Turns the command line into the one to start. */
  readonly wrap?: (command: readonly string[]) => string[];
}

export interface Dovecot {
  readonly port: number;
  /** 0 where there is no LMTP. */
  readonly lmtpPort: number;
  /** The same on a unix socket. */
  readonly lmtpSocket: string;
  /** Holds a Maildir for each user. */
  readonly mailFolder: string;
  readonly configFile: string;
  readonly pid: number;
  stop(): Promise<void>;
}

/** Starts an instance and waits for its greeting. */
export async function startDovecot(options: DovecotOptions): Promise<Dovecot> {
  const folder = tempFolder('dovecot');
  chmodSync(folder.path, 0o755); // Its processes drop root and must still get in.
  const [port, lmtpPort] = (await freePorts(2)) as [number, number];
  const owner = mailOwner();
  for (const user of options.users) {
    writeMaildir(join(folder.path, 'mail', user), options.mail(user), owner, options.sizesInNames?.(user) ?? true);
  }
  mkdirSync(join(folder.path, 'base'));
  const passwords = join(folder.path, 'passwd');
  writeFileSync(passwords, options.users.map((user) => `${user}:{PLAIN}${options.password}\n`).join(''));
  const config = join(folder.path, 'dovecot.conf');
  const pop3 = configText(folder.path, port, owner, passwords, options.mailProcesses ?? 4 * availableParallelism());
  writeFileSync(
    config,
    options.lmtp === undefined ? pop3 : pop3 + lmtpText(folder.path, lmtpPort, passwords, options.lmtp.quotaBytes),
  );
  appendFileSync(config, options.settings ?? '');
  const wrap = options.wrap ?? ((command) => [...command]);
  const running = await start(wrap([program('dovecot'), '-F', '-c', config]));
  try {
    await waitForPort(port, { running });
    if (options.lmtp !== undefined) await waitForPort(lmtpPort, { running });
  } catch (error) {
    await stop(running);
    throw error;
  }
  return {
    port,
    lmtpPort: options.lmtp === undefined ? 0 : lmtpPort,
    mailFolder: join(folder.path, 'mail'),
    lmtpSocket: join(folder.path, 'lmtp'),
    configFile: config,
    pid: running.pid,
    stop: async () => {
      await stop(running);
      folder.remove();
    },
  };
}

function configText(folder: string, port: number, owner: Owner, passwords: string, mailProcesses: number): string {
  const base = join(folder, 'base');
  return `
base_dir = ${base}
state_dir = ${base}
instance_name = ${folder}
log_path = ${folder}/dovecot.log
protocols = pop3
listen = 127.0.0.1
ssl = no
# Passwords in clear on a plain port, as on the other side.
disable_plaintext_auth = no
auth_mechanisms = plain
auth_cache_size = 10M
auth_cache_ttl = 1 hour
mail_location = maildir:${folder}/mail/%u
first_valid_uid = 1
# Posthorn logs its sessions too.
login_log_format_elements = user=<%u> method=%m
# No folder is read again that its index says has not changed, and reading a message does not write flags.
maildir_very_dirty_syncs = yes
pop3_no_flag_updates = yes
pop3_enable_last = no
mail_fsync = optimized
passdb {
  driver = passwd-file
  args = scheme=PLAIN ${passwords}
}
userdb {
  driver = static
  args = uid=${owner.uid} gid=${owner.gid} home=${folder}/mail/%u
}
service pop3-login {
  service_count = 0
  process_min_avail = 2
  client_limit = 1000
  inet_listener pop3 {
    address = 127.0.0.1
    port = ${port}
  }
  inet_listener pop3s {
    port = 0
  }
}
service pop3 {
  service_count = 0
  process_min_avail = ${mailProcesses}
  process_limit = ${mailProcesses}
  client_limit = 200
}
service anvil {
  client_limit = 2000
}
service auth {
  client_limit = 4000
}
service stats {
  client_limit = 4000
}
`;
}

/** Users are those of the file of passwords: with the static userdb alone, everybody would be one. */
function lmtpText(folder: string, port: number, passwords: string, quotaBytes: number): string {
  return `
protocols = pop3 lmtp
auth_username_format = %n
userdb {
  driver = passwd-file
  args = username_format=%n ${passwords}
  override_fields = uid=mail gid=mail home=${folder}/mail/%n
}
mail_location = maildir:${folder}/mail/%n
plugin {
  quota = maildir:User quota
  quota_grace = 0
  quota_rule = *:storage=${quotaBytes}B
}
protocol lmtp {
  mail_plugins = quota
  postmaster_address = postmaster@dovecot.test
}
service lmtp {
  inet_listener lmtp {
    address = 127.0.0.1
    port = ${port}
  }
  unix_listener ${folder}/lmtp {
    mode = 0600
  }
}
`;
}

/** Debian's user `mail`: Dovecot opens no mailbox as root. */
export function mailOwner(): Owner {
  const line = /^mail:[^:]*:(\d+):(\d+):/m.exec(readFileSync('/etc/passwd', 'utf8'));
  if (line === null) throw new Error('no user mail on this machine');
  return { uid: Number(line[1]), gid: Number(line[2]) };
}
