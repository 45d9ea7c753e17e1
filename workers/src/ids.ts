/** Names for sessions and messages: short, sortable by time, unique over slots, threads and restarts. */
import { randomInt } from 'node:crypto';

const DIGITS = 36;
const COUNT_WIDTH = 4;
const COUNT_LIMIT = DIGITS ** COUNT_WIDTH;

/**
 * @param maker distinct for everyone who makes ids at the same time, such as slot and thread
 * @returns a function that gives a new id: milliseconds, maker, count, all in base 36, such as `mbq3k1v2f0a00z1`
 */
export function createIds(maker: number, now: () => number): () => string {
  const suffix = maker.toString(DIGITS).padStart(2, '0');
  // Starts anywhere, so that a process restarted within the same millisecond does not repeat itself.
  let count = randomInt(COUNT_LIMIT);
  return () => {
    count = (count + 1) % COUNT_LIMIT;
    return now().toString(DIGITS) + suffix + count.toString(DIGITS).padStart(COUNT_WIDTH, '0');
  };
}
