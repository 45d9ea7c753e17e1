/** What a session thread makes of the keys under `auth`: limits of failures, and the check of tokens. Used at start and reload. */
import { readFileSync } from 'node:fs';
import type { Config } from '@posthorn/config';
import type { BearerCheck } from '@posthorn/core/auth/password-authenticator';
import { systemClock } from '@posthorn/core/mail/system-clock';
import { DEFAULT_THROTTLE_LIMITS, type ThrottleLimits } from '@posthorn/core/auth/throttle';
import { createTokenCheck } from '@posthorn/core/auth/token-check';
import { shareOf } from '../threads.ts';

/** A process counts for itself, so each allows its share; never so few that a slip of the fingers locks out. */
const LEAST_FAILURES = 3;

/** @param processes how many there are. */
export function throttleLimits({ auth }: Config, processes: number): ThrottleLimits & { readonly failureDelayMs: number } {
  const share = (limit: number) => Math.max(LEAST_FAILURES, shareOf(limit, processes));
  return {
    ...DEFAULT_THROTTLE_LIMITS,
    failureDelayMs: auth.failureDelay,
    windowMs: auth.lockOut.window,
    lockOutMs: auth.lockOut.for,
    maxFailuresPerClient: share(auth.lockOut.afterFromClient),
    maxFailuresPerUser: share(auth.lockOut.afterForUser),
  };
}

/** @returns undefined where nobody gives tokens out. Throws an Error for the operator when the file of the secret cannot be read. */
export function bearerCheckOf({ auth: { oauth } }: Config): BearerCheck | undefined {
  if (oauth === null) return undefined;
  const file = oauth.clientSecretFile;
  const clientSecret = file === undefined ? undefined : secretIn(file);
  return createTokenCheck({ oauth, clientSecret, fetch, clock: systemClock });
}

function secretIn(file: string): string {
  try {
    return readFileSync(file, 'utf8').trimEnd();
  } catch (error) {
    const problem = error instanceof Error ? error.message : String(error);
    throw new Error(`auth.oauth.clientSecretFile: ${file} cannot be read: ${problem}`, { cause: error });
  }
}
