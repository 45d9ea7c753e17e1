import { once } from 'node:events';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { Session, SessionOutput } from '../wire/session.ts';
import { Connection, type ConnectionOptions } from './connection.ts';

const TIMEOUTS = {
  commandMs: 300_000,
  dataMs: 180_000,
  dataWhenShortMs: 10_000,
  messageMs: 1_800_000,
  minBytesPerSecond: 100,
  sessionMs: 3_600_000,
  handshakeMs: 30_000,
};

/** Answers each line, and nothing else. */
function answerLines(output: SessionOutput): Session {
  return {
    waitsFor: 'command',
    start: () => void output.write(Buffer.from('220 hello\r\n')),
    feed: (chunk) => void (Buffer.from(chunk).includes(10) && output.write(Buffer.from('250 ok\r\n'))),
    secured: () => undefined,
    drained: () => undefined,
    timedOut() {
      output.write(Buffer.from('421 timeout\r\n'));
      output.close();
    },
    drain: () => undefined,
    closed: () => undefined,
  };
}

/** Says goodbye to whatever comes first. */
function goodbyeTo(output: SessionOutput): Session {
  return {
    waitsFor: 'command',
    start: () => undefined,
    feed() {
      output.write(Buffer.from('421 goodbye\r\n'));
      output.close();
    },
    secured: () => undefined,
    drained: () => undefined,
    timedOut: () => undefined,
    drain: () => undefined,
    closed: () => undefined,
  };
}

let server: Server;
let client: Socket;
let accepted: Socket;
beforeEach(async () => {
  server = createServer({ allowHalfOpen: true }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as { port: number };
  const connection = once(server, 'connection') as Promise<[Socket]>;
  client = connect({ port, host: '127.0.0.1', allowHalfOpen: true });
  client.on('error', () => undefined);
  [accepted] = await connection;
});
afterEach(() => {
  client.destroy();
  server.close();
});

function accept(over: Pick<ConnectionOptions, 'open' | 'now'> & Partial<ConnectionOptions>): Connection {
  return new Connection(accepted, {
    implicitTls: false,
    tls: undefined,
    timeouts: TIMEOUTS,
    memoryShort: () => false,
    onHandshake: () => undefined,
    onEnd: () => undefined,
    ...over,
  });
}

test('a peer that goes on sending after the last reply is cut off all the same', async () => {
  let nowMs = 0;
  const { promise: ended, resolve: end } = Promise.withResolvers<void>();
  const connection = accept({ open: goodbyeTo, now: () => nowMs, onEnd: () => end() });
  connection.start();
  client.write('QUIT\r\n');
  await once(client, 'data');
  for (let second = 1; second <= 6; second += 1) {
    nowMs = second * 1000;
    const came = once(accepted, 'data');
    client.write('more\r\n');
    await came;
    connection.sweep(nowMs);
    expect(accepted.destroyed).toBe(second === 6);
  }
  await ended;
});

test('a command that drips in has a deadline from the last answer, not from its last byte', async () => {
  let nowMs = 0;
  const connection = accept({ open: answerLines, now: () => nowMs });
  const heard: string[] = [];
  client.on('data', (bytes: Buffer) => heard.push(bytes.toString()));
  connection.start();
  const drip = async (text: string): Promise<void> => {
    const came = once(accepted, 'data');
    client.write(text);
    await came;
    connection.sweep(nowMs);
  };
  await once(client, 'data');
  nowMs = 200_000;
  await drip('NOOP\r\n');
  for (const second of [300, 400, 500]) {
    nowMs = second * 1000;
    await drip('x');
  }
  expect(accepted.writableEnded).toBe(false);
  nowMs = 501_000;
  await drip('x');
  expect(accepted.writableEnded).toBe(true);
  await once(client, 'end');
  expect(heard.join('')).toBe('220 hello\r\n250 ok\r\n421 timeout\r\n');
});

/** A connection whose session does nothing by itself; the test moves it. */
function quiet() {
  const state = { nowMs: 0, timedOut: 0, ended: [] as (string | undefined)[], output: undefined as SessionOutput | undefined };
  const session: { -readonly [Key in keyof Session]: Session[Key] } = {
    waitsFor: 'verdict',
    start: () => undefined,
    feed: () => undefined,
    secured: () => undefined,
    drained: () => undefined,
    timedOut: () => void (state.timedOut += 1),
    drain: () => undefined,
    closed: () => undefined,
  };
  const connection = accept({
    now: () => state.nowMs,
    open: (output) => {
      state.output = output;
      return session;
    },
    onEnd: (cause) => void state.ended.push(cause),
  });
  connection.start();
  return { connection, session, state, write: (bytes: Uint8Array, taken?: () => void) => state.output!.write(bytes, taken) };
}

test('a peer that sent its last command and half-closed has its answer, and then the end', async () => {
  const { connection, session, state, write } = quiet();
  const half = once(accepted, 'end');
  client.end('DATA\r\n');
  await half;
  connection.sweep(1000);
  expect(accepted.writableEnded).toBe(false);
  write(Buffer.from('250 stored\r\n'));
  session.waitsFor = 'command';
  connection.sweep(2000);
  const [answer] = (await once(client, 'data')) as [Buffer];
  expect(answer.toString()).toBe('250 stored\r\n');
  await once(client, 'close');
  expect(state.ended).toEqual([undefined]);
});

test('a peer that takes no answer is timed out, also while the session waits for something else', async () => {
  const { connection, state, write } = quiet();
  client.pause();
  while (write(Buffer.alloc(256 * 1024))) await new Promise((resolve) => setImmediate(resolve));
  connection.sweep(300_000);
  expect(state.timedOut).toBe(0);
  connection.sweep(300_001);
  expect(state.timedOut).toBe(1);
});

test('answers for a peer that takes none are not held without end', () => {
  const { state, write } = quiet();
  client.pause();
  for (let at = 0; at < 100 && state.ended.length === 0; at += 1) write(Buffer.alloc(256 * 1024));
  expect(state.ended).toEqual(['peer does not read']);
  expect(accepted.destroyed).toBe(true);
});

test('says when bytes are taken: once, also those of a peer that is gone, and those that are never sent', async () => {
  const { state, write } = quiet();
  const taken: string[] = [];
  const give = (name: string, bytes: number) =>
    new Promise<void>((resolve) => {
      write(Buffer.alloc(bytes), () => {
        taken.push(name);
        resolve();
      });
      expect(taken).not.toContain(name);
    });
  await give('at once', 10);
  // More than the system takes for a peer that reads nothing.
  client.pause();
  const large = give('never sent', 3_900_000);
  const behind = give('behind it', 10);
  const closed = new Promise((resolve) => accepted.once('close', resolve));
  client.destroy();
  await closed;
  expect(state.ended).toHaveLength(1);
  await Promise.all([large, behind, give('after the end', 10)]);
  expect(taken.toSorted()).toEqual(['after the end', 'at once', 'behind it', 'never sent']);
});
