/**
 * Brings in the programs that benches and peer tests run against: Debian's packages, never started as services.
 * Asked for by each bench before its first round; tests only ask `missing` and skip loudly.
 * By hand: `npm run peers [-- PACKAGE ...]`, as root; all of them without a name.
 */
import { existsSync, rmSync, writeFileSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { run } from '../process.ts';
import { isApart, isUnpacked, unpackApart } from './apart.ts';

/** Files by the Debian package that brings them: programs, or whole paths of what is no program. */
const PACKAGES = {
  postfix: ['postfix', 'smtp-source', 'smtp-sink'],
  'dovecot-pop3d': ['dovecot', 'doveadm'],
  'dovecot-lmtpd': ['/usr/lib/dovecot/lmtp'],
  // Postfix logs in to others by Cyrus SASL's mechanisms.
  'libsasl2-modules': [`/usr/lib/${process.arch === 'arm64' ? 'aarch64' : 'x86_64'}-linux-gnu/sasl2/libplain.so`],
  'exim4-daemon-light': [],
  opensmtpd: [],
  swaks: ['swaks'],
  msmtp: ['msmtp'],
  mpop: ['mpop'],
  fetchmail: ['fetchmail'],
  getmail6: ['getmail'],
  neomutt: ['neomutt'],
  's-nail': ['s-nail'],
  curl: ['curl'],
  perl: ['perl', 'corelist'],
  'libio-socket-ssl-perl': ['/usr/share/perl5/IO/Socket/SSL.pm'],
  'libauthen-sasl-perl': ['/usr/share/perl5/Authen/SASL.pm'],
  'libdigest-hmac-perl': ['/usr/share/perl5/Digest/HMAC_MD5.pm'],
  python3: ['python3'],
  slapd: ['slapd'],
  'testssl.sh': ['testssl'],
} as const;

export type Package = keyof typeof PACKAGES;

const FOLDERS = [...(process.env['PATH'] ?? '').split(delimiter), '/usr/sbin', '/sbin', '/usr/local/sbin'];

/** Full path of a program, in sbin folders too; undefined when it is not here. */
export function findProgram(name: string): string | undefined {
  return FOLDERS.map((folder) => join(folder, name)).find((path) => existsSync(path));
}

/** Full path of a program that must be here. */
export function program(name: string): string {
  const path = findProgram(name);
  if (path === undefined) throw new Error(`${name} is not installed: apt-get install ${Object.keys(PACKAGES).join(' ')}`);
  return path;
}

/** Those of the packages whose programs are not all here. */
export function missing(packages: readonly Package[]): Package[] {
  return packages.filter((name) => (isApart(name) ? !isUnpacked(name) : !PACKAGES[name].every(isHere)));
}

const isHere = (one: string) => (one.startsWith('/') ? existsSync(one) : findProgram(one) !== undefined);

/**
 * Installs what is missing. Needs root and apt-get; no service is started (policy-rc.d says 101 meanwhile).
 * @throws Error that names the packages and what went wrong; a bench without its peer has nothing to say.
 */
export async function install(packages: readonly Package[]): Promise<void> {
  const wanted = missing(packages);
  if (wanted.length === 0) return;
  const byHand = `install by hand: apt-get install ${wanted.filter((name) => !isApart(name)).join(' ')}`;
  if (process.getuid?.() !== 0 || findProgram('apt-get') === undefined) {
    throw new Error(`Missing: ${wanted.join(', ')}. Installing needs root and apt-get; ${byHand}`);
  }
  console.error(`Installing ${wanted.join(', ')} from Debian's packages ...`);
  const policy = '/usr/sbin/policy-rc.d';
  const ownPolicy = !existsSync(policy);
  if (ownPolicy) writeFileSync(policy, '#!/bin/sh\nexit 101\n', { mode: 0o755 });
  try {
    const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' };
    await run(['apt-get', 'update', '-q'], { env, timeoutMs: 300_000 });
    const set = wanted.filter((name) => !isApart(name));
    if (set.length > 0) {
      await run(['apt-get', 'install', '-q', '-y', '--no-install-recommends', ...set], { env, timeoutMs: 900_000 });
    }
    for (const name of wanted.filter(isApart)) await unpackApart(name);
  } catch (error) {
    throw new Error(`Could not install ${wanted.join(', ')}; ${byHand}`, { cause: error });
  } finally {
    if (ownPolicy) rmSync(policy, { force: true });
  }
  const left = missing(packages);
  if (left.length > 0) throw new Error(`Installed, but the programs of ${left.join(', ')} are still not found`);
}

if (import.meta.main) {
  const named = process.argv.slice(2);
  const unknown = named.filter((name) => !(name in PACKAGES));
  if (unknown.length > 0) throw new Error(`No such peer: ${unknown.join(', ')}. There are: ${Object.keys(PACKAGES).join(', ')}`);
  const wanted = (named.length > 0 ? named : Object.keys(PACKAGES)) as Package[];
  await install(wanted);
  console.log(`Here: ${wanted.join(', ')}`);
}
