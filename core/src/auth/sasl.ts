/**
 * SASL (RFC 4422) for SMTP AUTH and POP3 AUTH alike: which mechanisms can be used in a session as it stands, and an
 * exchange of each as steps. Response in, challenge or result out; the protocols do base64, lines and replies. Pure but
 * for the authenticator. A client that is told less than it sent for gets a failure, never an exception; what the
 * authenticator rejects with is the caller's to answer as temporary.
 */
import type { TlsFacts } from '../wire/session.ts';
import type { Authenticator } from './authenticator.ts';
import { oauthBearer, xoauth2 } from './mechanisms/bearer.ts';
import { cramMd5 } from './mechanisms/cram-md5.ts';
import { external } from './mechanisms/external.ts';
import { login } from './mechanisms/login.ts';
import { plain } from './mechanisms/plain.ts';
import { scramSha256, scramSha256Plus } from './mechanisms/scram.ts';

/** The session that somebody logs in to. */
export interface SaslContext {
  readonly authenticator: Authenticator;
  readonly clientAddress: string;
  readonly hostname: string;
  readonly tls: TlsFacts | undefined;
  /** May a login be tried as things are: under TLS, or where the listener allows it in clear? */
  readonly takesPassword: boolean;
}

export type SaslStep =
  | { readonly is: 'challenge'; readonly challenge: string; readonly next: (response: Buffer) => SaslStep | Promise<SaslStep> }
  | { readonly is: 'success'; readonly user: string }
  | {
      readonly is: 'failure';
      /** `malformed`: the client's words cannot be read. The others as in LoginResult. */
      readonly why: 'malformed' | 'credentials' | 'throttled';
      /** As the client gave it, for the log. */
      readonly name: string;
      /** Private: more than the peer is told. */
      readonly cause?: string;
    };

export interface SaslMechanism {
  readonly name: string;
  /** Can it be used in this session, and by anybody? */
  usable(context: SaslContext): boolean;
  /** @param initial the response that came with the command; undefined when there was none. */
  start(context: SaslContext, initial: Buffer | undefined): SaslStep | Promise<SaslStep>;
}

/** The strongest first; clients choose for themselves. */
const MECHANISMS: readonly SaslMechanism[] = [
  scramSha256Plus,
  scramSha256,
  external,
  oauthBearer,
  xoauth2,
  cramMd5,
  plain,
  login,
];

/** One base64 line of an exchange, with its CRLF (RFC 4954 §4.1, RFC 5034 §4). */
export const MAX_SASL_LINE_BYTES = 12_288;

/** Mechanisms to announce; empty when nobody can log in now. */
export function usableMechanisms(context: SaslContext): string[] {
  return MECHANISMS.filter((mechanism) => isAllowed(mechanism, context) && mechanism.usable(context)).map(({ name }) => name);
}

/** @param name in any case. @returns undefined for one that is not known, or by which nobody could ever log in here. */
export function findMechanism(name: string, context: SaslContext): SaslMechanism | undefined {
  const wanted = name.toUpperCase();
  const mechanism = MECHANISMS.find(({ name: known }) => known === wanted);
  if (mechanism === undefined || !isAllowed(mechanism, context)) return undefined;
  return mechanism.usable({ ...context, takesPassword: true }) ? mechanism : undefined;
}

function isAllowed({ name }: SaslMechanism, { authenticator }: SaslContext): boolean {
  return authenticator.forms.allowed?.includes(name) ?? true;
}

/** A response in base64, strictly read (RFC 4648 §3.3). @returns undefined when it is none. */
export function decodeResponse(line: string): Buffer | undefined {
  if (!/^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/.test(line)) return undefined;
  return Buffer.from(line, 'base64');
}

/** The same for one that came with the command, where `=` stands for an empty one (RFC 4954 §4, RFC 5034 §4). */
export function decodeInitialResponse(word: string): Buffer | undefined {
  return word === '=' ? Buffer.alloc(0) : word === '' ? undefined : decodeResponse(word);
}
