/**
 * A Posthorn and a mail server of others that send to each other on loopback: for each the domains of the other, plain
 * and by TLS, with a login, and one whose listener takes small messages only. Each story has a user of its own on both
 * sides, so that all run at once.
 */
import { existsSync, readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { freePorts, tempFolder } from '../../lib/process.ts';
import { makeCa } from '../../lib/certificates.ts';
import { startExim } from '../../lib/peers/exim.ts';
import type { Package } from '../../lib/peers/install.ts';
import { type MailServer, type MailServerOptions, mailIn } from '../../lib/peers/mail-server.ts';
import { startOpenSmtpd } from '../../lib/peers/opensmtpd.ts';
import { startPostfixExchange } from '../../lib/peers/postfix-exchange.ts';
import { ServerLog } from '../../lib/server-log.ts';
import { DOMAIN, type Posthorn, maildirOf, startPosthorn, waitForMail } from '../../lib/server.ts';
import { talkTo } from '../../lib/talk.ts';
import { testCertificate } from '../../lib/test-certificate.ts';

export const PEERS = {
  Postfix: { needs: ['postfix', 'libsasl2-modules', 'dovecot-pop3d'], start: startPostfixExchange },
  Exim: { needs: ['exim4-daemon-light'], start: startExim },
  OpenSMTPD: { needs: ['opensmtpd'], start: startOpenSmtpd },
} satisfies Record<string, { needs: Package[]; start: (options: MailServerOptions) => Promise<MailServer> }>;

export type PeerName = keyof typeof PEERS;
export const peerNames = Object.keys(PEERS) as PeerName[];

const PASSWORD = 'correct-horse-1';
/** What a peer takes; Posthorn takes more from those who send through it, and much less on one listener. */
export const PEER_MAX_BYTES = 22 * 1024 * 1024;
export const SMALL_MAX_BYTES = 100 * 1024;
export const SMALL_MAX_RECIPIENTS = 100;

/** Domains of Posthorn, by how a peer sends there. */
export const OURS = {
  tls: DOMAIN,
  plain: 'plain.example.test',
  login: 'login.example.test',
  /** Messages of up to 100 KiB, with a hundred recipients. */
  small: 'small.example.test',
} as const;
/** Domains of the peer, by how Posthorn sends there. */
export const THEIRS = {
  tls: 'peer.test',
  plain: 'plain.peer.test',
  login: 'login.peer.test',
  /** Back to us. */
  back: 'back.test',
  /** On to a server that refuses it, or to one that is not there: the peer has to tell. */
  refused: 'refused.test',
  waits: 'waits.peer.test',
} as const;
/** Users of Posthorn's that are elsewhere: it takes their mail and has to tell that it is refused there, or that nobody is. */
export const ALIASES = { refused: 'refused-elsewhere', waits: 'waits-elsewhere' } as const;

export interface Envelope {
  readonly from: string;
  readonly to: readonly string[];
  readonly mailParameters?: string;
  readonly rcptParameters?: string;
  readonly message: Buffer;
}

export interface Rig {
  readonly posthorn: Posthorn;
  readonly log: ServerLog;
  readonly peer: MailServer;
  readonly peerName: PeerName;
  /** Posthorn's listeners for a story that talks to them itself: bare line ends are refused by one, made CRLF by the other. */
  readonly listeners: { readonly refuses: number; readonly normalises: number };
  /** Posthorn's, PEM. */
  readonly certificate: string;
  /** Gives a message to the peer, which sends it on. @throws Error with the reply that refused it, or a recipient */
  viaPeer(envelope: Envelope): Promise<void>;
  viaPosthorn(envelope: Envelope): Promise<void>;
  /** Waits for the messages of a user here. */
  mailHere(user: string, count?: number): Promise<Buffer[]>;
  mailThere(user: string, count?: number): Promise<Buffer[]>;
  /** Waits until the messages of a user here fulfil something. */
  until(user: string, fulfilled: (messages: readonly string[]) => boolean): Promise<void>;
  /** Waits until something is so. @throws Error that says `otherwise` */
  eventually(isSo: () => boolean, otherwise: string): Promise<void>;
  stop(): Promise<void>;
}

/** @param users of both sides */
export async function startRig(peerName: PeerName, users: readonly string[]): Promise<Rig> {
  const log = new ServerLog();
  const [plainPort, smallPort, lenientPort, closedPort] = (await freePorts(4)) as [number, number, number, number];
  const login = { user: users[0]!, password: PASSWORD };
  /** Both addresses of each user, where they are not his already. */
  const aliases = Object.fromEntries(users.map((user) => [unicodeOf(user), `${user}@${DOMAIN}`]));
  const elsewhere = { aliases: { ...aliases, ...Object.fromEntries(users.map((user) => [user, `${user}@${DOMAIN}`])) } };
  const posthornOptions = {
    users: Object.fromEntries(users.map((user) => [user, PASSWORD])),
    onLog: log.read,
    moreListeners: [
      { name: 'plain', protocol: 'smtp', address: `127.0.0.1:${plainPort}`, tls: 'none', maxMessageBytes: '50MiB' },
      { name: 'lenient', protocol: 'smtp', address: `127.0.0.1:${lenientPort}`, tls: 'none', bareLineEnds: 'normalise' },
      {
        name: 'small',
        protocol: 'smtp',
        address: `127.0.0.1:${smallPort}`,
        maxMessageBytes: SMALL_MAX_BYTES,
        maxRecipients: SMALL_MAX_RECIPIENTS,
      },
    ],
  };
  const ca = await makeCa('CA of the peers');
  const { certificate, key } = await ca.issue({ name: 'localhost', dns: ['localhost'], kind: 'rsa' });
  const folder = tempFolder('exchange-ca');
  const caFile = join(folder.path, 'ca.pem');
  writeFileSync(caFile, ca.certificate);
  let posthorn: Posthorn | undefined;
  let peer: MailServer | undefined;
  try {
    const [smtp, submission] = (await freePorts(2)) as [number, number];
    peer = await PEERS[peerName].start({
      domains: [THEIRS.tls, THEIRS.plain, THEIRS.login],
      users: users.flatMap((user) => [user, unicodeOf(user)]),
      routes: {
        [OURS.tls]: { port: smtp, tls: 'verified' },
        [OURS.plain]: { port: plainPort, tls: 'none' },
        [OURS.login]: { port: submission, tls: 'verified', login },
        [OURS.small]: { port: smallPort, tls: 'verified' },
        [THEIRS.back]: { port: smallPort, tls: 'verified' },
        // Without a login.
        [THEIRS.refused]: { port: submission, tls: 'verified' },
        [THEIRS.waits]: { port: closedPort, tls: 'none' },
      },
      certificate: { cert: certificate, key },
      trusted: testCertificate.cert,
      maxMessageBytes: PEER_MAX_BYTES,
      login,
    });
    const { ports } = peer;
    posthorn = await startPosthorn({
      ...posthornOptions,
      ports: { smtp, submission },
      wrap: (command) => ['env', `NODE_EXTRA_CA_CERTS=${caFile}`, ...command],
      config: {
        domains: {
          [DOMAIN]: {
            aliases: { ...aliases, [ALIASES.refused]: `nobody@${THEIRS.tls}`, [ALIASES.waits]: 'x@waits.test' },
          },
          [OURS.plain]: elsewhere,
          [OURS.login]: elsewhere,
          [OURS.small]: elsewhere,
        },
        relay: {
          from: ['127.0.0.0/8'],
          routes: [
            { to: THEIRS.tls, via: `smtp://localhost:${ports.starttls}` },
            { to: THEIRS.plain, via: `smtp://127.0.0.1:${ports.plain}` },
            { to: THEIRS.login, via: `smtps://${login.user}:${login.password}@localhost:${ports.implicit}` },
            ...[THEIRS.back, THEIRS.refused, THEIRS.waits].map((to) => ({ to, via: `smtp://localhost:${ports.starttls}` })),
            { to: 'waits.test', via: `smtp://127.0.0.1:${closedPort}` },
          ],
        },
        queue: { retry: ['2s'], warnAfter: '3s' },
        throughput: { processes: 1 },
      },
    });
  } catch (error) {
    await peer?.stop();
    folder.remove();
    throw error;
  }
  const [server, other] = [posthorn, peer];
  async function eventually(isSo: () => boolean, otherwise: () => string): Promise<void> {
    const deadlineMs = performance.now() + 30_000;
    while (!isSo()) {
      if (performance.now() > deadlineMs) throw new Error(otherwise());
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }
  return {
    posthorn: server,
    log,
    peer: other,
    peerName,
    listeners: { refuses: plainPort, normalises: lenientPort },
    certificate: testCertificate.cert,
    viaPeer: (envelope) => inject(other.ports.plain, envelope),
    viaPosthorn: (envelope) => inject(plainPort, envelope),
    async mailHere(user, count = 1) {
      const folder = join(maildirOf(server, user), 'new');
      const found = await waitForMail(server, user, count);
      if (found !== count) {
        const ends = `${JSON.stringify(log.lines.slice(-8), null, 1)}\n${other.log().slice(-3000)}`;
        throw new Error(`${count} messages for ${user} awaited, ${found} there: ${ends}`);
      }
      return readdirSync(folder).map((name) => readFileSync(join(folder, name)));
    },
    mailThere: (user, count) => mailIn(other, user, count),
    async until(user, fulfilled) {
      const folder = join(maildirOf(server, user), 'new');
      const read = () =>
        existsSync(folder) ? readdirSync(folder).map((name) => readFileSync(join(folder, name), 'latin1')) : [];
      await eventually(
        () => fulfilled(read()),
        () => `still not there for ${user}:\n${read().join('\n').slice(0, 2000)}`,
      );
    },
    eventually: (isSo, otherwise) => eventually(isSo, () => otherwise),
    async stop() {
      await server.stop();
      server.remove();
      await other.stop();
      folder.remove();
    },
  };
}

/** The second address of each user. */
export const unicodeOf = (user: string) => `grün-${user}`;

async function inject(port: number, { from, to, mailParameters = '', rcptParameters = '', message }: Envelope): Promise<void> {
  const talk = await talkTo(port);
  const expect = async (line: string, begins: string) => {
    const reply = await talk.say(line);
    if (!reply.startsWith(begins)) throw new Error(`${line}: ${reply}`);
  };
  try {
    await expect('EHLO sender.test', '250');
    await expect(`MAIL FROM:<${from}> ${mailParameters}`.trimEnd(), '250');
    for (const one of to) await expect(`RCPT TO:<${one}> ${rcptParameters}`.trimEnd(), '250');
    await expect('DATA', '354');
    talk.send(Buffer.from(message.toString('latin1').replaceAll(/^\./gm, '..'), 'latin1'));
    await expect('.', '250');
    await expect('QUIT', '221');
  } finally {
    talk.leave();
  }
}
