/** What `run.ts` plays: one protocol engine, from any of its states. Each of smtp.ts and pop3.ts exports one. */
export interface FuzzTarget {
  /**
   * Plays one round, the same for the same seed everywhere.
   * @returns how many inputs it was: sessions fed with all bytes and events of a script, and then closed.
   * @throws Error when the engine broke a promise.
   */
  playRound(seed: number): Promise<number>;
}

/** Plays `rounds` rounds, for tests. @throws Error that names the seed of the round that broke a promise. */
export async function playRounds(target: FuzzTarget, rounds: number, seed: number): Promise<void> {
  for (let round = 0; round < rounds; round += 1) {
    try {
      await target.playRound(seed + round);
    } catch (cause) {
      throw new Error(`seed ${seed + round}`, { cause });
    }
  }
}
