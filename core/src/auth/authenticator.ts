/**
 * Checks a name and a password; used by SMTP AUTH and by POP3. Behind it: argon2id, a memory of recent logins,
 * and a throttle on failures.
 */
export type LoginResult =
  | { readonly ok: true; readonly user: string }
  /** Wrong name or password: the same answer, and the same time, for both. */
  | { readonly ok: false; readonly why: 'credentials' }
  /** Too many failures from this client or for this user, or too many checks under way: temporary. */
  | { readonly ok: false; readonly why: 'throttled' };

export interface Authenticator {
  check(name: string, password: string, clientAddress: string): Promise<LoginResult>;
}
