/** Programs that fetch a message: a table, so that the tests say the same of every one. */
import { mkdirSync, readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { program } from '../../lib/peers/install.ts';
import { run } from '../../lib/process.ts';
import { curlLogin, curlUrl, type Fetcher, perlPackages, perlPath, scriptPath } from './client.ts';

/** Programs that hand mail to other programs of a Unix system give it LF line ends. */
const withCrlf = (bytes: Buffer) => Buffer.from(bytes.toString('latin1').replaceAll(/\r?\n/g, '\r\n'), 'latin1');

const poplib: Fetcher = {
  name: 'poplib',
  needs: ['python3'],
  mechanisms: ['USER', 'APOP'],
  async fetch({ host, port, security, mechanism, certificateFile, user, password, folder }) {
    const into = join(folder, 'fetched');
    mkdirSync(into);
    await run([
      program('python3'),
      scriptPath('fetch'),
      host,
      String(port),
      security,
      certificateFile,
      user,
      password,
      into,
      mechanism,
    ]);
    return onlyFile(into);
  },
};

const curl: Fetcher = {
  name: 'curl',
  needs: ['curl'],
  mechanisms: ['APOP', 'PLAIN', 'LOGIN', 'CRAM-MD5', 'OAUTHBEARER', 'XOAUTH2'],
  async fetch(account) {
    const [last, ...before] = curlUrl('pop3', account).toReversed();
    const out = join(account.folder, 'fetched');
    await run([program('curl'), ...curlLogin(account), ...before, `${last}/1`, '-o', out]);
    return readFileSync(out);
  },
};

const mpop: Fetcher = {
  name: 'mpop',
  needs: ['mpop'],
  mechanisms: ['USER', 'APOP', 'PLAIN', 'LOGIN', 'CRAM-MD5', 'SCRAM-SHA-256', 'OAUTHBEARER', 'XOAUTH2'],
  async fetch({ host, port, security, mechanism, certificateFile, user, password, folder }) {
    const maildir = join(folder, 'maildir');
    for (const part of ['cur', 'new', 'tmp']) mkdirSync(join(maildir, part), { recursive: true });
    const config = join(folder, 'mpoprc');
    const rows = [
      `host ${host}`,
      `port ${port}`,
      `user ${user}`,
      `password ${password}`,
      `auth ${mechanism.toLowerCase()}`,
      'tls on',
      'timeout 20',
    ];
    rows.push(`tls_starttls ${security === 'starttls' ? 'on' : 'off'}`, `tls_trust_file ${certificateFile}`);
    rows.push(`delivery maildir ${maildir}`, `uidls_file ${join(folder, 'uidls')}`, 'received_header off');
    writeFileSync(config, `account default\n${rows.join('\n')}\n`, { mode: 0o600 });
    await run([program('mpop'), '-C', config]);
    return withCrlf(onlyFile(join(maildir, 'new')));
  },
};

const fetchmail: Fetcher = {
  name: 'fetchmail',
  needs: ['fetchmail'],
  mechanisms: ['USER', 'APOP', 'CRAM-MD5'],
  async fetch({ host, port, security, mechanism, certificateFile, user, password, folder }) {
    const out = join(folder, 'fetched');
    const config = join(folder, 'fetchmailrc');
    const tls = security === 'implicit' ? `ssl sslproto "TLS1.2+"` : `sslproto "TLS1.2+"`;
    const by = mechanism === 'APOP' ? 'apop' : 'pop3';
    const auth = mechanism === 'CRAM-MD5' ? 'auth cram-md5' : 'auth password';
    const login = `protocol ${by} service ${port} ${auth} timeout 20 no dns user "${user}" password "${password}"`;
    const mail = `fetchall no rewrite mda "cat > ${out}"`;
    const trust = `sslcertck sslcertfile "${certificateFile}"`;
    writeFileSync(config, `set invisible\npoll ${host} ${login} ${tls} ${trust} ${mail}\n`, { mode: 0o600 });
    await run([program('fetchmail'), '-f', config, '--pidfile', join(folder, 'pid'), '-i', join(folder, 'ids')], {
      env: { ...process.env, HOME: folder, FETCHMAILHOME: folder },
    });
    return withCrlf(readFileSync(out));
  },
};

const netPop3: Fetcher = {
  name: 'Net::POP3',
  needs: perlPackages,
  mechanisms: ['USER', 'APOP', 'PLAIN', 'CRAM-MD5'],
  async fetch({ host, port, security, mechanism, certificateFile, user, password }) {
    const login = [host, String(port), security, certificateFile, user, password, mechanism];
    const { stdout } = await run([program('perl'), perlPath('fetch'), ...login]);
    return withCrlf(Buffer.from(stdout, 'utf8'));
  },
};

const getmail: Fetcher = {
  name: 'getmail',
  needs: ['getmail6'],
  mechanisms: ['USER', 'APOP'],
  securities: ['implicit'], // It knows no STLS.
  async fetch({ host, port, mechanism, certificateFile, user, password, folder }) {
    const out = join(folder, 'fetched');
    const rows = ['[retriever]', 'type = SimplePOP3SSLRetriever', `server = ${host}`, `port = ${port}`, `username = ${user}`];
    rows.push(`password = ${password}`, `use_apop = ${mechanism === 'APOP'}`, `ca_certs = ${certificateFile}`);
    // Into a folder it would not write as root.
    rows.push('[destination]', 'type = MDA_external', 'path = /bin/sh', `arguments = ("-c", "cat > ${out}")`);
    rows.push('allow_root_commands = true', '[options]', 'delivered_to = false', 'received = false');
    writeFileSync(join(folder, 'rc'), `${rows.join('\n')}\n`, { mode: 0o600 });
    await run([program('getmail'), '--getmaildir', folder, '--rcfile', 'rc', '--quiet']);
    return withCrlf(readFileSync(out));
  },
};

/** It has no batch mode: its keys are pushed, and `script` gives it a terminal. */
const neomutt: Fetcher = {
  name: 'neomutt',
  needs: ['neomutt'],
  mechanisms: ['USER', 'APOP', 'OAUTHBEARER'],
  async fetch({ security, mechanism, host, port, user, password, certificateFile, folder }) {
    const config = join(folder, 'neomuttrc');
    const box = join(folder, 'maildir');
    for (const part of ['cur', 'new', 'tmp']) mkdirSync(join(box, part), { recursive: true });
    const rows = [
      `pop_host="${security === 'implicit' ? 'pops' : 'pop'}://${user}@${host}:${port}"`,
      mechanism === 'OAUTHBEARER' ? `pop_oauth_refresh_command="echo ${password}"` : `pop_pass="${password}"`,
      `pop_authenticators="${mechanism.toLowerCase()}"`,
      'pop_delete=yes',
      `spool_file="${box}"`,
      `folder="${folder}"`,
      `certificate_file="${certificateFile}"`,
      'ssl_force_tls=yes',
      'sleep_time=0',
    ];
    const keys = 'push "<fetch-mail><quit>"\n';
    writeFileSync(config, rows.map((row) => `set ${row}\n`).join('') + keys, { mode: 0o600 });
    const env = { ...process.env, HOME: folder, LC_ALL: 'C.UTF-8', TERM: 'xterm' };
    const command = `${program('neomutt')} -n -F ${config}`;
    const { stdout } = await run([program('script'), '-qec', command, '/dev/null'], { env });
    if (readdirSync(join(box, 'new')).length + readdirSync(join(box, 'cur')).length === 0) throw new Error(stdout);
    return withCrlf(onlyFile(join(box, readdirSync(join(box, 'new')).length > 0 ? 'new' : 'cur')));
  },
};

const sNail: Fetcher = {
  name: 's-nail',
  needs: ['s-nail'],
  mechanisms: ['USER', 'APOP', 'OAUTHBEARER'],
  async fetch({ security, mechanism, host, port, user, password, certificateFile, folder }) {
    const box = join(folder, 'maildir');
    const url = `${security === 'implicit' ? 'pop3s' : 'pop3'}://${user}:${password}@${host}:${port}`;
    const set = ['v15-compat', 'newfolders=maildir', `tls-ca-file=${certificateFile}`, 'tls-verify=strict'];
    if (security === 'starttls') set.push('pop3-use-starttls');
    if (mechanism === 'USER') set.push('pop3-no-apop');
    if (mechanism === 'OAUTHBEARER') set.push('pop3-auth=oauthbearer');
    const env = { ...process.env, HOME: folder, LC_ALL: 'C.UTF-8' };
    const chosen = set.flatMap((one) => ['-S', one]);
    await run([program('s-nail'), '-:/', ...chosen, '-R', '-f', url], { env, input: `copy * maildir://${box}\nxit\n` });
    return withCrlf(onlyFile(join(box, 'new')));
  },
};

export const fetchers: readonly Fetcher[] = [poplib, curl, mpop, fetchmail, netPop3, getmail, neomutt, sNail];

function onlyFile(folder: string): Buffer {
  const names = readdirSync(folder);
  if (names.length !== 1) throw new Error(`expected one message, found ${names.length}`);
  return readFileSync(join(folder, names[0]!));
}
