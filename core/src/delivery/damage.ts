/**
 * A message whose bytes are not what was stored: trying again will not help, so that its sender is told at once, with what
 * can be read of it (notice/send). Used where bodies are read: delivery/loop for mailboxes, remote/destination.
 */
import type { Log } from '../observe/log.ts';
import { StoreError } from '../queue/store.ts';
import type { Result } from './reply.ts';

const DAMAGED: Result = { outcome: 'failed', reply: '554 5.3.0 the message is damaged on the disk of this server' };

/** @returns what is wrong with the message; undefined where its store cannot be read for now */
export function damageIn(error: unknown): string | undefined {
  return error instanceof StoreError && error.code === 'PH_STORE_DAMAGED' ? error.message : undefined;
}

/** A body as it is. @param found called with what is wrong before the error goes on to the reader */
export async function* noticing(body: AsyncIterable<Uint8Array>, found: (damage: string) => void): AsyncIterable<Uint8Array> {
  try {
    yield* body;
  } catch (error) {
    const damage = damageIn(error);
    if (damage !== undefined) found(damage);
    throw error;
  }
}

/** Tells the operator. @returns the results of the attempt in which that was found: nobody is to be tried again */
export function failDamaged(log: Log, id: string, damage: string, results: readonly Result[]): Result[] {
  log.error('delivery.damaged', { message: id, reason: damage });
  return results.map((result) => (result.outcome === 'deferred' ? DAMAGED : result));
}
