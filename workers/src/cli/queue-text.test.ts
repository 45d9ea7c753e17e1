/** What `posthorn queue list` and `show` print. */
import type { Envelope } from '@posthorn/core/mail/envelope';
import type { QueueListed } from '@posthorn/core/queue/queue';
import type { RecipientState } from '@posthorn/core/queue/store';
import { expect, test } from 'vitest';
import { describeMessage, listText } from './queue-text.ts';

const NOW = 10_000_000;
const waiting: RecipientState = { status: 'pending', attempts: 1, nextAttemptAtMs: NOW + 300_000, reply: '451 4.7.1 greylisted' };

function messageTo(recipients: readonly RecipientState[] | number, active = false): QueueListed {
  const count = typeof recipients === 'number' ? recipients : recipients.length;
  const envelope: Envelope = {
    id: 'm1',
    receivedAtMs: NOW - 60_000,
    reversePath: 'a@x.test',
    recipients: Array.from({ length: count }, (_, index) => ({ address: `r${index}@y.test` })),
    origin: { listener: 'mx', clientAddress: '192.0.2.9', clientPort: 1, helo: 'c', protocol: 'ESMTP', sessionId: 's1' },
    sizeBytes: 58,
    body: '7bit',
  };
  const state = typeof recipients === 'number' ? undefined : { recipients };
  return { kind: 'message', id: 'm1', message: { envelope, state, active, nextAttemptAtMs: NOW + 300_000 } };
}

const linesOf = (text: string): string[] => text.trimEnd().split('\n');

test('list says of each recipient that waits why, and when it is tried again: it told of neither', () => {
  const delivered: RecipientState = { status: 'delivered', attempts: 1, nextAttemptAtMs: 0, reply: '250 2.0.0 ok' };
  expect(linesOf(listText(messageTo([delivered, waiting]), NOW))).toEqual([
    'm1  1m old  58 bytes  a@x.test -> r1@y.test  next attempt in 5m',
    '  r1@y.test: 451 4.7.1 greylisted; next attempt in 5m',
  ]);
});

test('list has one line for what was not tried yet', () => {
  expect(linesOf(listText(messageTo(2), NOW))).toHaveLength(1);
});

test('list shows the first of many recipients, and nothing that a terminal could take for more than text', () => {
  const states = Array.from({ length: 20 }, () => ({ ...waiting, reply: '451 \x1b[2J' }));
  const lines = linesOf(listText(messageTo(states), NOW));
  expect(lines.slice(1)).toEqual([
    ...[0, 1, 2].map((index) => `  r${index}@y.test: 451 ?[2J; next attempt in 5m`),
    '  and 17 more',
  ]);
});

test('while it is in delivery no next attempt is named, nor is it said to be sent: it may stand in line', () => {
  expect(linesOf(listText(messageTo([waiting], true), NOW))).toEqual([
    'm1  1m old  58 bytes  a@x.test -> r0@y.test  in delivery: being sent, or in line',
    '  r0@y.test: 451 4.7.1 greylisted',
  ]);
});

test('show has the next attempt of each recipient', () => {
  const states = [waiting, { ...waiting, attempts: 2, nextAttemptAtMs: NOW }];
  expect(linesOf(describeMessage(messageTo(states), NOW)).slice(-2)).toEqual([
    'to        r0@y.test: pending after 1 attempt: 451 4.7.1 greylisted; next attempt in 5m',
    'to        r1@y.test: pending after 2 attempts: 451 4.7.1 greylisted; due now',
  ]);
});

test('who has the mail is said to have it, while its sender has still to be told: it was pending, with the reply of success', () => {
  const owed: RecipientState = {
    ...waiting,
    attempts: 2,
    reply: '250 2.0.0 queued',
    owed: { nextHop: 'mx.y.test[192.0.2.1]:25' },
  };
  expect(listText(messageTo([owed]), NOW)).toContain(
    '  r0@y.test: delivered; its sender has still to be told; next attempt in 5m\n',
  );
  expect(describeMessage(messageTo([owed]), NOW)).toContain(' r0@y.test: delivered; its sender has still to be told; next');
});
