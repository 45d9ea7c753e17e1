/**
 * The one gate that every way to log in goes through: asks the throttle first, counts what failed, and lets each failure
 * wait, so that guessing is slow for a client that asks one at a time. Used by the authenticators of this room.
 * The throttle is asked again at the end: of many tries begun at once, each was allowed when none of them had failed yet.
 * What is counted is the login as the client gave it, in one spelling, and not the user it leads to: a name and an address
 * that are locked out together would tell that they are one user's, and so that there is one.
 */
import type { Clock } from '../mail/clock.ts';
import type { Counters } from '../observe/counters.ts';
import { loginKey } from '../wire/address-key.ts';
import type { LoginRefusal, LoginResult } from './authenticator.ts';
import type { Throttle } from './throttle.ts';

export const THROTTLED: LoginRefusal = { ok: false, why: 'throttled' };
export const WRONG: LoginRefusal = { ok: false, why: 'credentials' };

export class LoginGate {
  readonly #throttle: Throttle;
  readonly #clock: Clock;
  readonly #counters: Counters;
  readonly #failureDelayMs: () => number;

  /** @param failureDelayMs how long a failure waits for its answer. */
  constructor(throttle: Throttle, clock: Clock, counters: Counters, failureDelayMs: () => number) {
    this.#throttle = throttle;
    this.#clock = clock;
    this.#counters = counters;
    this.#failureDelayMs = failureDelayMs;
  }

  /** May this client try this login now? Counts the refusal. @param login as the client gave it, whoever has it. */
  allows(login: string, clientAddress: string): boolean {
    if (this.#throttle.allows(loginKey(login), clientAddress, this.#clock.monotonic())) return true;
    this.#counters.add('auth.throttled');
    return false;
  }

  /**
   * Counts how a try ended, unless others have reached the limit since it began: then its end, good or bad, tells nothing.
   * @param user who it was shown to be; undefined: it failed.
   * @param login as for `allows`.
   * @param spentMs what the check has taken: a failure waits so much less, so that its time tells nothing of the user.
   * @returns its result: a success at once, a failure late.
   */
  conclude(user: string | undefined, login: string, clientAddress: string, spentMs = 0): Promise<LoginResult> {
    if (!this.allows(login, clientAddress)) return Promise.resolve(THROTTLED);
    if (user !== undefined) return Promise.resolve(this.#succeed(user, login, clientAddress, 'auth.verified'));
    this.#throttle.failed(loginKey(login), clientAddress, this.#clock.monotonic());
    this.#counters.add('auth.failures');
    return this.#late(WRONG, spentMs);
  }

  /** A try of which nothing could be told now: not counted, but answered no sooner than a failure. @param spentMs as for `conclude`. */
  putOff(spentMs: number): Promise<LoginResult> {
    return this.#late(THROTTLED, spentMs);
  }

  /** A try begins that takes its time, and is seen by `allowsAhead` until it ends. @returns to be called when it ends. */
  begin(login: string, clientAddress: string): () => void {
    const end = this.#throttle.begin(loginKey(login), clientAddress, this.#clock.monotonic());
    return () => end(this.#clock.monotonic());
  }

  /**
   * May this login be answered before those that are under way? Each of many guesses would be compared with what is
   * remembered, and be told apart by that, before the first of them had failed.
   */
  allowsAhead(login: string, clientAddress: string): boolean {
    return this.#throttle.allowsAhead(loginKey(login), clientAddress, this.#clock.monotonic());
  }

  /** A login that is remembered: a success like any other, for the trust in the client and the failures before it. */
  recognise(user: string, login: string, clientAddress: string): LoginResult {
    return this.#succeed(user, login, clientAddress, 'auth.remembered');
  }

  #late(result: LoginResult, spentMs: number): Promise<LoginResult> {
    const delayMs = Math.max(0, this.#failureDelayMs() - spentMs);
    if (delayMs === 0) return Promise.resolve(result);
    return new Promise((resolve) => this.#clock.after(delayMs, () => resolve(result)));
  }

  #succeed(user: string, login: string, clientAddress: string, counter: string): LoginResult {
    this.#throttle.succeeded(loginKey(login), clientAddress, this.#clock.monotonic());
    this.#counters.add(counter);
    return { ok: true, user };
  }
}
