/**
 * The keys of an issuer (RFC 7517), fetched and kept by `jose`. Used by token-check.ts. A token whose key is here waits for
 * nobody: tokens that name other keys have the issuer asked, and anybody can make as many of those up as he likes.
 */
import { createLocalJWKSet, createRemoteJWKSet, customFetch, errors, jwksCache } from 'jose';
import type { JWKSCacheInput, JWTVerifyGetKey } from 'jose';
import { answerText } from './answer-text.ts';
import { Turnstile } from './turnstile.ts';

const MAX_KEYS_BYTES = 1024 * 1024;
/** They all wait for one question: `jose` asks the next one when that is answered. */
const MAX_WAITING = 500;

/**
 * @returns finds the key of a token. Rejects with an error of `jose` when the token is at fault, and with another one when
 * the issuer cannot be asked, or too many wait for it.
 */
export function createIssuerKeys(url: URL, timeoutMs: number, fetchKeys: typeof fetch): JWTVerifyGetKey {
  const kept: JWKSCacheInput = {};
  const remote = createRemoteJWKSet(url, {
    timeoutDuration: timeoutMs,
    [customFetch]: bounded(fetchKeys),
    [jwksCache]: kept,
  });
  const waiting = new Turnstile(MAX_WAITING, 0);
  let local: { readonly of: unknown; readonly find: JWTVerifyGetKey } | undefined;

  return async (header, token) => {
    // What is old has to be asked for again: the issuer may have taken a key back.
    if (remote.fresh && 'jwks' in kept) {
      if (local?.of !== kept.jwks) local = { of: kept.jwks, find: createLocalJWKSet(kept.jwks) };
      try {
        return await local.find(header, token);
      } catch (error) {
        if (!(error instanceof errors.JWKSNoMatchingKey)) throw error;
      }
    }
    const asked = waiting.run(() => remote(header, token));
    if (asked === undefined) throw new Error('too many tokens wait for the keys of the issuer');
    return await asked;
  };
}

/** jose would read whatever comes. */
function bounded(fetchKeys: typeof fetch): (url: string, options: RequestInit) => Promise<Response> {
  return async (url, options) => {
    const response = await fetchKeys(url, options);
    if (response.status === 200) return new Response(await answerText(response, MAX_KEYS_BYTES));
    await response.body?.cancel();
    throw new Error(`the keys of the issuer cannot be had: ${response.status}`);
  };
}
