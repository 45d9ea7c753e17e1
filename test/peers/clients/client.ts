/**
 * Mail programs that this project did not write, each called the way its manual says, with certificate checks on: what
 * one that submits a message and one that fetches one are (senders.ts, fetchers.ts), and what both kinds of some share.
 */
import { fileURLToPath } from 'node:url';
import type { Package } from '../../lib/peers/install.ts';

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

export const scriptPath = (name: string) => fileURLToPath(new URL(`../python/${name}.py`, import.meta.url));
export const perlPath = (name: string) => fileURLToPath(new URL(`../perl/${name}.pl`, import.meta.url));

export const isToken = (mechanism: Mechanism) => mechanism === 'OAUTHBEARER' || mechanism === 'XOAUTH2';

export const curlLogin = ({ user, password, mechanism, certificateFile }: Account) => [
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
export const curlUrl = (scheme: 'smtp' | 'pop3', { security, host, port }: Account) =>
  security === 'implicit' ? [`${scheme}s://${host}:${port}`] : ['--ssl-reqd', `${scheme}://${host}:${port}`];

export const perlPackages = ['perl', 'libio-socket-ssl-perl', 'libauthen-sasl-perl', 'libdigest-hmac-perl'] as const;
