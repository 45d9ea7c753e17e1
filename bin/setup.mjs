/**
 * From a fresh clone to a running Posthorn, with nothing but some Node (20 or later) and npm: brings pnpm and the pinned
 * Node, installs, builds, then runs what was asked for under the pinned Node. Plain JavaScript, because it must run
 * before anything is installed. Called by `npm start`, `npm test`, the bench scripts and bin/posthorn.
 *
 *   node bin/setup.mjs ready                  install and build, if need be
 *   node bin/setup.mjs start [ARG …]          … and serve
 *   node bin/setup.mjs test                   … and lint, type-check, test
 *   node bin/setup.mjs node SCRIPT [ARG …]    … and run a script of the project
 */
import { spawn, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** Not as `packageManager` in package.json: pnpm would then want to install itself. */
const PNPM = 'pnpm@12.21.0';
const root = fileURLToPath(new URL('..', import.meta.url));
const binaries = join(root, 'node_modules', '.bin');
const stampFile = join(root, 'node_modules', '.posthorn-setup');
const env = { ...process.env, PATH: `${binaries}${delimiter}${process.env.PATH ?? ''}` };

function fail(message) {
  console.error(`posthorn: ${message}`);
  process.exit(1);
}

/** Runs a program to its end; its output is shown only when it fails, unless `quiet` is false. */
function run(command, args, quiet = true) {
  const done = spawnSync(command, args, {
    cwd: root,
    env,
    stdio: quiet ? ['ignore', 'pipe', 'pipe'] : ['ignore', 'inherit', 'inherit'],
  });
  if (done.error) fail(`${command} cannot be run: ${done.error.message}`);
  if (done.status !== 0) {
    if (quiet) process.stderr.write(String(done.stdout) + String(done.stderr));
    fail(`\`${command} ${args.join(' ')}\` failed`);
  }
}

/** Everything that decides what is installed. */
function installKey() {
  const hash = createHash('sha256');
  const packages = readFileSync(join(root, 'pnpm-workspace.yaml'), 'utf8');
  const manifests = [
    'package.json',
    'core/package.json',
    'config/package.json',
    'workers/package.json',
    'test/package.json',
    'bench/package.json',
  ];
  for (const file of ['pnpm-lock.yaml', ...manifests]) hash.update(readFileSync(join(root, file)));
  return hash.update(packages).update(process.platform).update(process.arch).digest('hex');
}

function install() {
  const key = installKey();
  if (existsSync(stampFile) && readFileSync(stampFile, 'utf8') === key && existsSync(join(binaries, 'tsc'))) return;
  console.error('posthorn: installing (once, from the npm registry) …');
  run('npx', ['-y', PNPM, 'install', '--frozen-lockfile']);
  writeFileSync(stampFile, key);
}

/** The compiler finds out itself what is out of date. Only the tests and benches need more than the server's packages. */
function build(all) {
  run(join(binaries, 'tsc'), ['-b', ...(all ? [] : ['workers'])]);
}

/** Runs a program under the pinned Node and ends as it ends; signals reach it. */
function become(command, args) {
  const child = spawn(command, args, { cwd: process.cwd(), env, stdio: 'inherit' });
  for (const signal of ['SIGTERM', 'SIGHUP', 'SIGINT']) {
    // A Ctrl-C reaches the child by itself; we only must not die before it.
    process.on(signal, () => signal !== 'SIGINT' && child.kill(signal));
  }
  child.once('error', (error) => fail(error.message));
  child.once('exit', (code, signal) => process.exit(signal === null ? (code ?? 1) : 1));
}

const [task = 'ready', ...rest] = process.argv.slice(2);
install();
build(task === 'test' || task === 'node');
const node = join(binaries, 'node');
if (task === 'start') become(node, [join(root, 'workers/dist/cli/main.js'), 'serve', ...rest]);
else if (task === 'test') become(node, [join(root, 'test/run.mjs'), ...rest]);
else if (task === 'node') become(node, rest);
else if (task !== 'ready') fail(`unknown task ${task}: expected ready, start, test or node`);
