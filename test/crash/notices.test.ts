/**
 * A crash between the delivery of a message and what is written of it, at each of its points, with the store of the server:
 * a success that was asked for is told once, never for what was not delivered, and never lost.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { DeliveryPorts } from '@posthorn/core/delivery/ports';
import type { Envelope } from '@posthorn/core/mail/envelope';
import { systemClock } from '@posthorn/core/mail/system-clock';
import { MailboxError } from '@posthorn/core/maildrop/mailbox';
import { createQueue, type Queue } from '@posthorn/core/queue/queue';
import { createLevelStore } from '@posthorn/queue-level';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { makeRig, MESSAGE, silentLog, type Rig } from '../lib/delivery-rig.ts';
import { bodyOf } from '../lib/queue-messages.ts';

let directory: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'posthorn-notices-'));
});
afterEach(() => rmSync(directory, { recursive: true }));

const envelope: Envelope = {
  id: 'M1',
  receivedAtMs: systemClock.now(),
  reversePath: 'sender@example.test',
  recipients: [{ address: 'b@me.test', mailbox: 'b', notify: ['success'] }],
  origin: { listener: 'mx', clientAddress: '192.0.2.9', clientPort: 1, helo: 'client', protocol: 'ESMTP', sessionId: 's1' },
  sizeBytes: MESSAGE.length,
  body: '7bit',
};

async function open(): Promise<Queue> {
  const queue = createQueue({
    store: createLevelStore({ directory }),
    retry: { waitsMs: [60_000], giveUpAfterMs: 86_400_000 },
    priorityStepMs: 60_000,
    clock: systemClock,
    log: silentLog,
    counters: { add: () => undefined },
  });
  await queue.open();
  return queue;
}

const never = (): Promise<never> => new Promise(() => undefined);

/** Ids of the notices in the queue, and what they tell. */
async function notices(queue: Queue): Promise<string[]> {
  const found: string[] = [];
  for await (const one of queue.list()) {
    if (one.kind === 'damaged' || one.id === 'M1') continue;
    const text = (await bodyOf(queue, one.id)).toString();
    found.push(/^Action: (.*)\r$/m.exec(text)?.[1] ?? text);
  }
  return found;
}

/** Delivers what is due of M1 with this queue; notices stay where they are. */
function deliver(queue: Queue, ids: string, over: Partial<DeliveryPorts> & { settle?: Queue['settle'] }): Rig {
  const { settle = (id, outcomes) => queue.settle(id, outcomes), ...ports } = over;
  return makeRig({
    ports: {
      queue: {
        takeDue: async (limit) => (await queue.takeDue(limit)).filter((due) => due.envelope.id === 'M1'),
        takeLate: (limit) => queue.takeLate(limit),
        onDue: (then) => queue.onDue(then),
        onRemove: (then) => queue.onRemove(then),
        body: (id) => queue.body(id),
        nextAttempt: (...args) => queue.nextAttempt(...args),
        settle,
        release: (id, delayMs) => queue.release(id, delayMs),
      },
      submitNotice: (one, bytes) => queue.accept({ id: one.id, envelope: Buffer.from(JSON.stringify(one)), pieces: [bytes] }),
      newId: () => ids,
      ...ports,
    },
  });
}

test.each([
  ['before the mailbox has it', 'mailbox'],
  ['before the notice is on disk', 'notice'],
  ['before the queue is told', 'settle'],
] as const)('a crash %s loses no notice of a success and tells of none that was not', async (_, point) => {
  const first = await open();
  await first.accept({ id: 'M1', envelope: Buffer.from(JSON.stringify(envelope)), pieces: [Buffer.from(MESSAGE)] });
  const delivered: string[] = [];
  const mailbox = {
    deliver: async (name: string): Promise<void> => {
      delivered.push(name);
    },
  };
  let reached = (): void => undefined;
  const atPoint = new Promise<void>((resolve) => (reached = resolve));
  const stop = (): Promise<never> => {
    reached();
    return never();
  };
  const crashing = {
    mailbox: { mailbox: { deliver: stop } },
    notice: { mailbox, submitNotice: stop },
    settle: { mailbox, settle: stop },
  }[point];
  deliver(first, 'N1', crashing);
  await atPoint;
  expect(await notices(first)).toEqual(point === 'settle' ? ['delivered'] : []);
  await first.close();

  const second = await open();
  if (point === 'settle') {
    // The notice itself says what it settles: it was told twice before, of two deliveries.
    expect(await second.show('M1')).toBeUndefined();
    expect([await notices(second), delivered, second.sizes().waiting]).toEqual([['delivered'], ['b'], 1]);
    return second.close();
  }
  expect((await second.show('M1'))?.state).toBeUndefined();
  expect(await notices(second)).toEqual([]);
  let settled = (): void => undefined;
  const done = new Promise<void>((resolve) => (settled = resolve));
  deliver(second, 'N2', {
    mailbox,
    settle: async (id, outcomes) => {
      await second.settle(id, outcomes);
      settled();
    },
  });
  await done;
  expect(await notices(second)).toEqual(['delivered']);
  expect(delivered).toEqual(point === 'mailbox' ? ['b'] : ['b', 'b']);
  expect(await second.show('M1')).toBeUndefined();
  await second.close();
});

// An expansion was told without a word on whom it was told with, so that the next start did not know of it.
test('a crash before the queue is told of an address that became several tells of it once', async () => {
  const member = { original: 'team@me.test', notify: ['success'], expanded: true } as const;
  const several = {
    ...envelope,
    recipients: ['b', 'c'].map((mailbox) => ({ address: `${mailbox}@me.test`, mailbox, ...member })),
  };
  const first = await open();
  await first.accept({ id: 'M1', envelope: Buffer.from(JSON.stringify(several)), pieces: [Buffer.from(MESSAGE)] });
  const delivered: string[] = [];
  const mailbox = {
    deliver: async (name: string): Promise<void> => {
      if (name === 'c') throw new MailboxError(false, '4.2.2', 'full');
      delivered.push(name);
    },
  };
  await new Promise<void>((resolve) => {
    deliver(first, 'N1', {
      mailbox,
      settle: () => {
        resolve();
        return never();
      },
    });
  });
  expect(await notices(first)).toEqual(['expanded']);
  await first.close();

  const second = await open();
  expect((await second.show('M1'))?.state?.recipients.map(({ status }) => status)).toEqual(['delivered', 'pending']);
  await new Promise<void>((resolve) => {
    deliver(second, 'N2', {
      mailbox,
      settle: async (id, outcomes) => {
        await second.settle(id, outcomes);
        resolve();
      },
    });
  });
  expect([await notices(second), delivered]).toEqual([['expanded'], ['b']]);
  await second.close();
});
