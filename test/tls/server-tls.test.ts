/** TLS of one listener over real handshakes: certificates by name, client certificates, tickets, bindings, refusals. */
import { createHash, randomBytes, X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type AddressInfo, type Server } from 'node:net';
import { connect, type ConnectionOptions, type TLSSocket } from 'node:tls';
import { ServerTls, type Secured, type ServerTlsOptions, type TlsIdentity } from '@posthorn/core/dispatch/server-tls';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { makeCa, type Pair, type TestCa } from '../lib/certificates.ts';

let ca: TestCa;
let stranger: TestCa;
let one: TlsIdentity;
let oneRsa: TlsIdentity;
let wild: TlsIdentity;
let alice: Pair;
const servers: Server[] = [];
beforeAll(async () => {
  [ca, stranger] = [await makeCa('test CA'), await makeCa('nobody knows me')];
  one = identityOf(await ca.issue({ name: 'one', dns: ['one.example'] }), ['one.example'], 'ec');
  oneRsa = identityOf(await ca.issue({ name: 'one-rsa', dns: ['one.example'], kind: 'rsa' }), ['one.example'], 'rsa');
  wild = identityOf(await ca.issue({ name: 'wild', dns: ['*.example.org'] }), ['*.example.org'], 'ec');
  alice = await ca.issue({ name: 'alice', email: ['alice@example.org'], use: 'client' });
});
afterAll(() => servers.forEach((server) => server.close()));

function identityOf({ certificate, key }: Pair, names: string[], keyType: string): TlsIdentity {
  const { fingerprint256 } = new X509Certificate(certificate);
  return { certificate, key, names, keyType, fingerprint256, endsAtMs: Date.now() + 86_400_000 };
}

const TICKET_KEYS = randomBytes(48);

/** A port that does nothing but handshakes, and what came of each. */
async function serve(options: Partial<ServerTlsOptions> = {}) {
  const tls = new ServerTls({
    listener: 'test',
    protocol: 'smtp',
    profile: 'intermediate',
    identities: [one, oneRsa, wild],
    clientCertificates: 'off',
    clientCa: ca.certificate,
    clientCrl: undefined,
    ticketKeys: TICKET_KEYS,
    sessionTimeoutSeconds: 3600,
    ...options,
  });
  const outcomes: (Secured | Error)[] = [];
  const sockets: TLSSocket[] = [];
  const endPoints: (Uint8Array | undefined)[] = [];
  const server = createServer((plain) => {
    const socket = tls.secure(plain);
    sockets.push(socket);
    socket.on('error', (error) => outcomes.push(error));
    socket.once('secure', () => {
      const secured = tls.secured(socket);
      outcomes.push(secured);
      endPoints.push(secured.ok ? secured.facts.channelBinding?.serverEndPoint() : undefined);
      if (secured.ok) socket.end('hello');
      else socket.destroy();
    });
  }).listen(0, '127.0.0.1');
  servers.push(server);
  await once(server, 'listening');
  return { port: (server.address() as AddressInfo).port, outcomes, sockets, endPoints };
}

interface Seen {
  readonly shown: string | undefined;
  readonly reused: boolean;
  readonly version: string | null;
  readonly cipher: string;
  readonly exporter: Buffer;
  readonly session: Buffer | undefined;
}

/** One handshake as a client; rejects when it fails, or when the server hangs up without a word. */
async function shake(port: number, options: ConnectionOptions = {}): Promise<Seen> {
  const socket = connect({ port, host: '127.0.0.1', rejectUnauthorized: false, ...options });
  let session: Buffer | undefined;
  socket.on('session', (given: Buffer) => (session = given));
  try {
    await once(socket, 'secureConnect');
    const seen = {
      shown: commonName(socket),
      reused: socket.isSessionReused(),
      version: socket.getProtocol(),
      cipher: socket.getCipher().standardName,
      exporter: socket.exportKeyingMaterial(32, 'EXPORTER-Channel-Binding', Buffer.alloc(0)),
    };
    const [hello] = (await Promise.race([once(socket, 'data'), once(socket, 'close').then(() => [undefined])])) as unknown[];
    if (hello === undefined) throw new Error('the server hung up');
    return { ...seen, session };
  } finally {
    socket.destroy();
  }
}

function commonName(socket: TLSSocket): string | undefined {
  return /^CN=(.*)$/m.exec(socket.getPeerX509Certificate()?.subject ?? '')?.[1];
}

