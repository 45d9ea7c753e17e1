/** Programs that submit a message: a table, so that the tests say the same of every one. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createTransport } from 'nodemailer';
import { program } from '../../lib/peers/install.ts';
import { run } from '../../lib/process.ts';
import { type Account, curlLogin, curlUrl, perlPackages, perlPath, scriptPath, type Sender } from './client.ts';

function fileOf(account: Account, message: Buffer): string {
  const path = join(account.folder, 'message');
  writeFileSync(path, message);
  return path;
}

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

const curl: Sender = {
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
  mechanisms: ['PLAIN', 'LOGIN', 'CRAM-MD5', 'OAUTHBEARER'],
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

export const senders: readonly Sender[] = [swaks, msmtp, curl, smtplib, nodemailer, netSmtp, neomutt, sNail];
