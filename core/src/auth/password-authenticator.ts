/**
 * The Authenticator over users and argon2id. Made once for each thread by wiring, used by SMTP AUTH and POP3.
 * In this order: throttle, logins remembered, password-judge.ts. An unknown user goes the whole way, so that neither
 * answer nor time tells who exists. What the judge cannot tell is refused as `throttled`; nothing here throws.
 */
import { createHash, randomBytes } from 'node:crypto';
import type { User } from '../directory/directory.ts';
import type { Clock } from '../mail/clock.ts';
import type { Counters } from '../observe/counters.ts';
import type { Log } from '../observe/log.ts';
import type { ClientCertificate } from '../wire/session.ts';
import type { Authenticator, LoginForms, LoginRefusal, LoginResult, ScramLogin } from './authenticator.ts';
import { KnownSalts } from './known-salts.ts';
import { createLedgerMemory, Ledger } from './ledger.ts';
import { LoginGate, THROTTLED, WRONG } from './login-gate.ts';
import { Proofs } from './proofs.ts';
import { clientNetwork } from '../wire/client-network.ts';
import { type Judgement, PasswordJudge } from './password-judge.ts';
import { DEFAULT_THROTTLE_LIMITS, Throttle, type ThrottleLimits } from './throttle.ts';
import type { UserSource } from './user-source.ts';
import { VerifiedLogins } from './verified-logins.ts';

export interface AuthenticatorLimits extends ThrottleLimits {
  /** How long a verified login is remembered. */
  readonly rememberMs: number;
  readonly maxRemembered: number;
  /** argon2id computations at once; each takes one of libuv's threads and 19 MiB. */
  readonly maxComputing: number;
  /** Enough for the clients of a server that was restarted, who all come back at once. */
  readonly maxWaiting: number;
  /** Of those that compute or wait, how many may come from one client network. */
  readonly maxPendingPerClient: number;
  /** How long a failed login waits for its answer. */
  readonly failureDelayMs: number;
}

export const DEFAULT_AUTHENTICATOR_LIMITS: AuthenticatorLimits = {
  ...DEFAULT_THROTTLE_LIMITS,
  rememberMs: 300_000,
  maxRemembered: 20_000,
  maxComputing: 2,
  maxWaiting: 1000,
  maxPendingPerClient: 50,
  failureDelayMs: 1000,
};

/**
 * @returns the name that the token is good for, as its issuer writes it; undefined when it is good for nobody. Rejects when
 * the issuer cannot be asked.
 */
export type BearerCheck = (token: string) => Promise<string | undefined>;

export interface AuthenticatorOptions {
  /** The user a login name stands for, by today's configuration: asked at every check, so a reload counts at once. */
  readonly findUser: (name: string) => User | undefined;
  /** The one user for whom a client certificate with this fingerprint is noted. */
  readonly findHolder: (fingerprint256: string) => User | undefined;
  /** What SCRAM shows of today's users; undefined: there are none yet. */
  readonly knownSalts: () => KnownSalts | undefined;
  /** What users can log in with, by today's configuration. */
  readonly forms: () => LoginForms;
  /** 32 secret bytes, the same for every thread and every start: see proofs.ts. */
  readonly stableKey: Uint8Array;
  /** Asks whoever gives tokens out; absent where nobody does (`forms.bearer` is false then). */
  readonly bearer?: () => BearerCheck | undefined;
  /** Where users are that `findUser` marks with `elsewhere`; absent where there is no source. */
  readonly source?: () => Pick<UserSource, 'verify'> | undefined;
  /** Counts of failures; without it they are this authenticator's alone. `clock.monotonic` is its clock. */
  readonly ledger?: Ledger;
  /** What is configured now, in place of the defaults. */
  readonly throttle?: () => Partial<ThrottleLimits> & { readonly failureDelayMs?: number };
  readonly clock: Clock;
  readonly log: Log;
  readonly counters: Counters;
  readonly limits?: Partial<AuthenticatorLimits>;
}

/** One password that somebody gave for a name. */
interface Attempt {
  readonly name: string;
  readonly actAs: string | undefined;
  readonly password: string;
  readonly user: User | undefined;
  readonly digest: Buffer;
  readonly clientAddress: string;
}

/** Longer ones are refused before any work; RFC 4616 would allow more, nobody types more. */
const MAX_PASSWORD_LENGTH = 1024;
const MAX_NAME_LENGTH = 320;
const OWN_BUCKETS = 256;
const NO_SALTS = new KnownSalts([]);

/** Makes an Authenticator with tables and a random key of its own. */
export function createAuthenticator(options: AuthenticatorOptions): Authenticator {
  return new PasswordAuthenticator(options, { ...DEFAULT_AUTHENTICATOR_LIMITS, ...options.limits });
}

class PasswordAuthenticator implements Authenticator {
  readonly #options: AuthenticatorOptions;
  readonly #limits: AuthenticatorLimits;
  readonly #remembered: VerifiedLogins;
  readonly #gate: LoginGate;
  readonly #proofs: Proofs;
  readonly #judge: PasswordJudge;
  readonly #pending = new Map<string, Promise<LoginResult>>();
  readonly #pendingByClient = new Map<string, number>();

  constructor(options: AuthenticatorOptions, limits: AuthenticatorLimits) {
    this.#options = options;
    this.#limits = limits;
    this.#remembered = new VerifiedLogins(randomBytes(32), limits.rememberMs, limits.maxRemembered);
    const { findUser, findHolder, stableKey } = options;
    const today = () => ({ ...limits, ...options.throttle?.() });
    const throttle = new Throttle(today, options.ledger ?? new Ledger(createLedgerMemory(OWN_BUCKETS)));
    this.#gate = new LoginGate(throttle, options.clock, options.counters, () => today().failureDelayMs);
    this.#proofs = new Proofs(this.#gate, findUser, findHolder, () => options.knownSalts() ?? NO_SALTS, stableKey);
    const { maxComputing, maxWaiting } = limits;
    this.#judge = new PasswordJudge({ source: () => options.source?.(), log: options.log, maxComputing, maxWaiting });
  }