describe('certificates by name', () => {
  it('exact names come before wildcards, and the first is for everybody else', async () => {
    const { port } = await serve({ identities: [one, wild, { ...oneRsa, names: ['exact.example.org'] }] });
    const shown = async (servername: string) => (await shake(port, { servername })).shown;
    expect(await shown('one.example')).toBe('one');
    expect(await shown('mail.example.org')).toBe('wild');
    expect(await shown('EXACT.Example.Org')).toBe('one-rsa');
    expect(await shown('a.b.example.org')).toBe('one');
    expect(await shown('example.org')).toBe('one');
    expect(await shown('nobody.test')).toBe('one');
    expect((await shake(port)).shown).toBe('one');
  });

  it('two kinds of key for one name serve clients of both kinds', async () => {
    const { port } = await serve();
    const kind = async (ciphers: string, servername?: string) =>
      (await shake(port, { ciphers, maxVersion: 'TLSv1.2', ...(servername === undefined ? {} : { servername }) })).shown;
    expect(await kind('ECDHE-RSA-AES128-GCM-SHA256')).toBe('one-rsa');
    expect(await kind('ECDHE-ECDSA-AES128-GCM-SHA256')).toBe('one');
    expect(await kind('ECDHE-RSA-AES128-GCM-SHA256', 'one.example')).toBe('one-rsa');
    // A context handed over for a name shows one certificate alone: clients of the other kind that asked by name got no TLS.
    expect(await kind('ECDHE-ECDSA-AES128-GCM-SHA256', 'one.example')).toBe('one');
    expect(await kind('ECDHE-ECDSA-AES128-GCM-SHA256', 'nobody.test')).toBe('one');
    for (const [sigalgs, shown] of [
      ['ECDSA+SHA256', 'one'],
      ['RSA-PSS+SHA256', 'one-rsa'],
    ] as const)
      expect((await shake(port, { sigalgs, servername: 'one.example' })).shown).toBe(shown);
  });

  it('of two kinds for a name that the first certificate does not have every client is shown RSA', async () => {
    for (const identities of [
      [wild, one, oneRsa],
      [wild, oneRsa, one],
    ]) {
      const { port } = await serve({ identities });
      expect((await shake(port, { servername: 'one.example' })).shown).toBe('one-rsa');
      expect((await shake(port, { servername: 'a.example.org' })).shown).toBe('wild');
    }
  });
});

describe('the profile', () => {
  it('intermediate takes TLS 1.2 with forward secrecy and 1.3, nothing older or weaker', async () => {
    const { port } = await serve();
    const version = (maxVersion: 'TLSv1.3' | 'TLSv1.2' | 'TLSv1.1', ciphers = 'ALL:@SECLEVEL=0') =>
      shake(port, { minVersion: 'TLSv1', maxVersion, ciphers }).then((seen) => seen.version);
    expect(await version('TLSv1.3')).toBe('TLSv1.3');
    expect(await version('TLSv1.2')).toBe('TLSv1.2');
    await expect(version('TLSv1.1')).rejects.toThrow(/protocol version/);
    for (const weak of ['AES128-GCM-SHA256', 'ECDHE-RSA-AES128-SHA', 'DHE-RSA-AES128-GCM-SHA256']) {
      await expect(version('TLSv1.2', weak)).rejects.toThrow(/handshake failure/);
    }
  });

  it('modern takes TLS 1.3 alone', async () => {
    const { port } = await serve({ profile: 'modern' });
    expect((await shake(port)).version).toBe('TLSv1.3');
    await expect(shake(port, { maxVersion: 'TLSv1.2' })).rejects.toThrow(/protocol version/);
  });

  it('the cipher is ours to choose, but for a client that wants ChaCha20 first', async () => {
    const { port } = await serve();
    const chosen = async (...ciphers: string[]) => (await shake(port, { ciphers: ciphers.join(':') })).cipher;
    const [small, large, chacha] = ['TLS_AES_128_GCM_SHA256', 'TLS_AES_256_GCM_SHA384', 'TLS_CHACHA20_POLY1305_SHA256'] as const;
    expect(await chosen(large, chacha, small)).toBe(small);
    expect(await chosen(chacha, large, small)).toBe(chacha);
  });

  it('a client that names only other protocols is refused, one that names ours or none is taken', async () => {
    const { port, outcomes } = await serve({ protocol: 'pop3' });
    await expect(shake(port, { ALPNProtocols: ['h2', 'http/1.1'] })).rejects.toThrow(/no application protocol/);
    expect(outcomes[0]).toMatchObject({ reason: 'no application protocol' });
    await shake(port, { ALPNProtocols: ['imap', 'pop3'] });
    await shake(port);
  });
});

