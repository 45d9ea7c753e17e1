import { Worker } from 'node:worker_threads';
import { expect, it } from 'vitest';
import { createLedgerMemory, Ledger } from './ledger.ts';

const more = (entry: { count: number; endsAtMs: number } | undefined) => ({ count: (entry?.count ?? 0) + 1, endsAtMs: 100 });

it('keeps a count until it ends, or is taken away', () => {
  const ledger = new Ledger(createLedgerMemory(4));
  expect(ledger.get('a', 0)).toBeUndefined();
  ledger.change('a', 0, more);
  ledger.change('a', 0, more);
  ledger.change('b', 0, more);
  expect(ledger.get('a', 99)).toEqual({ count: 2, endsAtMs: 100 });
  expect(ledger.get('b', 99)).toEqual({ count: 1, endsAtMs: 100 });
  expect(ledger.get('a', 100)).toBeUndefined();
  ledger.change('b', 0, () => undefined);
  expect(ledger.get('b', 0)).toBeUndefined();
});

it('has a fixed size: what ends first makes room', () => {
  const ledger = new Ledger(createLedgerMemory(1));
  for (let at = 1; at <= 9; at += 1) ledger.change(`key ${at}`, 0, () => ({ count: at, endsAtMs: at }));
  expect(ledger.get('key 1', 0)).toBeUndefined();
  for (let at = 2; at <= 9; at += 1) expect(ledger.get(`key ${at}`, 0)).toEqual({ count: at, endsAtMs: at });
});

it('threads count together, and none of their counts is lost', async () => {
  const memory = createLedgerMemory(1);
  const code = `
    const { workerData, parentPort } = require('node:worker_threads');
    import(workerData.module).then(({ Ledger }) => {
      const ledger = new Ledger(workerData.memory);
      for (let at = 0; at < 2000; at += 1)
        ledger.change('client', 0, (entry) => ({ count: (entry?.count ?? 0) + 1, endsAtMs: 100 }));
      parentPort.postMessage('done');
    });`;
  const module = new URL('../../dist/auth/ledger.js', import.meta.url).href;
  const workers = [1, 2].map(() => new Worker(code, { eval: true, workerData: { memory, module } }));
  await Promise.all(workers.map((worker) => new Promise((resolve) => worker.once('message', resolve))));
  expect(new Ledger(memory).get('client', 0)?.count).toBe(4000);
  await Promise.all(workers.map((worker) => worker.terminate()));
});
