/**
 * One shard of the queue with the delivery that empties it. A server process has its own, named by slot, and those of
 * slots that do not run any more; into the latter nothing is accepted, and when one is empty it is closed.
 */
import { wireDelivery, type DeliveryParts, type WiredDelivery } from '@posthorn/core/wiring/delivery';
import { createQueue, type Queue } from '@posthorn/core/queue/queue';
import { queuePlugin as level } from '@posthorn/queue-level';
import { queuePlugin as memory } from '@posthorn/queue-memory';
import type { QueueStorePlugin } from '@posthorn/sdk';
import type { Settings } from '../ipc.ts';
import { deliveryShare } from '../threads.ts';

export interface Shard {
  readonly slot: number;
  readonly queue: Queue;
  readonly delivery: WiredDelivery;
}

export interface ShardParts extends Omit<DeliveryParts, 'queue' | 'config' | 'users' | 'hostname'> {
  readonly settings: Settings;
  /** Server processes in all: they share what may be delivered at once. */
  readonly processes: number;
}

const STORES: Record<Settings['config']['queue']['store'], QueueStorePlugin> = { level, memory };

/** Where the shards of a data folder lie. */
export function shardDirectory(data: string, slot: number): string {
  return `${data}/queue/${slot}`;
}

/** A queue over the configured store; not open yet. */
export function makeQueue(slot: number, parts: Pick<ShardParts, 'settings' | 'clock' | 'log' | 'counters'>): Queue {
  const { config } = parts.settings;
  return createQueue({
    store: STORES[config.queue.store].create({
      directory: shardDirectory(config.data, slot),
      report: (event, fields) => parts.log.warn(event, { shard: slot, ...fields }),
    }),
    retry: { waitsMs: config.queue.retry, giveUpAfterMs: config.queue.giveUpAfter },
    priorityStepMs: config.queue.priorityStep,
    clock: parts.clock,
    log: parts.log,
    counters: parts.counters,
  });
}

/**
 * Opens the shard of a slot; delivery starts when `delivery.start` is called.
 * @throws StoreError, PH_STORE_LOCKED when another process has it
 */
export async function openShard(slot: number, parts: ShardParts): Promise<Shard> {
  const { settings, processes, ...rest } = parts;
  const queue = makeQueue(slot, parts);
  const found = await queue.open();
  parts.log.info('queue-open', { shard: slot, ...found });
  const { users, hostname } = settings;
  const delivery = wireDelivery({ ...rest, queue, config: deliveryShare(settings.config, processes), users, hostname });
  return { slot, queue, delivery };
}

/** Lets attempts under way finish for a bounded time, then gives the shard up. */
export async function closeShard(shard: Shard, graceMs: number): Promise<void> {
  await shard.delivery.drain(graceMs);
  await shard.queue.close();
}
