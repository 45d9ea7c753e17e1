/** `posthorn tls check` beside a running server: what it finds, and what its exit code is. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { makeCa } from '../lib/certificates.ts';
import { freePorts } from '../lib/process.ts';
import { type Rig, startRig } from '../lib/rig.ts';

const SMALL = { throughput: { processes: 1, sessionThreads: 1 } };

interface Report {
  readonly listener: string;
  readonly how: string;
  readonly clear: string;
  readonly offers?: {
    readonly versions: string[];
    readonly ciphers: { version: string; name: string }[];
    readonly group: string;
    readonly certificates: { askedFor: string; subject: string; trust: string; chain: string[] }[];
  };
  readonly problems: string[];
  readonly warnings: string[];
}

async function check({ server }: Rig, ...args: string[]) {
  const { code, stdout, stderr } = await server.command('tls', 'check', server.configFile, ...args);
  return {
    code,
    stdout,
    stderr,
    reports: () =>
      stdout
        .trim()
        .split('\n')
        .map((line) => JSON.parse(line) as Report),
  };
}

/** Changes the configuration file, and has the running server read it unless told otherwise. */
async function change({ server }: Rig, edit: (config: Record<string, unknown>) => object, reload = true): Promise<void> {
  const config = JSON.parse(readFileSync(server.configFile, 'utf8')) as Record<string, unknown>;
  writeFileSync(server.configFile, JSON.stringify({ ...config, ...edit(config) }));
  if (reload) expect(await server.command('reload', '--config', server.configFile)).toMatchObject({ code: 0 });
}

test.concurrent('prints versions, ciphers and the certificate for each name, of every listener', async (context) => {
  const rig = await startRig(context, { config: SMALL });
  const { server } = rig;
  const ca = await makeCa('our CA');
  const files = {
    cert: 'cert.pem',
    key: 'key.pem',
    rsa: 'rsa.pem',
    rsaKey: 'rsa.key',
    other: 'other.pem',
    otherKey: 'other.key',
  };
  const put = (name: string, text: string) => writeFileSync(join(server.folder, name), text);
  const [own, rsa, other] = [
    await ca.issue({ name: 'localhost', dns: ['localhost'] }),
    await ca.issue({ name: 'localhost', dns: ['localhost'], kind: 'rsa' }),
    await ca.issue({ name: 'other', dns: ['mail.other.test', '*.more.test'] }),
  ];
  for (const [name, text] of [
    [files.cert, own.certificate],
    [files.key, own.key],
    [files.rsa, rsa.certificate],
    [files.rsaKey, rsa.key],
    [files.other, other.certificate],
    [files.otherKey, other.key],
    ['ca.pem', ca.certificate],
  ] as const)
    put(name, text);
  const certificates = [
    { certificate: files.rsa, key: files.rsaKey },
    { certificate: files.other, key: files.otherKey },
  ];
  await change(rig, ({ tls }) => ({ tls: { ...(tls as object), certificates } }));
  const { code, reports } = await check(rig, '--json', '--ca', join(server.folder, 'ca.pem'));
  expect(code).toBe(0);
  expect(reports().map(({ listener, how }) => `${listener} ${how}`)).toEqual([
    'mx STARTTLS',
    'submission STARTTLS',
    'submissions implicit',
    'pop3 STLS',
    'pop3s implicit',
  ]);
  for (const { offers, problems, warnings } of reports()) {
    expect(problems).toEqual([]);
    expect(warnings).toEqual([]);
    expect(offers?.versions).toEqual(['TLSv1.2', 'TLSv1.3']);
    expect(offers?.ciphers.map(({ name }) => name).toSorted()).toEqual(
      [
        'TLS_AES_128_GCM_SHA256',
        'TLS_AES_256_GCM_SHA384',
        'TLS_CHACHA20_POLY1305_SHA256',
        'ECDHE-ECDSA-AES128-GCM-SHA256',
        'ECDHE-ECDSA-AES256-GCM-SHA384',
        'ECDHE-ECDSA-CHACHA20-POLY1305',
        'ECDHE-RSA-AES128-GCM-SHA256',
        'ECDHE-RSA-AES256-GCM-SHA384',
        'ECDHE-RSA-CHACHA20-POLY1305',
      ].toSorted(),
    );
    expect(offers?.certificates.map(({ askedFor, subject, trust }) => `${askedFor}|${subject}|${trust}`)).toEqual([
      '|CN=localhost|trusted',
      'localhost|CN=localhost|trusted',
      'mail.other.test|CN=other|trusted',
      'any-name.more.test|CN=other|trusted',
    ]);
  }
});

test.concurrent('a second kind of key for a name that the first certificate does not have is warned of, as never shown', async (context) => {
  const rig = await startRig(context, { config: SMALL });
  const { server } = rig;
  const ca = await makeCa('our CA');
  const certificates: object[] = [];
  for (const kind of ['ec', 'rsa'] as const) {
    const { certificate, key } = await ca.issue({ name: kind, dns: ['mail.other.test'], kind });
    writeFileSync(join(server.folder, `${kind}.pem`), certificate);
    writeFileSync(join(server.folder, `${kind}.key`), key);
    certificates.push({ certificate: `${kind}.pem`, key: `${kind}.key` });
  }
  await change(rig, ({ tls }) => ({ tls: { ...(tls as object), certificates } }));
  const warning = 'of the certificates for mail.other.test the one with a key of kind rsa is shown alone, not that of kind ec';
  const { reports } = await check(rig, '--json', '--listener', 'pop3s');
  expect(reports()[0]?.warnings.join()).toContain(warning);
  expect((await server.command('check', server.configFile)).stderr).toContain(`warning: ${warning}`);
});

