/**
 * Says whether a password is right: argon2id here, or a question to the user source. Used by the authenticator, which
 * knows who is allowed to try. Where there is a source, every wrong password costs both, whoever it was tried for: else
 * its time would tell who is in users.yaml, who is elsewhere, and who is nobody. An unusable stored hash is logged, and
 * nothing matches it.
 */
import { randomBytes } from 'node:crypto';
import type { Log } from '../observe/log.ts';
import { DEFAULT_PASSWORD_COST, formatPasswordHash, PasswordHashError, verifyPassword } from './password.ts';
import { Turnstile } from './turnstile.ts';
import type { UserSource } from './user-source.ts';

export type Judgement =
  | 'right'
  | 'wrong'
  /** Wrong, but to be answered as `untold` is: nothing else could have been said of anybody whom the source has. */
  | 'wrong-untold'
  /** It cannot be told now. */
  | 'untold';

export interface PasswordQuestion {
  /** Of the user, or as the client gave it. */
  readonly name: string;
  readonly password: string;
  /** Undefined: nobody's, or the source's. */
  readonly storedHash: string | undefined;
  /** Is the source to be asked, rather than the hash? */
  readonly elsewhere: boolean;
  /** Asked when its turn comes: what waited while others failed is not worth its work any more. */
  readonly isAllowed: () => boolean;
}

export interface PasswordJudgeOptions {
  readonly source: () => Pick<UserSource, 'verify'> | undefined;
  readonly log: Log;
  /** argon2id computations at once. */
  readonly maxComputing: number;
  readonly maxWaiting: number;
}

type Match = boolean | 'failed';

const MAX_ASKING = 20;

export class PasswordJudge {
  readonly #options: PasswordJudgeOptions;
  readonly #computing: Turnstile;
  /** Questions to the source wait for others, and take no thread of ours. */
  readonly #asking: Turnstile;
  /** Nothing matches it, and it takes as long as others do. */
  readonly #nobodysHash = formatPasswordHash({ ...DEFAULT_PASSWORD_COST, salt: randomBytes(16), hash: randomBytes(32) });

  constructor(options: PasswordJudgeOptions) {
    this.#options = options;
    this.#computing = new Turnstile(options.maxComputing, options.maxWaiting);
    this.#asking = new Turnstile(MAX_ASKING, options.maxWaiting);
  }

  /** Never rejects. @returns undefined at once when too many wait. */
  judge(question: PasswordQuestion): Promise<Judgement> | undefined {
    const { name, password, elsewhere } = question;
    const source = this.#options.source();
    if (elsewhere && source !== undefined) {
      return this.#ask(question, source, name, password)?.then(async (match) => {
        if (match === true) return 'right';
        await this.#compute(question, undefined);
        return match === 'failed' ? 'untold' : 'wrong';
      });
    }
    return this.#compute(question, question.storedHash)?.then(async (match) => {
      if (match === true) return 'right';
      if (match === 'failed') return 'untold';
      if (source === undefined) return 'wrong';
      // Of somebody whom it does not have; the password of ours is not its business.
      const answer = await this.#ask(
        question,
        source,
        `nobody-${randomBytes(8).toString('hex')}`,
        randomBytes(12).toString('hex'),
      );
      return answer === false ? 'wrong' : 'wrong-untold';
    });
  }

  #compute(question: PasswordQuestion, storedHash: string | undefined): Promise<Match> | undefined {
    const { name, password, isAllowed } = question;
    return this.#computing.run(async () =>
      isAllowed() ? await this.#matches(name, password, storedHash ?? this.#nobodysHash) : 'failed',
    );
  }

  #ask(
    { isAllowed }: PasswordQuestion,
    source: Pick<UserSource, 'verify'>,
    name: string,
    password: string,
  ): Promise<Match> | undefined {
    return this.#asking.run(async () => {
      if (!isAllowed()) return 'failed';
      try {
        return await source.verify(name, password);
      } catch (error) {
        this.#options.log.error('auth.source-failed', { cause: error });
        return 'failed';
      }
    });
  }

  async #matches(name: string, password: string, storedHash: string): Promise<Match> {
    try {
      return await verifyPassword(password, storedHash);
    } catch (error) {
      if (error instanceof PasswordHashError && storedHash !== this.#nobodysHash) {
        this.#options.log.error('auth.unusable-hash', { user: name, cause: error.message });
        // The same time as for everybody else, so that a broken entry does not tell that the user exists.
        const answer = await this.#matches(name, password, this.#nobodysHash);
        return answer === 'failed' ? answer : false;
      }
      this.#options.log.error('auth.failed', { user: name, cause: error });
      return 'failed';
    }
  }
}
