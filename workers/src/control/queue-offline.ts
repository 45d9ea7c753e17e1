/**
 * The queue commands on the store itself, for when no server runs. Opens each shard of the data folder in turn; a shard
 * that is in use after all is an error, so a server that starts meanwhile loses nothing.
 */
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { releasedAtMs } from '@posthorn/core/mail/envelope';
import type { DeliveryState, ListedMessage, QueueStore, StoredMessage } from '@posthorn/core/queue/store';
import type { QueueListed } from '@posthorn/core/queue/queue';
import { queuePlugin } from '@posthorn/queue-level';
import type { ControlRequest } from './protocol.ts';
import { shardDirectory } from '../server/shard.ts';

type QueueRequest = Exclude<ControlRequest, { ask: 'reload' | 'status' }>;

/**
 * Answers like a server would.
 * @throws StoreError, PH_STORE_LOCKED among them
 */
export async function* askStores(dataDirectory: string, request: QueueRequest): AsyncGenerator<QueueListed | number | string> {
  for (const slot of await slotsIn(dataDirectory)) {
    const store = queuePlugin.create({ directory: shardDirectory(dataDirectory, slot) });
    await store.open();
    try {
      yield* askStore(store, request);
    } finally {
      await store.close();
    }
  }
}

/** Shards in the data folder, by number. */
async function slotsIn(dataDirectory: string): Promise<number[]> {
  try {
    const names = await readdir(join(dataDirectory, 'queue'));
    return names
      .map(Number)
      .filter(Number.isInteger)
      .sort((a, b) => a - b);
  } catch (error) {
    // A server that never ran has no queue.
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return [];
    throw error;
  }
}

async function* askStore(store: QueueStore, request: QueueRequest): AsyncGenerator<QueueListed | number | string> {
  switch (request.ask) {
    case 'queue.list':
      for await (const entry of store.list()) yield asListed(entry);
      break;
    case 'queue.show': {
      const message = await store.read(request.id);
      if (message !== undefined) yield asListed({ kind: 'message', id: request.id, message });
      break;
    }
    case 'queue.retry':
      yield await makeDue(store, request.id);
      break;
    case 'queue.remove':
      if ((await store.read(request.id)) !== undefined) {
        await store.remove(request.id);
        yield 'removed';
      }
      break;
  }
}

/** When nothing runs, nothing is under way; the next attempt is the earliest of the recipients that wait. */
function asListed(entry: ListedMessage): QueueListed {
  if (entry.kind === 'damaged') return entry;
  return {
    kind: 'message',
    id: entry.id,
    message: { ...entry.message, active: false, nextAttemptAtMs: nextAttempt(entry.message) },
  };
}

function nextAttempt({ state, envelope }: StoredMessage): number {
  const waiting = (state?.recipients ?? []).filter(({ status }) => status === 'pending').map((one) => one.nextAttemptAtMs);
  return waiting.length === 0 ? releasedAtMs(envelope) : Math.min(...waiting);
}

/** Writes "now" into the store, where the next server finds it. Of all, not those that are held. @returns how many messages became due */
async function makeDue(store: QueueStore, id: string | undefined): Promise<number> {
  if (id !== undefined) {
    const message = await store.read(id);
    if (message === undefined) return 0;
    await settleNow(store, id, message);
    return 1;
  }
  // Gathered first: a store need not allow changes while it is listed. Ids are short.
  const ids: string[] = [];
  for await (const entry of store.list()) if (entry.kind === 'message') ids.push(entry.id);
  let count = 0;
  for (const one of ids) {
    const message = await store.read(one);
    if (message === undefined || isHeld(message)) continue;
    await settleNow(store, one, message);
    count++;
  }
  return count;
}

/** Not let go yet; one that was tried was (RFC 4865). */
function isHeld({ state, envelope }: StoredMessage): boolean {
  return state === undefined && releasedAtMs(envelope) > Date.now();
}

async function settleNow(store: QueueStore, id: string, message: StoredMessage): Promise<void> {
  const { state, envelope } = message;
  const now = Date.now();
  // Never tried: it is due as it is, unless it is held.
  if (state === undefined && !isHeld(message)) return;
  const recipients =
    state === undefined
      ? envelope.recipients.map(() => ({ status: 'pending', attempts: 0, nextAttemptAtMs: now }) as const)
      : state.recipients.map((one) => (one.status === 'pending' ? { ...one, nextAttemptAtMs: now } : one));
  await store.settle(id, { ...state, recipients } satisfies DeliveryState);
}