  get forms(): LoginForms {
    return this.#options.forms();
  }

  nonce(): string {
    return randomBytes(18).toString('base64url');
  }

  checkSecret(name: string, clientAddress: string, matches: (secret: string) => boolean): Promise<LoginResult> {
    return this.#proofs.secret(name, clientAddress, matches);
  }

  scram(name: string, clientAddress: string, actAs?: string): ScramLogin | LoginRefusal {
    return this.#proofs.scram(name, clientAddress, actAs);
  }

  checkCertificate(certificate: ClientCertificate, actAs: string | undefined, clientAddress: string): Promise<LoginResult> {
    return this.#proofs.certificate(certificate, actAs, clientAddress);
  }

  async checkBearer(token: string, actAs: string | undefined, clientAddress: string): Promise<LoginResult> {
    const { bearer, findUser } = this.#options;
    // Failures without a name count for the token: counted for all of them together, one guesser would lock all others out.
    const login = actAs ?? `token ${createHash('sha256').update(token).digest('base64')}`;
    if (!this.#gate.allows(login, clientAddress)) return THROTTLED;
    const name = await bearer?.()?.(token);
    const user = name === undefined ? undefined : findUser(name)?.name;
    return await this.#gate.conclude(this.#isSelf(user, actAs) ? user : undefined, login, clientAddress);
  }

  /** RFC 4422 §3.4.1: nobody acts as somebody else, but everybody by whatever name is his. */
  #isSelf(user: string | undefined, actAs: string | undefined): boolean {
    return actAs === undefined || this.#options.findUser(actAs)?.name === user;
  }

  check(name: string, password: string, clientAddress: string, actAs?: string): Promise<LoginResult> {
    if (name.length > MAX_NAME_LENGTH || password.length > MAX_PASSWORD_LENGTH) return Promise.resolve(WRONG);
    const { clock, findUser } = this.#options;
    if (!this.#gate.allows(name, clientAddress)) return Promise.resolve(THROTTLED);
    const user = findUser(name);
    const digest = this.#remembered.digest(user?.name ?? name, user?.passwordHash ?? 'none here', password);
    // Nobody is remembered who is not there any more. Who wants to be another goes the whole way, and fails at its end, and
    // so does whoever comes with more tries than may fail: among many guesses the right one would be answered first.
    const isKnown =
      user !== undefined &&
      this.#isSelf(user.name, actAs) &&
      this.#remembered.has(user.name, digest, clock.monotonic()) &&
      this.#gate.allowsAhead(name, clientAddress);
    if (isKnown) {
      return Promise.resolve(this.#gate.recognise(user.name, name, clientAddress));
    }
    return this.#verifyOnce({ name, actAs, password, user, digest, clientAddress });
  }

  /** A client that opens ten connections at once pays for one computation. */
  #verifyOnce(attempt: Attempt): Promise<LoginResult> {
    const { name, actAs, password, user, clientAddress } = attempt;
    const network = clientNetwork(clientAddress);
    const key = `${network} ${attempt.digest.toString('base64')} ${actAs ?? ''}`;
    const underWay = this.#pending.get(key);
    if (underWay !== undefined) return underWay;

    const fromClient = this.#pendingByClient.get(network) ?? 0;
    const question = {
      name: user?.name ?? name,
      password,
      storedHash: user?.passwordHash,
      // Whoever is not known might be so to the source: its answer and its time are the same for all it does not know.
      elsewhere: user === undefined || user.elsewhere === true,
      isAllowed: () => this.#gate.allows(name, clientAddress),
    };
    const judged = fromClient < this.#limits.maxPendingPerClient ? this.#judge.judge(question) : undefined;
    if (judged === undefined) {
      this.#options.counters.add('auth.busy');
      return Promise.resolve(THROTTLED);
    }
    this.#pendingByClient.set(network, fromClient + 1);
    const end = this.#gate.begin(name, clientAddress);
    const startedAtMs = this.#options.clock.monotonic();
    const result = judged.then((judgement) => {
      this.#pending.delete(key);
      end();
      const left = (this.#pendingByClient.get(network) ?? 1) - 1;
      if (left === 0) this.#pendingByClient.delete(network);
      else this.#pendingByClient.set(network, left);
      return this.#conclude(attempt, judgement, startedAtMs);
    });
    this.#pending.set(key, result);
    return result;
  }

  async #conclude(attempt: Attempt, judgement: Judgement, startedAtMs: number): Promise<LoginResult> {
    const { name, digest, clientAddress } = attempt;
    const nowMs = this.#options.clock.monotonic();
    if (judgement === 'untold') return await this.#gate.putOff(nowMs - startedAtMs);
    const proven = judgement === 'right' && this.#stands(attempt) ? attempt.user?.name : undefined;
    const result = await this.#gate.conclude(proven, name, clientAddress, nowMs - startedAtMs);
    if (result.ok) this.#remembered.add(result.user, digest, nowMs);
    return judgement === 'wrong-untold' ? THROTTLED : result;
  }

  /** Is the user who began this still there, with the same password, and himself? A queue may outlast a reload. */
  #stands({ name, actAs, user }: Attempt): boolean {
    const now = this.#options.findUser(name);
    if (user === undefined || now?.name !== user.name || !this.#isSelf(user.name, actAs)) return false;
    if (user.elsewhere === true) return now.elsewhere === true;
    return user.passwordHash !== undefined && now.passwordHash === user.passwordHash;
  }
}
