import { parseConfig } from '@posthorn/config';
import { DEFAULT_AUTHENTICATOR_LIMITS } from '@posthorn/core/auth/password-authenticator';
import { expect, test } from 'vitest';
import { deliveryShare, shareOf, sizesOf } from './threads.ts';

function config(yaml: string) {
  const parsed = parseConfig(yaml, 'posthorn.yaml', 'machine.example');
  return parsed.ok ? parsed.config : expect.unreachable('the test has a slip in its YAML');
}
const sizes = (yaml: string, cores: number) => sizesOf(config(yaml).throughput, cores);

test('auto follows the cores: one process for every eight, and one core of each for its main thread', () => {
  expect(sizes('', 1)).toEqual({ processes: 1, sessionThreads: 1, pluginThreads: 1, fileThreads: 6 });
  expect(sizes('', 2)).toMatchObject({ processes: 1, sessionThreads: 1, pluginThreads: 1 });
  expect(sizes('', 8)).toMatchObject({ processes: 1, sessionThreads: 7, pluginThreads: 4 });
  expect(sizes('', 32)).toMatchObject({ processes: 4, sessionThreads: 7, pluginThreads: 4 });
});

test('a number is taken as it is, and the rest follows from it', () => {
  expect(sizes('throughput: { processes: 4 }', 8)).toMatchObject({ processes: 4, sessionThreads: 1, pluginThreads: 1 });
  expect(sizes('throughput: { sessionThreads: 3, pluginThreads: 9 }', 2)).toMatchObject({ sessionThreads: 3, pluginThreads: 9 });
});

test('logins on all session threads leave threads for files', () => {
  for (const cores of [1, 2, 8, 64]) {
    for (const sessionThreads of ['auto', 1, 8, 32]) {
      const of = sizes(`throughput: { sessionThreads: ${sessionThreads} }`, cores);
      expect(of.fileThreads - DEFAULT_AUTHENTICATOR_LIMITS.maxComputing * of.sessionThreads).toBeGreaterThanOrEqual(4);
    }
  }
});

test('shares are rounded up and never nothing', () => {
  expect([shareOf(10, 3), shareOf(1, 8), shareOf(500, 1)]).toEqual([4, 1, 500]);
});

test('processes share what may be delivered at once, and 0 stays the word for holding the queue', () => {
  const given = config('throughput: { deliveryConcurrency: 100, deliveryConcurrencyPerDestination: 5 }');
  expect(deliveryShare(given, 4).throughput).toMatchObject({
    deliveryConcurrency: 25,
    deliveryConcurrencyPerDestination: 2,
    maxConnections: 10_000,
  });
  expect(deliveryShare(config('throughput: { deliveryConcurrency: 0 }'), 4).throughput.deliveryConcurrency).toBe(0);
});
