/**
 * Logins verified within the last minutes, so that argon2id is not paid at each: a keyed digest over user, stored hash
 * and password, under a key that never leaves the process. Used by the authenticator only. Bounded; a changed stored
 * hash changes the digest, so a new password or a reload makes the old entry useless at once.
 */
import { createHmac, timingSafeEqual } from 'node:crypto';
import { BoundedMap } from './bounded-map.ts';

interface VerifiedLogin {
  readonly digest: Buffer;
  readonly expiresAtMs: number;
}

export class VerifiedLogins {
  readonly #key: Uint8Array;
  readonly #lifeMs: number;
  readonly #logins: BoundedMap<VerifiedLogin>;

  /**
   * @param key random bytes, 32 or more, the same for the life of the process.
   * @param limit users remembered at the most.
   */
  constructor(key: Uint8Array, lifeMs: number, limit: number) {
    this.#key = key;
    this.#lifeMs = lifeMs;
    this.#logins = new BoundedMap(limit);
  }

  /** The digest that `has` and `add` take. The lengths keep one field from running into the next. */
  digest(user: string, storedHash: string, password: string): Buffer {
    return createHmac('sha256', this.#key).update(`${user.length}:${storedHash.length}:${user}${storedHash}${password}`).digest();
  }

  /** @param nowMs monotonic. */
  has(user: string, digest: Buffer, nowMs: number): boolean {
    const login = this.#logins.get(user);
    if (login === undefined) return false;
    if (login.expiresAtMs <= nowMs) {
      this.#logins.delete(user);
      return false;
    }
    return timingSafeEqual(login.digest, digest);
  }

  /** @param nowMs monotonic. */
  add(user: string, digest: Buffer, nowMs: number): void {
    this.#logins.set(user, { digest, expiresAtMs: nowMs + this.#lifeMs });
  }
}
