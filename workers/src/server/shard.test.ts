import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { configSchema } from '@posthorn/config';
import { systemClock } from '@posthorn/core/mail/system-clock';
import { createCounters } from '@posthorn/core/observe/count';
import type { Log } from '@posthorn/core/observe/log';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { makeQueue, shardDirectory } from './shard.ts';

let data: string;
beforeEach(() => {
  data = mkdtempSync(join(tmpdir(), 'posthorn-shard-'));
});
afterEach(() => rmSync(data, { recursive: true }));

test('what the store says of damage and of trouble in the background is in the log', async () => {
  const lines: { readonly event: string; readonly [field: string]: unknown }[] = [];
  const note = (event: string, fields = {}) => void lines.push({ event, ...fields });
  const log: Log = { debug: note, info: note, warn: note, error: note, with: () => log };
  const segments = join(shardDirectory(data, 3), 'segments');
  mkdirSync(segments, { recursive: true });
  writeFileSync(join(segments, '0000000001.log'), Buffer.alloc(1000, 'x'));
  const settings = {
    config: { ...configSchema.parse({ data }), hostname: 'mx.test' },
    users: [],
    tls: { identities: [], listeners: {}, ticketSecret: undefined },
    hostname: 'mx.test',
  };
  const queue = makeQueue(3, { settings, clock: systemClock, log, counters: createCounters() });
  await queue.open();
  await queue.close();
  expect(lines).toContainEqual(expect.objectContaining({ event: 'store.damaged', shard: 3, where: 'segment-1' }));
});
