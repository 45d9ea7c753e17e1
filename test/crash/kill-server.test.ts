import { expect, it } from 'vitest';
import { killRepeatedly, summarize } from './kill-server.ts';

it('loses nothing that was acknowledged when the server process is killed under load', { timeout: 90_000 }, async () => {
  const outcome = await killRepeatedly({ kills: 5, rate: 400, seed: 20261124, lifeMs: [20, 400] });
  console.log(`test:kill, short: ${summarize(outcome)}`);
  expect(outcome.acknowledged).toBeGreaterThan(100);
  expect(outcome.missing).toEqual([]);
  expect(outcome.duplicates).toBeLessThan(outcome.acknowledged / 4);
});
