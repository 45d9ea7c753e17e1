/** A message that the operator removes while the store is at work on it. */
import { expect, test } from 'vitest';
import type { Envelope } from '../mail/envelope.ts';
import type { Log } from '../observe/log.ts';
import { createQueue, type Queue } from './queue.ts';
import type { DeliveryState, QueueStore, StoredMessage } from './store.ts';

/** A store of one message, whose reads or settles wait until they are let go. */
async function rigWaitingIn(step: 'read' | 'settle') {
  const recipients = [{ address: 'bob@example.net' }];
  const envelope = { id: 'm1', receivedAtMs: 0, reversePath: '', recipients } as unknown as Envelope;
  const held = new Map<string, StoredMessage>([['m1', { envelope, state: undefined }]]);
  const waiting: (() => void)[] = [];
  const wait = (own: string) => (own === step ? new Promise<void>((resolve) => waiting.push(resolve)) : Promise.resolve());
  const store = {
    async open() {},
    async close() {},
    async *list() {
      for (const [id, message] of held) yield { kind: 'message', id, message };
    },
    async read(id: string) {
      const found = held.get(id);
      await wait('read');
      return found;
    },
    async settle(id: string, state: DeliveryState) {
      await wait('settle');
      held.set(id, { envelope, state });
    },
    async remove(id: string) {
      held.delete(id);
    },
  } as unknown as QueueStore;
  const logged: string[] = [];
  const note = (event: string): void => void logged.push(event);
  const log: Log = { debug: note, info: note, warn: note, error: note, with: () => log };
  const clock = { now: () => 1000, monotonic: () => 1000, after: () => () => undefined };
  const retry = { waitsMs: [1000], giveUpAfterMs: 100_000 };
  const queue: Queue = createQueue({ store, clock, log, retry, priorityStepMs: 1000, counters: { add: () => undefined } });
  await queue.open();
  const goOn = () => waiting.splice(0).forEach((go) => go());
  return { queue, held, logged, goOn };
}

test('one that is being read to be handed out is not handed out any more', async () => {
  const { queue, held, logged, goOn } = await rigWaitingIn('read');
  const taking = queue.takeDue(1);
  const removing = queue.remove('m1');
  goOn();
  expect(await removing).toBe('removed');
  expect(await taking).toEqual([]);
  expect([...held.keys()]).toEqual([]);
  expect(queue.sizes()).toEqual({ waiting: 0, active: 0, committing: 0 });
  expect(logged.filter((event) => event === 'queue.vanished')).toEqual([]);
});

test('one whose last outcome is being written is gone from the store after it', async () => {
  const { queue, held, goOn } = await rigWaitingIn('settle');
  expect(await queue.takeDue(1)).toHaveLength(1);
  const settling = queue.settle('m1', [{ index: 0, outcome: 'deferred', reply: '451 4.3.0 later', nextAttemptAtMs: 5000 }]);
  const removing = queue.remove('m1');
  // Its own write comes after the one under way.
  goOn();
  goOn();
  expect(await removing).toBe('being-sent');
  await settling;
  expect([...held.keys()]).toEqual([]);
  expect(queue.sizes()).toEqual({ waiting: 0, active: 0, committing: 0 });
});