describe('client certificates', () => {
  const factsOf = (outcome: Secured | Error | undefined) => {
    if (outcome === undefined || outcome instanceof Error || !outcome.ok)
      throw new Error(`no handshake: ${JSON.stringify(outcome)}`);
    return outcome.facts;
  };

  it('one of the CA counts, with its names and its fingerprint', async () => {
    const { port, outcomes } = await serve({ clientCertificates: 'request' });
    await shake(port, { cert: alice.certificate, key: alice.key });
    expect(factsOf(outcomes[0]).clientCertificate).toEqual({
      subjectAltNames: ['email:alice@example.org'],
      fingerprint256: new X509Certificate(alice.certificate).fingerprint256,
    });
  });

  it('none, or one that nobody stands for, is no certificate where one is only asked for', async () => {
    const { port, outcomes } = await serve({ clientCertificates: 'request' });
    const strange = await stranger.issue({ name: 'alice', email: ['alice@example.org'], use: 'client' });
    const expired = await ca.issue({ name: 'alice', email: ['alice@example.org'], use: 'client', days: -1 });
    const ofServer = await ca.issue({ name: 'alice', email: ['alice@example.org'], use: 'server' });
    await shake(port);
    for (const { certificate, key } of [strange, expired, ofServer]) await shake(port, { cert: certificate, key });
    expect(outcomes).toHaveLength(4);
    for (const outcome of outcomes) expect(factsOf(outcome).clientCertificate).toBeUndefined();
  });

  it('where one is required, nobody comes in without', async () => {
    const { port, outcomes } = await serve({ clientCertificates: 'require' });
    const strange = await stranger.issue({ name: 'alice', use: 'client' });
    await expect(shake(port)).rejects.toThrow('hung up');
    await expect(shake(port, { cert: strange.certificate, key: strange.key, maxVersion: 'TLSv1.2' })).rejects.toThrow();
    await shake(port, { cert: alice.certificate, key: alice.key });
    expect(outcomes).toMatchObject([
      { ok: false, cause: 'client certificate: none was shown' },
      { ok: false, cause: expect.stringMatching(/^client certificate: (SELF|UNABLE|DEPTH|CERT)/) as string },
      { ok: true },
    ]);
  });

  it('one that was revoked does not count, nor any while the list is out of date', async () => {
    const bob = await ca.issue({ name: 'bob', email: ['bob@example.org'], use: 'client' });
    const show = async ({ certificate, key }: Pair, clientCrl: string, session?: Buffer) => {
      const { port, outcomes } = await serve({ clientCertificates: 'request', clientCrl });
      const seen = await shake(port, { cert: certificate, key, ...(session === undefined ? {} : { session }) });
      return { names: factsOf(outcomes[0]).clientCertificate?.subjectAltNames, seen };
    };
    const [nobody, bobGone, old] = [await ca.revoke([]), await ca.revoke([bob.certificate]), await ca.revoke([], -1)];
    const before = await show(bob, nobody);
    expect(before.names).toEqual(['email:bob@example.org']);
    expect((await show(bob, bobGone)).names).toBeUndefined();
    expect((await show(alice, bobGone)).names).toEqual(['email:alice@example.org']);
    expect((await show(alice, old)).names).toBeUndefined();
    // A session from before does not help.
    const again = await show(bob, bobGone, before.seen.session);
    expect(again.seen.reused).toBe(false);
    expect(again.names).toBeUndefined();
  });

  it('is not asked for where it is off', async () => {
    const { port, outcomes } = await serve();
    await shake(port, { cert: alice.certificate, key: alice.key });
    expect(factsOf(outcomes[0]).clientCertificate).toBeUndefined();
  });

  it('goes with a session that is taken up again', async () => {
    const { port, outcomes } = await serve({ clientCertificates: 'require' });
    const client = { cert: alice.certificate, key: alice.key };
    const { session } = await shake(port, client);
    expect((await shake(port, { ...client, session })).reused).toBe(true);
    expect(factsOf(outcomes[1]).clientCertificate?.subjectAltNames).toEqual(['email:alice@example.org']);
  });

  it.each(['TLSv1.2', 'TLSv1.3'] as const)('that ended does not live on in a session from before (%s)', async (maxVersion) => {
    const { port, outcomes } = await serve({ clientCertificates: 'request' });
    const client = { cert: alice.certificate, key: alice.key, maxVersion };
    const { session } = await shake(port, client);
    expect(factsOf(outcomes[0]).clientCertificate).toBeDefined();
    // OpenSSL has a clock of its own.
    vi.useFakeTimers({ toFake: ['Date'], now: Date.now() + 91 * 86_400_000 });
    try {
      expect((await shake(port, { ...client, session })).reused).toBe(true);
    } finally {
      vi.useRealTimers();
    }
    expect(factsOf(outcomes[1]).clientCertificate).toBeUndefined();
  });

  it.each(['TLSv1.2', 'TLSv1.3'] as const)('is looked at each time where there is a revocation list (%s)', async (maxVersion) => {
    const { port } = await serve({ clientCertificates: 'request', clientCrl: await ca.revoke([]) });
    const client = { cert: alice.certificate, key: alice.key, maxVersion };
    const { session } = await shake(port, client);
    expect((await shake(port, { ...client, session })).reused).toBe(false);
  });
});

