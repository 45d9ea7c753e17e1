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

/**
 * How the user is shown to be the one: USER and APOP are commands of POP3, and APOP is there under implicit TLS alone; with
 * OAUTHBEARER and XOAUTH2 the password is a token.
 */
export type Mechanism = 'PLAIN' | 'LOGIN' | 'CRAM-MD5' | 'SCRAM-SHA-256' | 'OAUTHBEARER' | 'XOAUTH2' | 'USER' | 'APOP';

/** One session with the server, as the user of a mail program would set it up. */
export interface Account {
  readonly security: Security;
  readonly mechanism: Mechanism;
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
  readonly mechanisms: readonly Mechanism[];
  /** It writes the header itself: what must arrive is From, Subject and text. */
  readonly composes?: true;
  /** Submits the message (CRLF line ends) with AUTH; rejects with what the program printed. */
  send(account: Account, from: string, to: string, message: Buffer): Promise<void>;
}

export interface Fetcher {
  readonly name: string;
  readonly needs: readonly Package[];
  readonly mechanisms: readonly Mechanism[];
  /** Default: both. */
  readonly securities?: readonly Security[];
  /** Fetches the only message of the maildrop, with CRLF line ends. */
  fetch(account: Account): Promise<Buffer>;
}

export const scriptPath = (name: string) => fileURLToPath(new URL(`./python/${name}.py`, import.meta.url));
const perlPath = (name: string) => fileURLToPath(new URL(`./perl/${name}.pl`, import.meta.url));

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
  mechanisms: ['PLAIN', 'LOGIN', 'CRAM-MD5'],
  async send({ security, mechanism, host, port, user, password, certificateFile, folder }, from, to, message) {
    const path = join(folder, 'message');
    writeFileSync(path, message.subarray(0, -2)); // It ends the last line itself, always.
    const tls = security === 'implicit' ? '--tls-on-connect' : '--tls';
    const login = ['--auth', mechanism, '--auth-user', user, '--auth-password', password];
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
  mechanisms: ['PLAIN', 'LOGIN', 'CRAM-MD5', 'SCRAM-SHA-256', 'OAUTHBEARER', 'XOAUTH2'],
  async send({ security, mechanism, host, port, user, password, certificateFile, folder }, from, to, message) {
    const config = join(folder, 'msmtprc');
    const rows = [`host ${host}`, `port ${port}`, `from ${from}`, `user ${user}`, `password ${password}`, 'tls on'];
    rows.push(`tls_starttls ${security === 'starttls' ? 'on' : 'off'}`, `tls_trust_file ${certificateFile}`);
    rows.push(`auth ${mechanism.toLowerCase()}`, 'timeout 20');
    writeFileSync(config, `account default\n${rows.join('\n')}\n`, { mode: 0o600 });
    const input = Buffer.from(message.toString('latin1').replaceAll('\r\n', '\n'), 'latin1');
    await run([program('msmtp'), '-C', config, to], { input });
  },
};

const isToken = (mechanism: Mechanism) => mechanism === 'OAUTHBEARER' || mechanism === 'XOAUTH2';

const curlLogin = ({ user, password, mechanism, certificateFile }: Account) => [
  '-sS',
  '--cacert',
  certificateFile,
  ...(isToken(mechanism) ? ['--user', user, '--oauth2-bearer', password] : ['--user', `${user}:${password}`]),
  // Without the option it would choose itself.
  '--login-options',
  `AUTH=${mechanism === 'APOP' ? '+APOP' : mechanism}`,
  '--max-time',
  '20',
];
const curlUrl = (scheme: 'smtp' | 'pop3', { security, host, port }: Account) =>
  security === 'implicit' ? [`${scheme}s://${host}:${port}`] : ['--ssl-reqd', `${scheme}://${host}:${port}`];

