/**
 * Mail servers that Debian lets nobody install beside Postfix (they conflict: each is the machine's mail server), in a
 * root folder of their own: the packages and all that they need, unpacked without being set up, and run by chroot.
 * Nothing of the machine changes: their users exist in that root only, and what they write stays in a copy of it that
 * one instance has (files are shared by hard links; no instance writes into a packaged file).
 * Needs root, apt-get and the right to make a device node.
 */
import { existsSync, mkdirSync, mkdtempSync, readdirSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { run } from '../process.ts';

/** Package -> its program, as a path in the root. */
export const APART = { 'exim4-daemon-light': 'usr/sbin/exim4', opensmtpd: 'usr/sbin/smtpd' } as const;
/** No package names its shell, since each Debian has it: OpenSMTPD starts its deliveries by it. */
const SHELL = 'dash';

export type ApartPackage = keyof typeof APART;

const FOLDER = '/var/cache/posthorn-peers';

const rootOf = (name: ApartPackage) => join(FOLDER, name);

export const isApart = (name: string): name is ApartPackage => name in APART;

export const isUnpacked = (name: ApartPackage): boolean => existsSync(join(rootOf(name), APART[name]));

/** Users of the servers, in their root only. Uids beyond those of people and Debian's own. */
const PASSWD = `root:x:0:0::/root:/usr/sbin/nologin
mail:x:8:8::/var/mail:/usr/sbin/nologin
nobody:x:65534:65534::/nonexistent:/usr/sbin/nologin
Debian-exim:x:64971:64971::/var/spool/exim4:/usr/sbin/nologin
opensmtpd:x:64972:64972::/var/lib/opensmtpd/empty:/usr/sbin/nologin
opensmtpq:x:64973:64973::/var/lib/opensmtpd/empty:/usr/sbin/nologin
box:x:64974:64974::/box:/usr/sbin/nologin
`;
const GROUP = PASSWD.replaceAll(/^([^:]+):x:\d+:(\d+):.*$/gm, '$1:x:$2:');

/** The user in the root that owns delivered mail. */
export const BOX = { name: 'box', uid: 64_974, gid: 64_974 } as const;

/** Fetches and unpacks a package with everything it needs. */
export async function unpackApart(name: ApartPackage): Promise<void> {
  mkdirSync(FOLDER, { recursive: true, mode: 0o755 });
  const work = mkdtempSync(join(FOLDER, 'new-'));
  try {
    const archives = join(work, 'archives');
    const root = join(work, 'root');
    mkdirSync(join(archives, 'partial'), { recursive: true });
    // As if nothing were installed: then what comes is whole, and nothing conflicts.
    const status = join(work, 'status');
    writeFileSync(status, '');
    const options = [`Dir::State::Status=${status}`, `Dir::Cache::archives=${archives}`, 'APT::Sandbox::User=root'];
    await run(
      ['apt-get', 'install', '-q', '-y', '-d', '--no-install-recommends', ...options.flatMap((one) => ['-o', one]), name, SHELL],
      { env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive' }, timeoutMs: 900_000 },
    );
    mkdirSync(root, { mode: 0o755 });
    for (const archive of readdirSync(archives).filter((file) => file.endsWith('.deb'))) {
      await run([
        'sh',
        '-c',
        'dpkg-deb --fsys-tarfile "$1" | tar -x -C "$2" --exclude=./usr/share',
        'sh',
        join(archives, archive),
        root,
      ]);
    }
    for (const path of ['dev', 'etc', 'tmp', 'run', 'var/tmp', 'box']) mkdirSync(join(root, path), { recursive: true });
    await run(['chmod', '1777', join(root, 'tmp'), join(root, 'var/tmp')]);
    for (const [device, minor] of Object.entries({ null: 3, zero: 5, urandom: 9, random: 8 })) {
      await run(['mknod', '-m', '666', join(root, 'dev', device), 'c', '1', String(minor)]);
    }
    if (!existsSync(join(root, 'bin/sh'))) symlinkSync(SHELL, join(root, 'bin/sh'));
    writeFileSync(join(root, 'etc/passwd'), PASSWD);
    writeFileSync(join(root, 'etc/group'), GROUP);
    writeFileSync(join(root, 'etc/hosts'), '127.0.0.1 localhost\n');
    // Names are looked up in the file above only: nothing asks the outside.
    writeFileSync(join(root, 'etc/nsswitch.conf'), 'passwd: files\ngroup: files\nhosts: files\n');
    writeFileSync(join(root, 'etc/resolv.conf'), 'nameserver 127.0.0.1\noptions timeout:1 attempts:1\n');
    rmSync(rootOf(name), { recursive: true, force: true });
    renameSync(root, rootOf(name));
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
}

export interface ApartRoot {
  /** The copy, as seen from outside. */
  readonly path: string;
  /** Command line for a program of the root. */
  command(program: string, ...args: string[]): string[];
  remove(): void;
}

/** A copy of a server's root for one instance. */
export async function copyRoot(name: ApartPackage): Promise<ApartRoot> {
  const path = mkdtempSync(join(FOLDER, `run-${name}-`));
  await run(['cp', '-al', `${rootOf(name)}/.`, path]);
  await run(['chmod', '755', path]);
  return {
    path,
    command: (program, ...args) => ['chroot', path, program, ...args],
    remove: () => rmSync(path, { recursive: true, force: true }),
  };
}
