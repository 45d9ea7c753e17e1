/**
 * What is stored of a password for SCRAM-SHA-256 (RFC 5802 §3, RFC 7677), in PostgreSQL's form:
 * `SCRAM-SHA-256$iterations:salt$StoredKey:ServerKey`. `posthorn user` makes it, the authenticator reads it. Who steals
 * it can try passwords, and can play this server, but cannot log in with it.
 */
import { createHash, createHmac, pbkdf2, randomBytes } from 'node:crypto';
import { promisify } from 'node:util';
import { saslPrepared } from './sasl-prep.ts';

export interface ScramKeys {
  readonly iterations: number;
  readonly salt: Uint8Array;
  /** H(ClientKey). */
  readonly storedKey: Uint8Array;
  readonly serverKey: Uint8Array;
}

/** RFC 7677 §4 asks for at least 4096; Cyrus' clients refuse more than 65,536. */
export const SCRAM_ITERATIONS = 60_000;
export const SCRAM_KEY_BYTES = 32;
export const SCRAM_SALT_BYTES = 16;
export const SCRAM_FORM = /^SCRAM-SHA-256\$(\d{4,7}):([A-Za-z0-9+/]{11,88}={0,2})\$([A-Za-z0-9+/]{43}=):([A-Za-z0-9+/]{43}=)$/;

const derive = promisify(pbkdf2);

/** Computes the keys of a password on libuv's pool. @param password as typed; prepared by `saslPrepared`. */
export async function makeScramKeys(
  password: string,
  salt: Uint8Array = randomBytes(SCRAM_SALT_BYTES),
  iterations: number = SCRAM_ITERATIONS,
): Promise<ScramKeys> {
  const salted = await derive(saslPrepared(password), salt, iterations, SCRAM_KEY_BYTES, 'sha256');
  const storedKey = createHash('sha256').update(hmac(salted, 'Client Key')).digest();
  return { iterations, salt, storedKey, serverKey: hmac(salted, 'Server Key') };
}

export function formatScramKeys({ iterations, salt, storedKey, serverKey }: ScramKeys): string {
  const base64 = (bytes: Uint8Array) => Buffer.from(bytes).toString('base64');
  return `SCRAM-SHA-256$${iterations}:${base64(salt)}$${base64(storedKey)}:${base64(serverKey)}`;
}

/** @returns undefined when it is not of this form. */
export function parseScramKeys(stored: string): ScramKeys | undefined {
  const [, iterations = '', salt = '', storedKey = '', serverKey = ''] = SCRAM_FORM.exec(stored) ?? [];
  if (iterations === '') return undefined;
  const bytes = (text: string) => Buffer.from(text, 'base64');
  return { iterations: Number(iterations), salt: bytes(salt), storedKey: bytes(storedKey), serverKey: bytes(serverKey) };
}

export function hmac(key: Uint8Array, message: string | Uint8Array): Buffer {
  return createHmac('sha256', key).update(message).digest();
}
