/**
 * Logins without a password on the wire: secrets for CRAM-MD5 and APOP, keys for SCRAM, certificates. The part of the
 * authenticator (password-authenticator.ts) that computes nothing slow. Who does not exist gets a secret that nothing
 * matches, and keys with a salt that is the same each time, in every thread and after a restart (RFC 5802 §9), and for all
 * names that differ in their domain alone, as a user's is (known-salts.ts).
 */
import { randomBytes } from 'node:crypto';
import type { User } from '../directory/directory.ts';
import type { ClientCertificate } from '../wire/session.ts';
import type { LoginRefusal, LoginResult, ScramLogin } from './authenticator.ts';
import { THROTTLED, type LoginGate } from './login-gate.ts';
import { type KnownSalts, localOf } from './known-salts.ts';
import { hmac, parseScramKeys, type ScramKeys } from './scram-keys.ts';

export class Proofs {
  readonly #gate: LoginGate;
  readonly #findUser: (name: string) => User | undefined;
  readonly #findHolder: (fingerprint256: string) => User | undefined;
  readonly #knownSalts: () => KnownSalts;
  readonly #stableKey: Uint8Array;
  readonly #nobodysSecret = randomBytes(24).toString('base64');

  /**
   * @param findHolder the one user for whom a certificate with this fingerprint is noted.
   * @param knownSalts of today's users.
   * @param stableKey 32 secret bytes, the same for every thread and every start.
   */
  constructor(
    gate: LoginGate,
    findUser: (name: string) => User | undefined,
    findHolder: (fingerprint256: string) => User | undefined,
    knownSalts: () => KnownSalts,
    stableKey: Uint8Array,
  ) {
    this.#gate = gate;
    this.#findUser = findUser;
    this.#findHolder = findHolder;
    this.#knownSalts = knownSalts;
    this.#stableKey = stableKey;
  }

  secret(name: string, clientAddress: string, matches: (secret: string) => boolean): Promise<LoginResult> {
    if (!this.#gate.allows(name, clientAddress)) return Promise.resolve(THROTTLED);
    const user = this.#findUser(name);
    const matched = matches(user?.secret ?? this.#nobodysSecret);
    return this.#gate.conclude(matched && user?.secret !== undefined ? user.name : undefined, name, clientAddress);
  }

  scram(name: string, clientAddress: string, actAs?: string): ScramLogin | LoginRefusal {
    if (!this.#gate.allows(name, clientAddress)) return THROTTLED;
    const user = this.#findUser(name);
    const known = user?.scram === undefined ? undefined : parseScramKeys(user.scram);
    return {
      ok: true,
      keys: known ?? this.#nobodysKeys(name),
      conclude: (proven) => {
        // Whoever begins may take his time: the user may be gone by now, or have other keys.
        const now = this.#findUser(name);
        const stands = known !== undefined && now?.name === user?.name && now?.scram === user?.scram;
        const isSelf = actAs === undefined || this.#findUser(actAs)?.name === user?.name;
        return this.#gate.conclude(proven && stands && isSelf ? user?.name : undefined, name, clientAddress);
      },
    };
  }

  /** By fingerprint where the user has some, else by an address in the certificate that is the user's. */
  certificate(certificate: ClientCertificate, actAs: string | undefined, clientAddress: string): Promise<LoginResult> {
    const { fingerprint256, subjectAltNames } = certificate;
    const addresses = subjectAltNames.filter((name) => name.startsWith('email:')).map((name) => name.slice('email:'.length));
    const user = actAs === undefined ? this.#holder(fingerprint256, addresses) : this.#findUser(actAs);
    const login = actAs ?? user?.name ?? addresses[0] ?? fingerprint256;
    if (!this.#gate.allows(login, clientAddress)) return Promise.resolve(THROTTLED);
    const proven =
      user !== undefined &&
      (user.certificates === undefined
        ? addresses.some((address) => this.#findUser(address)?.name === user.name)
        : user.certificates.includes(fingerprint256));
    return this.#gate.conclude(proven ? user.name : undefined, login, clientAddress);
  }

  /** Whose certificate it is, where the client does not say. */
  #holder(fingerprint256: string, addresses: readonly string[]): User | undefined {
    const noted = this.#findHolder(fingerprint256);
    if (noted !== undefined) return noted;
    const named = addresses.find((address) => this.#findUser(address) !== undefined);
    return named === undefined ? undefined : this.#findUser(named);
  }

  #nobodysKeys(name: string): ScramKeys {
    const knownSalts = this.#knownSalts();
    const akin = knownSalts.akinTo(name);
    const { iterations, saltBytes } = knownSalts.usual;
    const bytes = (use: string) => hmac(this.#stableKey, `${use} ${localOf(name)}`);
    // As long as the longest that may be stored.
    const salt = Buffer.concat([bytes('salt'), bytes('more salt'), bytes('still more salt')]).subarray(0, saltBytes);
    return {
      iterations: akin?.iterations ?? iterations,
      salt: akin?.salt ?? salt,
      storedKey: bytes('stored key'),
      serverKey: bytes('server key'),
    };
  }
}
