/**
 * What the classifier asks of a model: how many spam and ham messages were learned, and in how many of each a token was.
 * Stands over the published snapshot in the server, and over a plain map in measurements.
 */

export interface Counts {
  spam: number;
  ham: number;
}

export interface Model {
  readonly spamMessages: number;
  readonly hamMessages: number;
  /** Writes a token's counts into `into` (zeros when unknown), so that a look-up allocates nothing. */
  find(hash: number, into: Counts): void;
}

/** A model in a map: for training in memory, as measurements and tests do it. */
export class MapModel implements Model {
  spamMessages = 0;
  hamMessages = 0;
  readonly #counts = new Map<number, Counts>();

  learn(hashes: Iterable<number>, label: 'spam' | 'ham'): void {
    if (label === 'spam') this.spamMessages++;
    else this.hamMessages++;
    for (const hash of hashes) {
      let counts = this.#counts.get(hash);
      if (counts === undefined) this.#counts.set(hash, (counts = { spam: 0, ham: 0 }));
      counts[label]++;
    }
  }

  find(hash: number, into: Counts): void {
    const counts = this.#counts.get(hash);
    into.spam = counts?.spam ?? 0;
    into.ham = counts?.ham ?? 0;
  }
}
