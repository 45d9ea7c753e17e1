/**
 * Mail programs that this project did not write, each called the way its manual says, with certificate checks on:
 * those that submit a message, and those that fetch one. A table, so that the tests say the same of every program.
 */
import { mkdirSync, readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { createTransport } from 'nodemailer';
import { type Package, program } from '../lib/peers/install.ts';
import { run } from '../lib/process.ts';

export type Security = 'starttls' | 'implicit';

/** One session with the server, as the user of a mail program would set it up. */
export interface Account {
  readonly security: Security;
  readonly host: string;
  /** For that way of security. */
  readonly port: number;
  readonly user: string;
  readonly password: string;
  readonly certificateFile: string;
  /** A folder of its own, for configuration and mail. */
  readonly folder: string;
}

export interface Sender {
  readonly name: string;
  readonly needs: readonly Package[];
  /** Submits the message (CRLF line ends) with AUTH; rejects with what the program printed. */
  send(account: Account, from: string, to: string, message: Buffer): Promise<void>;
}

export interface Fetcher {
  readonly name: string;
  readonly needs: readonly Package[];
  /** Fetches the only message of the maildrop, with CRLF line ends. */
  fetch(account: Account): Promise<Buffer>;
}

export const scriptPath = (name: string) => fileURLToPath(new URL(`./python/${name}.py`, import.meta.url));

function fileOf(account: Account, message: Buffer): string {
  const path = join(account.folder, 'message');
  writeFileSync(path, message);
  return path;
}

/** Programs that hand mail to other programs of a Unix system give it LF line ends. */
const withCrlf = (bytes: Buffer) => Buffer.from(bytes.toString('latin1').replaceAll(/\r?\n/g, '\r\n'), 'latin1');

const swaks: Sender = {
  name: 'swaks',
  needs: ['swaks'],
  async send({ security, host, port, user, password, certificateFile, folder }, from, to, message) {
    const path = join(folder, 'message');
    writeFileSync(path, message.subarray(0, -2)); // It ends the last line itself, always.
    const tls = security === 'implicit' ? '--tls-on-connect' : '--tls';
    const login = ['--auth', security === 'implicit' ? 'PLAIN' : 'LOGIN', '--auth-user', user, '--auth-password', password];
    await run([
      program('swaks'),
      '--server',
      host,
      '--port',
      String(port),
      tls,
      '--tls-verify',
      '--tls-ca-path',
      certificateFile,
      ...login,
      '--from',
      from,
      '--to',
      to,
      '--data',
      `@${path}`,
    ]);
  },
};

const msmtp: Sender = {
  name: 'msmtp',
  needs: ['msmtp'],
  async send({ security, host, port, user, password, certificateFile, folder }, from, to, message) {
    const config = join(folder, 'msmtprc');
    const rows = [`host ${host}`, `port ${port}`, `from ${from}`, `user ${user}`, `password ${password}`, 'tls on'];
    rows.push(`tls_starttls ${security === 'starttls' ? 'on' : 'off'}`, `tls_trust_file ${certificateFile}`);
    rows.push(`auth ${security === 'starttls' ? 'login' : 'plain'}`, 'timeout 20');
    writeFileSync(config, `account default\n${rows.join('\n')}\n`, { mode: 0o600 });
    const input = Buffer.from(message.toString('latin1').replaceAll('\r\n', '\n'), 'latin1');
    await run([program('msmtp'), '-C', config, to], { input });
  },
};

const curlLogin = ({ user, password, certificateFile }: Account) => [
  '-sS',
  '--cacert',
  certificateFile,
  '--user',
  `${user}:${password}`,
  '--max-time',
  '20',
];
const curlUrl = (scheme: 'smtp' | 'pop3', { security, host, port }: Account) =>
  security === 'implicit' ? [`${scheme}s://${host}:${port}`] : ['--ssl-reqd', `${scheme}://${host}:${port}`];

const curlSender: Sender = {
  name: 'curl',
  needs: ['curl'],
  async send(account, from, to, message) {
    const mechanism = ['--login-options', `AUTH=${account.security === 'starttls' ? 'PLAIN' : 'LOGIN'}`];
    await run([
      program('curl'),
      ...curlLogin(account),
      ...mechanism,
      '--mail-from',
      from,
      '--mail-rcpt',
      to,
      '-T',
      fileOf(account, message),
      ...curlUrl('smtp', account),
    ]);
  },
};

const smtplib: Sender = {
  name: 'smtplib',
  needs: ['python3'],
  async send(account, from, to, message) {
    const { host, port, security, certificateFile, user, password } = account;
    const command = [
      program('python3'),
      scriptPath('send'),
      host,
      String(port),
      security,
      certificateFile,
      user,
      password,
      from,
      to,
    ];
    const { stdout } = await run(command, { input: `${fileOf(account, message)}\n` });
    const { code, reply } = JSON.parse(stdout) as { code: number; reply: string };
    if (code !== 250) throw new Error(`${code} ${reply}`);
  },
};

const nodemailer: Sender = {
  name: 'nodemailer',
  needs: [],
  async send({ security, host, port, user, password, certificateFile }, from, to, message) {
    const transport = createTransport({
      host,
      port,
      secure: security === 'implicit',
      requireTLS: true,
      auth: { user, pass: password },
      tls: { ca: readFileSync(certificateFile) },
    });
    try {
      await transport.sendMail({ envelope: { from, to }, raw: message });
    } finally {
      transport.close();
    }
  },
};

const poplib: Fetcher = {
  name: 'poplib',
  needs: ['python3'],
  async fetch({ host, port, security, certificateFile, user, password, folder }) {
    const into = join(folder, 'fetched');
    mkdirSync(into);
    await run([program('python3'), scriptPath('fetch'), host, String(port), security, certificateFile, user, password, into]);
    return onlyFile(into);
  },
};

const curlFetcher: Fetcher = {
  name: 'curl',
  needs: ['curl'],
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
  async fetch({ host, port, security, certificateFile, user, password, folder }) {
    const maildir = join(folder, 'maildir');
    for (const part of ['cur', 'new', 'tmp']) mkdirSync(join(maildir, part), { recursive: true });
    const config = join(folder, 'mpoprc');
    const rows = [`host ${host}`, `port ${port}`, `user ${user}`, `password ${password}`, 'auth user', 'tls on', 'timeout 20'];
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
  async fetch({ host, port, security, certificateFile, user, password, folder }) {
    const out = join(folder, 'fetched');
    const config = join(folder, 'fetchmailrc');
    const tls = security === 'implicit' ? `ssl sslproto "TLS1.2+"` : `sslproto "TLS1.2+"`;
    const login = `protocol pop3 service ${port} auth password timeout 20 no dns user "${user}" password "${password}"`;
    const mail = `fetchall no rewrite mda "cat > ${out}"`;
    const trust = `sslcertck sslcertfile "${certificateFile}"`;
    writeFileSync(config, `set invisible\npoll ${host} ${login} ${tls} ${trust} ${mail}\n`, { mode: 0o600 });
    await run([program('fetchmail'), '-f', config, '--pidfile', join(folder, 'pid'), '-i', join(folder, 'ids')], {
      env: { ...process.env, HOME: folder, FETCHMAILHOME: folder },
    });
    return withCrlf(readFileSync(out));
  },
};

export const senders: readonly Sender[] = [swaks, msmtp, curlSender, smtplib, nodemailer];
export const fetchers: readonly Fetcher[] = [poplib, curlFetcher, mpop, fetchmail];

function onlyFile(folder: string): Buffer {
  const names = readdirSync(folder);
  if (names.length !== 1) throw new Error(`expected one message, found ${names.length}`);
  return readFileSync(join(folder, names[0]!));
}