test.concurrent('tells what is wrong, with exit code 1', async (context) => {
  const rig = await startRig(context, { config: SMALL });
  const { server } = rig;
  const ca = await makeCa('our CA');
  const put = (name: string, text: string) => writeFileSync(join(server.folder, name), text);
  const expired = await ca.issue({ name: 'localhost', dns: ['localhost'], days: -1 });
  put('cert.pem', expired.certificate);
  put('key.pem', expired.key);
  await change(rig, () => ({}));
  const old = await check(rig, '--listener', 'pop3s');
  expect(old.code).toBe(1);
  expect(old.stdout).toContain('PROBLEM: the certificate for localhost has expired');
  expect(old.stderr).toContain('one listener has problems');

  // The files are ahead of the server: it looks at them every 30 s.
  const fresh = await ca.issue({ name: 'another', dns: ['another.test'] });
  put('cert.pem', fresh.certificate);
  put('key.pem', fresh.key);
  const behind = await check(rig, '--listener', 'mx');
  expect(behind.stdout).toContain('is not that of the files: the server has not taken it up');
  await change(rig, () => ({}));
  const wrongName = await check(rig, '--listener', 'mx');
  expect(wrongName.stdout).toContain('PROBLEM: the certificate for localhost is not for that name');
  expect(wrongName.stdout).toContain('comes without the certificates between it and its CA');

  const [nobody] = await freePorts(1);
  await change(
    rig,
    ({ listeners }) => ({
      listeners: [...(listeners as object[]), { name: 'ghost', protocol: 'smtp', address: `127.0.0.1:${nobody}` }],
    }),
    false,
  );
  expect((await check(rig, '--listener', 'ghost')).stdout).toMatch(/PROBLEM: no TLS with it: .*ECONNREFUSED/);
  expect((await check(rig, '--listener', 'nothing')).stderr).toContain('there is no listener nothing');
});

test.concurrent('a self-signed certificate is a warning, and requireTls is tried', async (context) => {
  const rig = await startRig(context, { config: SMALL, listener: { requireTls: true, tlsProfile: 'modern' } });
  const { code, reports } = await check(rig, '--json');
  expect(code).toBe(0);
  expect(reports().map(({ clear }) => clear)).toEqual(['refused', 'refused', 'none', 'refused', 'none']);
  for (const { offers, warnings } of reports()) {
    expect(offers?.versions).toEqual(['TLSv1.3']);
    expect(warnings.join()).toContain('is not trusted by this machine (');
  }
});

// TLS 1.2 was said to be refused: the server hangs up before our end has the end of the handshake.
test.concurrent('where a client certificate is required both versions and all ciphers are found without one', async (context) => {
  const rig = await startRig(context, { config: SMALL });
  writeFileSync(join(rig.server.folder, 'clients.pem'), (await makeCa('clients')).certificate);
  const listed = async () => {
    const [report] = (await check(rig, '--json', '--listener', 'submissions')).reports();
    return report?.offers && { versions: report.offers.versions, ciphers: report.offers.ciphers };
  };
  const before = await listed();
  await change(rig, ({ listeners }) => ({
    listeners: (listeners as object[]).map((one) => ({ ...one, clientCertificates: 'require', clientCa: './clients.pem' })),
  }));
  expect(before?.versions).toEqual(['TLSv1.2', 'TLSv1.3']);
  expect(await listed()).toEqual(before);
});

test.concurrent('LMTP is asked by LHLO, and who is taken for a proxy says its header first', async (context) => {
  const rig = await startRig(context, { config: SMALL });
  const [port] = await freePorts(1);
  const lmtp = { name: 'lmtp', protocol: 'lmtp', address: `127.0.0.1:${port}`, tls: 'starttls', requireTls: true };
  await change(rig, ({ listeners }) => ({
    listeners: [...(listeners as object[]), lmtp].map((one) => ({ ...one, proxyFrom: ['127.0.0.1'] })),
  }));
  const { code, reports } = await check(rig, '--json');
  expect(reports().map(({ listener, how, clear, problems }) => [listener, how, clear, ...problems])).toEqual([
    ['mx', 'STARTTLS', 'taken'],
    ['submission', 'STARTTLS', 'taken'],
    ['submissions', 'implicit', 'none'],
    ['pop3', 'STLS', 'refused'],
    ['pop3s', 'implicit', 'none'],
    ['lmtp', 'STARTTLS after LHLO', 'refused'],
  ]);
  expect(code).toBe(0);
});

test.concurrent('a listener with certificates of its own is asked for their names alone', async (context) => {
  const rig = await startRig(context, { config: SMALL });
  const { server } = rig;
  const ca = await makeCa('our CA');
  const { certificate, key } = await ca.issue({ name: 'pop', dns: ['pop.other.test'] });
  for (const [name, text] of Object.entries({ 'own.pem': certificate, 'own.key': key, 'ca.pem': ca.certificate }))
    writeFileSync(join(server.folder, name), text);
  const certificates = [{ certificate: './own.pem', key: './own.key' }];
  await change(rig, ({ listeners }) => ({
    listeners: (listeners as { name: string }[]).map((one) => (one.name === 'pop3s' ? { ...one, certificates } : one)),
  }));
  const { code, reports } = await check(rig, '--json', '--ca', join(server.folder, 'ca.pem'), '--listener', 'pop3s', 'mx');
  expect(code).toBe(0);
  const [mx, pop3s] = reports();
  expect(mx?.offers?.certificates.map(({ subject }) => subject)).toContain('CN=mail.test');
  expect(pop3s?.offers?.certificates.map(({ askedFor, subject }) => `${askedFor}|${subject}`)).toEqual([
    '|CN=pop',
    'pop.other.test|CN=pop',
  ]);
  expect(pop3s?.warnings).toEqual([]);
});
