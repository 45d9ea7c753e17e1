/**
 * Says who somebody is, by whatever a client can show: a password, a proof that it knows one, a certificate, a token.
 * Asked by SMTP AUTH, by POP3 and by the SASL mechanisms between them. Behind it: the users, argon2id, a memory of recent
 * logins and a throttle on failures. Whatever is wrong, the answer is the same and takes the same time.
 */
import type { ClientCertificate } from '../wire/session.ts';
import type { ScramKeys } from './scram-keys.ts';

export type LoginRefusal =
  /** Wrong name, password, proof, certificate or token: the same answer, and the same time, for all. */
  | { readonly ok: false; readonly why: 'credentials' }
  /** Too many failures from this client or for this user, or too many checks under way: temporary. */
  | { readonly ok: false; readonly why: 'throttled' };

export type LoginResult = { readonly ok: true; readonly user: string } | LoginRefusal;

/** What at least one user can log in with, as things are configured now; nothing else is announced. */
export interface LoginForms {
  readonly password: boolean;
  /** Stored in clear, for CRAM-MD5 and APOP. */
  readonly secret: boolean;
  readonly scram: boolean;
  /** Tokens of an identity provider. */
  readonly bearer: boolean;
  /** The SASL mechanisms that the operator allows; undefined: all. */
  readonly allowed?: readonly string[];
}

/** What SCRAM works with; invented, but the same each time, for who does not exist. */
export interface ScramLogin {
  readonly ok: true;
  readonly keys: ScramKeys;
  /** To be called once at the most, when the client has shown its proof. @param proven the client's proof was right for `keys`. */
  conclude(proven: boolean): Promise<LoginResult>;
}

export interface Authenticator {
  readonly forms: LoginForms;
  /** @param actAs whom the client wants to be: any name or address of the same user; undefined: whoever `name` is. */
  check(name: string, password: string, clientAddress: string, actAs?: string): Promise<LoginResult>;
  /**
   * For CRAM-MD5 and APOP.
   * @param matches called once, with the user's secret or with one that nobody has; compares in constant time.
   */
  checkSecret(name: string, clientAddress: string, matches: (secret: string) => boolean): Promise<LoginResult>;
  /** @param actAs as for `check`; one that is not the user's own fails at the end, as a wrong proof does. */
  scram(name: string, clientAddress: string, actAs?: string): ScramLogin | LoginRefusal;
  /** @param actAs user that the client wants to be; undefined: whoever the certificate is of. */
  checkCertificate(certificate: ClientCertificate, actAs: string | undefined, clientAddress: string): Promise<LoginResult>;
  /** @param actAs as for `checkCertificate`. Rejects when the identity provider cannot be asked. */
  checkBearer(token: string, actAs: string | undefined, clientAddress: string): Promise<LoginResult>;
  /** For one challenge: printable ASCII without a comma, at least 120 random bits. */
  nonce(): string;
}
