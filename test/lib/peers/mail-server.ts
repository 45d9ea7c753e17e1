/** What the mail servers have in common that mail is exchanged with: each is started the same way and looked into the same way. */
import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { waitForFiles } from '../server.ts';

/** Where a peer sends the mail of a domain: to a port of this machine. */
export interface Route {
  readonly port: number;
  /** `none`: plain, whatever is offered; `verified`: TLS with a certificate for `localhost`, or no delivery. */
  readonly tls: 'none' | 'verified';
  readonly login?: { readonly user: string; readonly password: string };
}

export interface MailServerOptions {
  /** Its own domains; the first is its name. */
  readonly domains: readonly [string, ...string[]];
  /** Local parts that it has a mailbox for; all others are refused at RCPT. */
  readonly users: readonly string[];
  /** Domain -> next hop. */
  readonly routes: Readonly<Record<string, Route>>;
  /** PEM: its own, for `localhost`, and the one it believes. OpenSMTPD's needs an RSA key. */
  readonly certificate: { readonly cert: string; readonly key: string };
  readonly trusted: string;
  readonly maxMessageBytes: number;
  /** May log in where the server has AUTH. */
  readonly login: { readonly user: string; readonly password: string };
}

export interface MailServer {
  /** With its version. */
  readonly name: string;
  readonly ports: {
    /** Offers no STARTTLS. */
    readonly plain: number;
    readonly starttls: number;
    /** TLS from the first byte, and AUTH. */
    readonly implicit: number;
  };
  /** Folder that holds a file for each message that came for this user. */
  boxOf(user: string): string;
  /** What it logged so far. */
  log(): string;
  stop(): Promise<void>;
}

/** Waits for the messages of a user. @returns each with CRLF line ends. @throws Error with the end of the peer's log */
export async function mailIn(peer: MailServer, user: string, count = 1): Promise<Buffer[]> {
  const folder = peer.boxOf(user);
  const found = await waitForFiles(folder, count);
  if (found !== count)
    throw new Error(`${count} messages awaited, ${found} there; ${peer.name}'s log:\n${peer.log().slice(-6000)}`);
  return readdirSync(folder).map((name) =>
    Buffer.from(readFileSync(join(folder, name), 'latin1').replaceAll(/\r?\n/g, '\r\n'), 'latin1'),
  );
}
