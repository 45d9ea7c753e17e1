/** What several SASL mechanisms need for their texts and results. Pure. */
import type { LoginResult } from './authenticator.ts';
import type { SaslStep } from './sasl.ts';

const UTF8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/** @returns undefined for what is not UTF-8. */
export function textOf(bytes: Uint8Array): string | undefined {
  try {
    return UTF8.decode(bytes);
  } catch {
    // The mechanisms all ask for UTF-8 (RFC 4616 §2, 5802 §7, 7628 §3.1): a malformed response like any other.
    return undefined;
  }
}

export function malformed(cause: string, name = ''): SaslStep {
  return { is: 'failure', why: 'malformed', name, cause };
}

export function stepOf(result: LoginResult, name: string): SaslStep {
  return result.ok ? { is: 'success', user: result.user } : { is: 'failure', why: result.why, name };
}

/** For mechanisms in which the client speaks first: asks for what did not come with the command by an empty challenge. */
export function clientFirst(
  initial: Buffer | undefined,
  next: (response: Buffer) => SaslStep | Promise<SaslStep>,
): SaslStep | Promise<SaslStep> {
  return initial === undefined ? { is: 'challenge', challenge: '', next } : next(initial);
}
