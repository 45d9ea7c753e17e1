/**
 * kill -9 of a process that adds without end: what it said was stored is there, whole, each time it is started again.
 * And the shard has one owner: a second one, in this process or another, is told so.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { StoreError } from '@posthorn/core/queue/store';
import { createLevelStore } from '@posthorn/queue-level';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { start } from '../lib/process.ts';
import { bodyOf, listOf } from '../lib/queue-messages.ts';

const writer = join(dirname(fileURLToPath(import.meta.url)), 'queue-writer.ts');
let root: string;
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'posthorn-kill-'));
});
afterEach(() => rmSync(root, { recursive: true }));

/** Runs the writer until it has acknowledged so many messages, then kills it. */
async function writeAndKill(
  directory: string,
  prefix: string,
  enough: number,
): Promise<{ stored: string[]; removed: Set<string>; output: string }> {
  let output = '';
  let lines = 0;
  let killed = false;
  const child = await start([process.execPath, writer, directory, prefix], {
    onOut(text) {
      output += text;
      lines += text.split('\n').length - 1;
      if (lines < enough || killed) return;
      killed = true;
      child.child.kill('SIGKILL');
    },
  });
  await child.exited;
  expect(killed, child.stderr()).toBe(true);
  const whole = output.slice(0, output.lastIndexOf('\n')).split('\n');
  const removed = new Set(whole.filter((line) => line.startsWith('-')).map((line) => line.slice(1)));
  return { stored: whole.filter((line) => line.startsWith('+')).map((line) => line.slice(1)), removed, output };
}

test('kill -9 under load loses nothing that was acknowledged', async () => {
  const directory = join(root, 'shard');
  const expected = new Set<string>();
  const mayReturn = new Set<string>();
  for (let round = 0; round < 5; round++) {
    const { stored, removed } = await writeAndKill(directory, `k${round}`, 150 + round * 173);
    for (const id of stored) if (!removed.has(id)) expected.add(id);
    for (const id of removed) mayReturn.add(id);
    const store = createLevelStore({ directory });
    await store.open();
    const { ids } = await listOf(store);
    const found = new Set(ids);
    expect([...expected].filter((id) => !found.has(id))).toEqual([]);
    for (const id of ids) {
      const text = (await bodyOf(store, id)).toString();
      expect(text.startsWith(`${id} `) && text.endsWith(`${id} `)).toBe(true);
    }
    // Few come back that were removed: those of the last moments.
    expect(ids.filter((id) => mayReturn.has(id)).length).toBeLessThan(100);
    await store.close();
  }
});

test('a second owner is told PH_STORE_LOCKED, here and from another process', async () => {
  const directory = join(root, 'shard');
  const first = createLevelStore({ directory });
  await first.open();
  const second = createLevelStore({ directory });
  const failure = await second.open().catch((cause: unknown) => cause);
  expect(failure).toBeInstanceOf(StoreError);
  expect((failure as StoreError).code).toBe('PH_STORE_LOCKED');
  const other = await start([process.execPath, writer, directory, 'x']);
  expect(await other.exited).not.toBe(0);
  expect(other.stderr()).toContain('PH_STORE_LOCKED');
  await first.close();
  await second.open();
  await second.close();
});
