/**
 * testssl.sh (Debian: testssl.sh) against every TLS port of a running server: SMTP and POP3, by STARTTLS and from the
 * first byte, with an ECDSA and an RSA certificate. Its JSON is read; a finding above "low" is a failure. Takes some
 * minutes; run by `npm run test:testssl [-- --install] [-- PORT …]`, where PORT is one of mx,
 * submission, submissions, lmtp, pop3, pop3s.
 * Without the program it says loudly that nothing was tested.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { makeCa } from '../lib/certificates.ts';
import { freePorts, run } from '../lib/process.ts';
import { startPosthorn } from '../lib/server.ts';

interface Finding {
  readonly id: string;
  readonly severity: string;
  readonly finding: string;
}

/** How each begins TLS; undefined: from the first byte. */
const PORTS = { mx: 'smtp', submission: 'smtp', submissions: undefined, lmtp: 'lmtp', pop3: 'pop3', pop3s: undefined } as const;
type Port = keyof typeof PORTS;

const ABOVE_LOW: ReadonlySet<string> = new Set(['MEDIUM', 'HIGH', 'CRITICAL', 'FATAL']);
/** What testssl says when it could not test something. */
const UNTESTED: ReadonlySet<string> = new Set(['WARN', 'DEBUG']);
const DEADLINE_MS = 900_000;

function findProgram(): string | undefined {
  return ['/usr/bin/testssl', '/usr/bin/testssl.sh'].find((path) => existsSync(path));
}

function install(): void {
  const done = spawnSync('apt-get', ['install', '-y', '--no-install-recommends', 'testssl.sh'], { stdio: 'inherit' });
  if (done.status !== 0) throw new Error('testssl.sh could not be installed');
}

async function main(args: readonly string[]): Promise<void> {
  if (findProgram() === undefined && args.includes('--install')) install();
  const program = findProgram();
  if (program === undefined) {
    console.error('SKIPPED: NOTHING WAS TESTED. testssl.sh is not there; on Debian: npm run test:testssl -- --install');
    return;
  }
  const asked = args.filter((arg): arg is Port => arg in PORTS);
  const [lmtp] = (await freePorts(1)) as [number];
  const server = await startPosthorn({
    config: { throughput: { processes: 1, sessionThreads: 1 } },
    moreListeners: [{ name: 'lmtp', protocol: 'lmtp', address: `127.0.0.1:${lmtp}` }],
    onLog: () => undefined,
  });
  try {
    await giveCertificates(server.folder, server.configFile, server.command);
    let above = 0;
    for (const port of asked.length > 0 ? asked : (Object.keys(PORTS) as Port[])) {
      const number = {
        mx: server.ports.smtp,
        submission: server.ports.submission,
        lmtp,
        submissions: server.ports.submissions,
        pop3: server.ports.pop3,
        pop3s: server.ports.pop3s,
      }[port];
      above += await test(program, port, number, server.folder);
    }
    if (above > 0) {
      console.error(`${above} findings above "low"`);
      process.exitCode = 1;
    }
  } finally {
    await server.stop();
    server.remove();
  }
}

/** As an operator would have them: from a CA, both kinds of key. */
async function giveCertificates(
  folder: string,
  configFile: string,
  command: (...args: string[]) => Promise<{ code: number; stderr: string }>,
): Promise<void> {
  const ca = await makeCa('Posthorn test CA');
  const wanted = { name: 'localhost', dns: ['localhost'], crl: 'http://crl.example.test/ca.crl' };
  const put = (name: string, text: string) => writeFileSync(join(folder, name), text, { mode: 0o600 });
  const [ec, rsa] = [await ca.issue(wanted), await ca.issue({ ...wanted, kind: 'rsa' })];
  put('ca.pem', ca.certificate);
  put('cert.pem', ec.certificate);
  put('key.pem', ec.key);
  put('rsa.pem', rsa.certificate);
  put('rsa.key', rsa.key);
  const config = JSON.parse(readFileSync(configFile, 'utf8')) as { tls: object };
  const tls = { ...config.tls, certificates: [{ certificate: './rsa.pem', key: './rsa.key' }] };
  writeFileSync(configFile, JSON.stringify({ ...config, tls }));
  const reload = await command('reload', '--config', configFile);
  if (reload.code !== 0) throw new Error(`the server did not take the certificates: ${reload.stderr}`);
}

/** @returns how many findings are above "low" */
async function test(program: string, name: Port, port: number, folder: string): Promise<number> {
  const file = join(folder, `${name}.json`);
  const startedAtMs = performance.now();
  const starttls = PORTS[name] === undefined ? [] : ['-t', PORTS[name]];
  const quiet = ['--quiet', '--color', '0', '--warnings', 'batch', '--nodns', 'none', '--ip', '127.0.0.1'];
  const command = [program, ...quiet, '--add-ca', join(folder, 'ca.pem'), '--jsonfile', file, ...starttls, `localhost:${port}`];
  // Its exit code counts findings of any kind; what it found is in the file.
  const done = await run(command, { cwd: folder, mayFail: true, timeoutMs: DEADLINE_MS });
  if (!existsSync(file)) throw new Error(`testssl.sh wrote nothing:\n${done.stdout}${done.stderr}`);
  const findings = JSON.parse(readFileSync(file, 'utf8')) as Finding[];
  const counts: Record<string, number> = {};
  for (const { severity } of findings) counts[severity] = (counts[severity] ?? 0) + 1;
  if ((counts['OK'] ?? 0) < 20) throw new Error(`testssl.sh tested next to nothing on ${name}: ${JSON.stringify(counts)}`);
  const seconds = Math.round((performance.now() - startedAtMs) / 1000);
  console.log(JSON.stringify({ port: name, seconds, ...counts }));
  for (const { id, severity, finding } of findings) {
    if (ABOVE_LOW.has(severity) || severity === 'LOW' || UNTESTED.has(severity)) console.log(`  ${severity} ${id}: ${finding}`);
  }
  return findings.filter(({ severity }) => ABOVE_LOW.has(severity)).length;
}

await main(process.argv.slice(2));