const curlSender: Sender = {
  name: 'curl',
  needs: ['curl'],
  mechanisms: ['PLAIN', 'LOGIN', 'CRAM-MD5', 'OAUTHBEARER', 'XOAUTH2'],
  async send(account, from, to, message) {
    await run([
      program('curl'),
      ...curlLogin(account),
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
  mechanisms: ['PLAIN', 'LOGIN', 'CRAM-MD5'],
  async send(account, from, to, message) {
    const { host, port, security, mechanism, certificateFile, user, password } = account;
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
      mechanism,
    ];
    const { stdout } = await run(command, { input: `${fileOf(account, message)}\n` });
    const { code, reply } = JSON.parse(stdout) as { code: number; reply: string };
    if (code !== 250) throw new Error(`${code} ${reply}`);
  },
};

const nodemailer: Sender = {
  name: 'nodemailer',
  needs: [],
  mechanisms: ['PLAIN', 'LOGIN', 'CRAM-MD5', 'XOAUTH2'],
  async send({ security, mechanism, host, port, user, password, certificateFile }, from, to, message) {
    const transport = createTransport({
      host,
      port,
      secure: security === 'implicit',
      requireTLS: true,
      ...(mechanism === 'XOAUTH2'
        ? { auth: { type: 'OAuth2', user, accessToken: password } }
        : { authMethod: mechanism, auth: { user, pass: password } }),
      tls: { ca: readFileSync(certificateFile) },
    });
    try {
      await transport.sendMail({ envelope: { from, to }, raw: message });
    } finally {
      transport.close();
    }
  },
};

const perlPackages = ['perl', 'libio-socket-ssl-perl', 'libauthen-sasl-perl', 'libdigest-hmac-perl'] as const;

const netSmtp: Sender = {
  name: 'Net::SMTP',
  needs: perlPackages,
  mechanisms: ['PLAIN', 'LOGIN', 'CRAM-MD5'],
  async send({ security, mechanism, host, port, user, password, certificateFile }, from, to, message) {
    const input = Buffer.from(message.toString('latin1').replaceAll('\r\n', '\n'), 'latin1');
    const login = [host, String(port), security, certificateFile, user, password, mechanism];
    await run([program('perl'), perlPath('send'), ...login, from, to], { input });
  },
};

const bodyOf = (message: Buffer) =>
  message
    .subarray(message.indexOf('\r\n\r\n') + 4)
    .toString('utf8')
    .replaceAll('\r\n', '\n');
const subjectOf = (message: Buffer) => /^Subject: (.*)/m.exec(message.toString('utf8'))?.[1] ?? '';

const neomutt: Sender = {
  name: 'neomutt',
  needs: ['neomutt'],
  mechanisms: ['PLAIN', 'LOGIN'],
  composes: true,
  async send({ security, mechanism, host, port, user, password, certificateFile, folder }, from, to, message) {
    const config = join(folder, 'neomuttrc');
    const url = `${security === 'implicit' ? 'smtps' : 'smtp'}://${user}@${host}:${port}`;
    const rows = [
      `smtp_url="${url}"`,
      `smtp_pass="${password}"`,
      `smtp_authenticators="${mechanism.toLowerCase()}"`,
      `from="${from}"`,
    ];
    rows.push(
      `certificate_file="${certificateFile}"`,
      'ssl_force_tls=yes',
      'use_envelope_from=yes',
      'copy=no',
      'charset="utf-8"',
    );
    writeFileSync(config, rows.map((row) => `set ${row}\n`).join(''), { mode: 0o600 });
    const env = { ...process.env, HOME: folder, LC_ALL: 'C.UTF-8' };
    await run([program('neomutt'), '-n', '-F', config, '-s', subjectOf(message), '--', to], { env, input: bodyOf(message) });
  },
};

const sNail: Sender = {
  name: 's-nail',
  needs: ['s-nail'],
  mechanisms: ['PLAIN', 'LOGIN', 'CRAM-MD5'],
  composes: true,
  async send({ security, mechanism, host, port, user, password, certificateFile, folder }, from, to, message) {
    const url = `${security === 'implicit' ? 'smtps' : 'smtp'}://${user}:${password}@${host}:${port}`;
    const set = [`mta=${url}`, `smtp-auth=${mechanism.toLowerCase()}`, `from=${from}`, `tls-ca-file=${certificateFile}`];
    set.push(
      'v15-compat',
      'nosave',
      'tls-verify=strict',
      'ttycharset=utf-8',
      ...(security === 'starttls' ? ['smtp-use-starttls'] : []),
    );
    const env = { ...process.env, HOME: folder, LC_ALL: 'C.UTF-8' };
    const chosen = set.flatMap((one) => ['-S', one]);
    await run([program('s-nail'), '-:/', ...chosen, '-s', subjectOf(message), to], { env, input: bodyOf(message) });
  },
};

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

const curlFetcher: Fetcher = {
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

export const senders: readonly Sender[] = [swaks, msmtp, curlSender, smtplib, nodemailer, netSmtp, neomutt, sNail];
export const fetchers: readonly Fetcher[] = [poplib, curlFetcher, mpop, fetchmail, netPop3, getmail];

function onlyFile(folder: string): Buffer {
  const names = readdirSync(folder);
  if (names.length !== 1) throw new Error(`expected one message, found ${names.length}`);
  return readFileSync(join(folder, names[0]!));
}