describe('session tickets', () => {
  const versions = ['TLSv1.2', 'TLSv1.3'] as const;
  it.each(versions)('of one thread are taken up by another (%s)', async (maxVersion) => {
    const [here, there] = [await serve(), await serve()];
    const { session } = await shake(here.port, { maxVersion });
    expect((await shake(there.port, { maxVersion, session })).reused).toBe(true);
  });

  it.each(versions)('of other keys, another listener or other certificates end in a full handshake (%s)', async (maxVersion) => {
    const { session } = await shake((await serve()).port, { maxVersion });
    for (const other of [{ ticketKeys: randomBytes(48) }, { listener: 'other' }, { identities: [one, wild] }]) {
      expect((await shake((await serve(other)).port, { maxVersion, session })).reused).toBe(false);
    }
  });

  it('got without a client certificate open no listener that requires one', async () => {
    const { session } = await shake((await serve({ clientCertificates: 'request' })).port);
    const { port } = await serve({ clientCertificates: 'require' });
    await expect(shake(port, { session })).rejects.toThrow('hung up');
  });
});

describe('channel bindings', () => {
  it.each([
    ['TLSv1.3', true],
    ['TLSv1.2', false],
  ] as const)('are the same at both ends, and only what can be relied on (%s)', async (maxVersion, exports) => {
    let bindings: (Uint8Array | undefined)[] = [];
    const tls = new ServerTls({
      listener: 'test',
      protocol: 'smtp',
      profile: 'intermediate',
      identities: [one],
      clientCertificates: 'off',
      clientCa: undefined,
      clientCrl: undefined,
      ticketKeys: TICKET_KEYS,
      sessionTimeoutSeconds: 3600,
    });
    const server = createServer((plain) => {
      const socket = tls.secure(plain);
      socket.on('error', () => undefined);
      socket.once('secure', () => {
        const secured = tls.secured(socket);
        if (secured.ok) bindings = [secured.facts.channelBinding?.exporter(), secured.facts.channelBinding?.serverEndPoint()];
        socket.end('hello');
      });
    }).listen(0, '127.0.0.1');
    servers.push(server);
    await once(server, 'listening');
    const { exporter } = await shake((server.address() as AddressInfo).port, { maxVersion });
    expect(bindings[0]).toEqual(exports ? exporter : undefined);
    expect(bindings[1]).toEqual(createHash('sha256').update(new X509Certificate(one.certificate).raw).digest());
  });

  // The answer was that of the certificate which the connection began with, though another was shown for the name.
  it.each([
    [undefined, 'one', false],
    ['one.example', 'one', false],
    ['mail.example.org', 'wild', true],
  ] as const)(
    'of a session taken up again have a certificate only where there is one (asked for %s)',
    async (servername, own, known) => {
      const { port, endPoints } = await serve();
      const options = servername === undefined ? {} : { servername };
      const { session } = await shake(port, options);
      expect((await shake(port, { ...options, session })).reused).toBe(true);
      const { certificate } = own === 'one' ? one : wild;
      const hash = createHash('sha256').update(new X509Certificate(certificate).raw).digest();
      expect(endPoints.map((one) => one && Buffer.from(one))).toEqual([hash, known ? hash : undefined]);
    },
  );

  it('of two kinds are those of the certificate that was shown', async () => {
    const { port, endPoints } = await serve();
    for (const sigalgs of ['RSA-PSS+SHA256', 'ECDSA+SHA256']) await shake(port, { sigalgs, servername: 'one.example' });
    const hashes = [oneRsa, one].map(({ certificate }) =>
      createHash('sha256').update(new X509Certificate(certificate).raw).digest(),
    );
    expect(endPoints.map((shown) => shown && Buffer.from(shown))).toEqual(hashes);
  });
});
