/**
 * Passwords as argon2id in the PHC string format: `$argon2id$v=19$m=19456,t=2,p=1$salt$hash`.
 * `posthorn user add` makes them, the authenticator checks them. Computed on libuv's pool, never on the event loop.
 * A string that is no argon2id hash, or asks for more work than the bounds below, is an error of whoever wrote it and
 * is told apart from a wrong password.
 */
import { argon2, randomBytes, timingSafeEqual } from 'node:crypto';
import { saslPrepared } from './sasl-prep.ts';

/** Work factors. The defaults are OWASP's: 19 MiB, two passes, one lane; about 30 ms of one core. */
export interface PasswordCost {
  readonly memoryKiB: number;
  readonly passes: number;
  readonly lanes: number;
}

export const DEFAULT_PASSWORD_COST: PasswordCost = { memoryKiB: 19_456, passes: 2, lanes: 1 };

/** A parsed PHC string. */
export interface PasswordHash extends PasswordCost {
  readonly salt: Uint8Array;
  readonly hash: Uint8Array;
}

/** The stored string is unusable; `message` says what is wrong with it and holds no part of the hash. */
export class PasswordHashError extends Error {
  override readonly name = 'PasswordHashError';
}

const SALT_BYTES = 16;
const HASH_BYTES = 32;
const PHC = /^\$argon2id\$v=19\$m=(\d{1,7}),t=(\d{1,3}),p=(\d{1,3})\$([A-Za-z0-9+/]{11,86})\$([A-Za-z0-9+/]{16,171})$/;
/** A line of users.yaml must not be able to take all memory: 1 GiB, 64 passes, 16 lanes at the most. */
const MOST: PasswordCost = { memoryKiB: 1_048_576, passes: 64, lanes: 16 };

/**
 * Hashes a new password with a fresh salt.
 * @param password as typed; hashed in UTF-8 as `saslPrepared` leaves it.
 * @returns the PHC string to store.
 */
export async function hashPassword(password: string, cost: PasswordCost = DEFAULT_PASSWORD_COST): Promise<string> {
  const salt = randomBytes(SALT_BYTES);
  return formatPasswordHash({ ...cost, salt, hash: await derive(saslPrepared(password), salt, HASH_BYTES, cost) });
}

/**
 * Compares in constant time: as `saslPrepared` leaves it, and as it was typed where that is something else, since other
 * programs hash that.
 * @param stored PHC string.
 * @throws PasswordHashError when `stored` cannot be used.
 */
export async function verifyPassword(password: string, stored: string): Promise<boolean> {
  const parsed = parsePasswordHash(stored);
  const matches = async (text: string) =>
    timingSafeEqual(await derive(text, parsed.salt, parsed.hash.length, parsed), parsed.hash);
  const prepared = saslPrepared(password);
  return (await matches(prepared)) || (prepared !== password && (await matches(password)));
}

/** Reads a PHC string. @throws PasswordHashError */
export function parsePasswordHash(stored: string): PasswordHash {
  const match = PHC.exec(stored);
  if (match === null) throw new PasswordHashError('expected "$argon2id$v=19$m=…,t=…,p=…$salt$hash"');
  const [, memory = '', passes = '', lanes = '', salt = '', hash = ''] = match;
  const cost = { memoryKiB: Number(memory), passes: Number(passes), lanes: Number(lanes) };
  if (cost.memoryKiB > MOST.memoryKiB || cost.passes > MOST.passes || cost.lanes > MOST.lanes) {
    throw new PasswordHashError(`asks for more work than m=${MOST.memoryKiB},t=${MOST.passes},p=${MOST.lanes}`);
  }
  if (cost.passes < 1 || cost.lanes < 1 || cost.memoryKiB < 8 * cost.lanes) {
    throw new PasswordHashError('t and p must be at least 1, and m at least 8 for each lane');
  }
  return { ...cost, salt: Buffer.from(salt, 'base64'), hash: Buffer.from(hash, 'base64') };
}

/** Writes a PHC string: standard alphabet, no padding. */
export function formatPasswordHash({ memoryKiB, passes, lanes, salt, hash }: PasswordHash): string {
  return `$argon2id$v=19$m=${memoryKiB},t=${passes},p=${lanes}$${base64(salt)}$${base64(hash)}`;
}

function base64(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('base64').replace(/=+$/, '');
}

function derive(password: string, salt: Uint8Array, hashBytes: number, cost: PasswordCost): Promise<Buffer> {
  const parameters = {
    message: password,
    nonce: salt,
    parallelism: cost.lanes,
    tagLength: hashBytes,
    memory: cost.memoryKiB,
    passes: cost.passes,
  };
  return new Promise((resolve, reject) => {
    argon2('argon2id', parameters, (error, hash) => (error === null ? resolve(hash) : reject(error)));
  });
}
