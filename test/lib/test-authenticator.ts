/**
 * The Authenticator of a session that lives in a test: a few users with everything one can log in with, a nonce that is
 * always the same, and no time that passes. Used by smtp-ports.ts and pop3-ports.ts.
 */
import type { Authenticator, LoginForms, LoginResult } from '@posthorn/core/auth/authenticator';
import { parseScramKeys } from '@posthorn/core/auth/scram-keys';

/** User and password of RFC 7677 §3: user, pencil; and so is what the server says there. */
const PENCIL = parseScramKeys(
  'SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU=',
)!;

/** Of the certificate that tests show. */
export const FINGERPRINT = Array.from({ length: 32 }, () => 'AB').join(':');

const WRONG: LoginResult = { ok: false, why: 'credentials' };
const NO_FORMS: LoginForms = { password: true, secret: false, scram: false, bearer: false };

export interface TestUsers {
  /** Names with this password; `user` has the secret and the SCRAM keys of `pencil`. */
  readonly names: readonly string[];
  readonly password: string;
  readonly throttled: string;
  readonly forms?: Partial<LoginForms>;
}

/** `broken` makes it throw, `throttled` is refused for now, the token `good` is for `user`. */
export function createTestAuthenticator({ names, password, throttled, forms }: TestUsers): Authenticator {
  const known = (name: string): LoginResult | undefined => {
    if (name === 'broken') throw new Error('as the test wants it');
    return name === throttled ? { ok: false, why: 'throttled' } : undefined;
  };
  const login = (user: string, right: boolean): LoginResult => known(user) ?? (right ? { ok: true, user } : WRONG);
  return {
    forms: { ...NO_FORMS, ...forms },
    nonce: () => '%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0',
    check: async (name, given, _client, actAs = name) =>
      login(name, names.includes(name) && given === password && actAs.toLowerCase() === name),
    checkSecret: async (name, _client, matches) => login(name, matches('pencil') && name === 'user'),
    scram: (name, _client, actAs = name) => {
      const refused = known(name);
      if (refused !== undefined && !refused.ok) return refused;
      const isUser = name === 'user' && actAs.toLowerCase() === name;
      return { ok: true, keys: PENCIL, conclude: async (proven) => login(name, proven && isUser) };
    },
    checkCertificate: async ({ subjectAltNames, fingerprint256 }, actAs) => {
      const user = subjectAltNames.includes('email:user@example.org') && fingerprint256 === FINGERPRINT ? 'user' : '';
      return login(actAs ?? user, user !== '' && (actAs ?? user) === user);
    },
    checkBearer: async (token, actAs) => login(actAs ?? 'user', token === 'good' && (actAs ?? 'user') === 'user'),
  };
}
