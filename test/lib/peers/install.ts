/**
 * Brings in the programs that benches and peer tests run against: Debian's packages, never started as services.
 * Asked for by each bench before its first round; tests only ask `missing` and skip loudly.
 */
import { existsSync, rmSync, writeFileSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { run } from '../process.ts';

/** Programs by the Debian package that brings them. */
const PACKAGES = {
  postfix: ['postfix', 'smtp-source', 'smtp-sink'],
  'dovecot-pop3d': ['dovecot', 'doveadm'],
  swaks: ['swaks'],
  msmtp: ['msmtp'],
  mpop: ['mpop'],
  fetchmail: ['fetchmail'],
  curl: ['curl'],
  python3: ['python3'],
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
  return packages.filter((name) => PACKAGES[name].some((one) => findProgram(one) === undefined));
}

/**
 * Installs what is missing. Needs root and apt-get; no service is started (policy-rc.d says 101 meanwhile).
 * @throws Error that names the packages and what went wrong; a bench without its peer has nothing to say.
 */
export async function install(packages: readonly Package[]): Promise<void> {
  const wanted = missing(packages);
  if (wanted.length === 0) return;
  const byHand = `install by hand: apt-get install ${wanted.join(' ')}`;
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
    await run(['apt-get', 'install', '-q', '-y', '--no-install-recommends', ...wanted], { env, timeoutMs: 900_000 });
  } catch (error) {
    throw new Error(`Could not install ${wanted.join(', ')}; ${byHand}`, { cause: error });
  } finally {
    if (ownPolicy) rmSync(policy, { force: true });
  }
  const left = missing(packages);
  if (left.length > 0) throw new Error(`Installed, but the programs of ${left.join(', ')} are still not found`);
}
