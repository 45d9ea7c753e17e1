import { expect, it } from 'vitest';
import { defaultTimeouts } from './connection.ts';

it('waits for a peer as long as RFC 5321 §4.5.3.2 asks', () => {
  const minute = 60_000;
  expect(defaultTimeouts.greetingMs).toBeGreaterThanOrEqual(5 * minute);
  expect(defaultTimeouts.commandMs).toBeGreaterThanOrEqual(5 * minute);
  expect(defaultTimeouts.dataMs).toBeGreaterThanOrEqual(2 * minute);
  expect(defaultTimeouts.blockMs).toBeGreaterThanOrEqual(3 * minute);
  expect(defaultTimeouts.dotMs).toBeGreaterThanOrEqual(10 * minute);
});
