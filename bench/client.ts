/**
 * What delivery to another server costs: loop, pool, client and socket, without store, log and plugins, against Postfix's
 * smtp-sink. Run: `node bench/client.ts [messages]`. Prints a JSON line a run: CPU µs of this process a message, and the rate.
 * "tight" keeps the queue full, so that connections pipeline; "one" hands out one message after another.
 */
import { createDelivery } from '@posthorn/core/delivery/loop';
import type { DueMessage } from '@posthorn/core/delivery/ports';
import type { Log } from '@posthorn/core/observe/log';
import { systemClock } from '@posthorn/core/mail/system-clock';
import { startCountingSink } from './load/sink.ts';

const messages = Number(process.argv[2] ?? 20_000);
const ignore = (): void => undefined;
const log: Log = { debug: ignore, info: ignore, warn: ignore, error: ignore, with: () => log };
const line = 'The quick brown fox jumps over the lazy dog, and that seventy times.\r\n';
const body = Buffer.from(`Subject: four kilobytes\r\n\r\n${line.repeat(58)}`);

function dueMessage(index: number): DueMessage {
  const envelope = {
    id: `m${index}`,
    receivedAtMs: Date.now(),
    reversePath: 'sender@client.example',
    recipients: [{ address: 'alice@example.org' }],
    origin: { listener: 'mx', clientAddress: '127.0.0.1', clientPort: 1, helo: 'c', protocol: 'ESMTP', sessionId: 's' },
    sizeBytes: body.length,
    body: '7bit',
  } as const;
  return { envelope, state: undefined, due: [0] };
}

async function* oneBody(): AsyncGenerator<Uint8Array> {
  yield body;
}

/** @returns when each of `count` messages was settled; at most `window` of them are due at a time */
async function deliverAll(port: number, count: number, connections: number, window: number): Promise<void> {
  let made = 0;
  let settled = 0;
  let failed = 0;
  let wake = ignore;
  const { promise, resolve } = Promise.withResolvers<void>();
  const none = (): Promise<never> => Promise.reject(new Error('not asked here'));
  const delivery = createDelivery(
    {
      queue: {
        takeLate: async () => [],
        async takeDue(limit) {
          const some: DueMessage[] = [];
          while (some.length < limit && made < count && made - settled < window) some.push(dueMessage(made++));
          return some;
        },
        onDue(then) {
          wake = then;
          then();
        },
        onRemove: ignore,
        body: oneBody,
        nextAttempt: () => undefined,
        async settle(_id, outcomes) {
          for (const { outcome } of outcomes) if (outcome !== 'delivered') failed++;
          if (++settled === count) resolve();
          else if (made - settled < window) wake();
        },
        release: ignore,
      },
      mailbox: { deliver: none },
      directory: { resolve: () => ({ is: 'foreign' }), user: () => undefined, isOurs: () => false },
      dns: { mx: none, a: none, aaaa: none, txt: none, ptr: none, resolve: none },
      hooks: { deliver: null, delivered: null, deferred: null, bounced: null },
      submitNotice: none,
      newId: () => 'b',
      sts: { find: async () => 'none' },
      isSelf: () => false,
      clock: systemClock,
      log,
      counters: { add: ignore },
    },
    {
      hostname: 'bench.example',
      config: {
        domains: {},
        relay: { via: `smtp://127.0.0.1:${port}`, routes: [], port: 25, tls: 'never', mtaSts: false, convertSigned: false },
        throughput: { deliveryConcurrency: connections, deliveryConcurrencyPerDestination: connections },
        queue: { priorityStep: 600_000, warnAfter: null, giveUpAfter: 432_000_000, maxReturnBytes: 262_144 },
      },
    },
  );
  delivery.start();
  const alive = setInterval(ignore, 1000);
  await promise;
  clearInterval(alive);
  await delivery.drain(1000);
  if (failed > 0) throw new Error(`${failed} of ${count} messages were not delivered`);
}

const sink = await startCountingSink();
try {
  await deliverAll(sink.port, 2_000, 5, 1_000);
  for (const [name, connections, window] of [
    ['tight', 1, 1_000],
    ['tight', 5, 1_000],
    ['tight', 20, 2_000],
    ['one', 1, 1],
  ] as const) {
    const count = name === 'one' ? Math.ceil(messages / 10) : messages;
    const before = process.cpuUsage();
    const startedAt = performance.now();
    await deliverAll(sink.port, count, connections, window);
    const seconds = (performance.now() - startedAt) / 1000;
    const { user, system } = process.cpuUsage(before);
    console.log(
      JSON.stringify({
        bench: 'client',
        name,
        connections,
        messages: count,
        bytes: body.length,
        cpuMicrosPerMessage: Number(((user + system) / count).toFixed(1)),
        perSecond: Math.round(count / seconds),
      }),
    );
  }
} finally {
  await sink.stop();
}
