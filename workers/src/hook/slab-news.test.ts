/** What a plugin thread knows of shared memory, and for how long: neither end keeps what is gone. */
import { once } from 'node:events';
import { MessageChannel } from 'node:worker_threads';
import { SharedSlabs } from '@posthorn/core/mail/slab-pool';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { HookControl } from './control.ts';
import type { ToPluginThread } from './ipc.ts';
import { HookLink } from './link.ts';
import { serveSession } from './serve-session.ts';

let channel: MessageChannel;
beforeEach(() => {
  channel = new MessageChannel();
});
afterEach(() => {
  channel.port1.close();
});

const memory = () => new SharedArrayBuffer(8);

test('memory that came and went while a thread was not asked is not kept for it', async () => {
  const link = new HookLink(1, 'compute', channel.port1, new HookControl(), []);
  for (let id = 0; id < 100; id += 1) {
    link.announce(id, memory());
    link.forget(id);
  }
  link.announce(100, memory());
  const told = once(channel.port2, 'message');
  // A word that goes out with the next call, or with the next memory that is gone.
  link.forget(-1);
  link.flush();
  const [{ slabs, slabsGone }] = (await told) as [ToPluginThread];
  expect(slabs.map(([id]) => id)).toEqual([100]);
  expect(slabsGone).toEqual([-1]);
});

test('a thread is told of memory that is gone without a call', async () => {
  const slabs = new SharedSlabs();
  serveSession(1, channel.port2, { take: () => undefined }, slabs);
  const link = new HookLink(1, 'compute', channel.port1, new HookControl(), [[7, memory()]]);
  link.forget(-1);
  link.flush();
  await expect.poll(() => [...slabs.entries()]).toHaveLength(1);
  link.forget(7);
  link.flush();
  await expect.poll(() => [...slabs.entries()]).toEqual([]);
});

test('the memory of a session thread that died is forgotten', async () => {
  const slabs = new SharedSlabs();
  serveSession(1, channel.port2, { take: () => undefined }, slabs);
  slabs.announce(99, memory());
  channel.port1.postMessage({ slabs: [[7, memory()]], slabsGone: [], calls: [] } satisfies ToPluginThread);
  await expect.poll(() => [...slabs.entries()]).toHaveLength(2);
  channel.port1.close();
  await expect.poll(() => [...slabs.entries()].map(([id]) => id)).toEqual([99]);
});
