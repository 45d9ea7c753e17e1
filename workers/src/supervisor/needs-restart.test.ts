import { parseConfig } from '@posthorn/config';
import { expect, test } from 'vitest';
import { needsRestart } from './needs-restart.ts';

function config(yaml: string) {
  const parsed = parseConfig(yaml, '/etc/posthorn/posthorn.yaml', 'machine.example');
  return parsed.ok ? parsed.config : expect.unreachable('the test has a slip in its YAML');
}
const change = (after: string, before = '') => needsRestart(config(before), config(after));

test('what is made once needs a restart, key by key', () => {
  expect(change('queue: { retry: [1m], giveUpAfter: 1d }')).toEqual(['queue.retry', 'queue.giveUpAfter']);
  expect(change('hostname: mx.example.org\ndata: ./elsewhere')).toEqual(['hostname', 'data']);
  expect(change('throughput: { processes: 2, maxConnections: 5 }')).toEqual([
    'throughput.processes',
    'throughput.maxConnections',
  ]);
  expect(change('dns: { servers: [192.0.2.53] }\nlog: { level: debug }')).toEqual(['dns.servers', 'log.level']);
});

test('what a reload takes up does not', () => {
  expect(change('domains: { example.org: }\nscoring: { tag: 1 }\nrelay: { via: "smtp://host" }\nplugins: [bayes]')).toEqual([]);
  expect(change('throughput: { deliveryConcurrency: 1, deliveryConcurrencyPerDestination: 1 }')).toEqual([]);
  expect(change('shutdown: { graceMs: 1s }\nlisteners: [{ name: mx, protocol: smtp, address: "127.0.0.1:0" }]')).toEqual([]);
});

test('a default that is written out is no change', () => {
  expect(change('queue: { giveUpAfter: 120h }\ndata: ./data\nthroughput: { processes: auto }')).toEqual([]);
  expect(change('', 'queue: { store: memory }')).toEqual(['queue.store']);
});
