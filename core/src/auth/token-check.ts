/**
 * Whom a bearer token is for: checked here against the issuer's published keys (JWT, RFC 7519, with `jose`), or asked of
 * the issuer (RFC 7662). Used by the authenticator. A token that is no good is nobody's; an issuer that cannot be asked,
 * or does not answer as it should, makes the check reject, so that the client is told to come back.
 */
import { errors, jwtVerify } from 'jose';
import type { OauthConfig } from '@posthorn/config';
import type { Clock } from '../mail/clock.ts';
import { answerText } from './answer-text.ts';
import { createIssuerKeys } from './issuer-keys.ts';
import type { BearerCheck } from './password-authenticator.ts';
import { Turnstile } from './turnstile.ts';

export interface TokenCheckParts {
  readonly oauth: OauthConfig;
  /** What the file `clientSecretFile` holds. */
  readonly clientSecret: string | undefined;
  readonly fetch: typeof fetch;
  readonly clock: Pick<Clock, 'now'>;
}

/** Signatures by a key that the issuer alone has. */
const ALGORITHMS = ['RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512', 'ES256', 'ES384', 'ES512', 'EdDSA', 'Ed25519'];
const CLOCK_TOLERANCE_S = 30;
const MAX_ANSWER_BYTES = 64 * 1024;
/** Questions about tokens at once and waiting. */
const MAX_ASKING = 10;
const MAX_WAITING = 500;

type Claims = Readonly<Record<string, unknown>>;

/** @returns the check; throws when neither `jwks` nor `introspection` is set. */
export function createTokenCheck(parts: TokenCheckParts): BearerCheck {
  const { oauth } = parts;
  const claimsOf = oauth.jwks === undefined ? introspection(parts) : signedTokens(parts, new URL(oauth.jwks));
  return async (token) => {
    const claims = await claimsOf(token);
    return claims === 'refused' ? undefined : nameIn(claims, oauth);
  };
}

function signedTokens({ oauth, fetch, clock }: TokenCheckParts, jwks: URL): (token: string) => Promise<Claims | 'refused'> {
  const keys = createIssuerKeys(jwks, oauth.timeoutMs, fetch);
  const expected = {
    algorithms: ALGORITHMS,
    clockTolerance: CLOCK_TOLERANCE_S,
    requiredClaims: ['exp'],
    ...(oauth.issuer === undefined ? {} : { issuer: oauth.issuer }),
    ...(oauth.audience === undefined ? {} : { audience: oauth.audience }),
  };
  return async (token) => {
    try {
      return (await jwtVerify(token, keys, { ...expected, currentDate: new Date(clock.now()) })).payload;
    } catch (error) {
      if (isTokensFault(error)) return 'refused';
      throw error;
    }
  };
}

/** What jose finds wrong with the token, and not with the keys or the way to them. */
function isTokensFault(error: unknown): boolean {
  return [
    errors.JWSInvalid,
    errors.JWTInvalid,
    errors.JWTClaimValidationFailed,
    errors.JWTExpired,
    errors.JWSSignatureVerificationFailed,
    errors.JOSEAlgNotAllowed,
    errors.JOSENotSupported,
    errors.JWKSNoMatchingKey,
    errors.JWKSMultipleMatchingKeys,
  ].some((fault) => error instanceof fault);
}

function introspection({ oauth, clientSecret, fetch, clock }: TokenCheckParts): (token: string) => Promise<Claims | 'refused'> {
  const { introspection: url, clientId, issuer, audience, timeoutMs } = oauth;
  if (url === undefined) throw new TypeError('auth.oauth has neither jwks nor introspection');
  const credentials = `${encodeURIComponent(clientId ?? '')}:${encodeURIComponent(clientSecret ?? '')}`;
  const headers = {
    accept: 'application/json',
    'content-type': 'application/x-www-form-urlencoded',
    ...(clientId === undefined ? {} : { authorization: `Basic ${Buffer.from(credentials).toString('base64')}` }),
  };
  const ask = async (token: string): Promise<Claims> => {
    const body = new URLSearchParams({ token, token_type_hint: 'access_token' }).toString();
    const signal = AbortSignal.timeout(timeoutMs);
    const response = await fetch(url, { method: 'POST', headers, body, signal, redirect: 'error' });
    return await claimsIn(response);
  };
  const turnstile = new Turnstile(MAX_ASKING, MAX_WAITING);
  return async (token) => {
    const claims = await turnstile.run(() => ask(token));
    if (claims === undefined) throw new Error('too many tokens wait to be checked');
    if (claims['active'] !== true || !isInItsTime(claims, clock.now() / 1000)) return 'refused';
    if (issuer !== undefined && claims['iss'] !== issuer) return 'refused';
    const audiences = [claims['aud']].flat();
    return audience !== undefined && !audiences.includes(audience) ? 'refused' : claims;
  };
}

/** RFC 7662 §2.2: an issuer that calls a token active and past its end contradicts itself; it need not say either time. */
function isInItsTime({ exp, nbf }: Claims, nowSeconds: number): boolean {
  const hasBegun = nbf === undefined || nbf === null || Number(nbf) <= nowSeconds + CLOCK_TOLERANCE_S;
  return hasBegun && (exp === undefined || exp === null || Number(exp) > nowSeconds - CLOCK_TOLERANCE_S);
}

async function claimsIn(response: Response): Promise<Claims> {
  if (response.status !== 200) {
    await response.body?.cancel();
    throw new Error(`the introspection endpoint said ${response.status}`);
  }
  const answer: unknown = JSON.parse(await answerText(response, MAX_ANSWER_BYTES));
  if (typeof answer !== 'object' || answer === null) throw new Error('the introspection endpoint did not say an object');
  return answer as Claims;
}

/** The first claim that is there says it alone: where people choose their user name, it must not help beside an address. */
function nameIn(claims: Claims, { claims: wanted, scope }: OauthConfig): string | undefined {
  if (scope !== undefined && !scopesOf(claims['scope']).includes(scope)) return undefined;
  for (const claim of wanted) {
    const value = claims[claim];
    if (value === undefined || value === null || value === '') continue;
    if (typeof value !== 'string') return undefined;
    // Whoever may write any address into his account must not become its owner here. Some issuers write booleans as text.
    return claim === 'email' && !isVerified(claims['email_verified']) ? undefined : value;
  }
  return undefined;
}

/** An issuer that does not say answers for the addresses it gives. */
function isVerified(said: unknown): boolean {
  return said === undefined || said === true || said === 'true';
}

function scopesOf(scope: unknown): string[] {
  return typeof scope === 'string' ? scope.split(' ') : Array.isArray(scope) ? scope.map(String) : [];
}
