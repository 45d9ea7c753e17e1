import { once } from 'node:events';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { Session, SessionOutput } from '../wire/session.ts';
import { Connection } from './connection.ts';

const TIMEOUTS = {
  commandMs: 300_000,
  dataMs: 180_000,
  dataWhenShortMs: 10_000,
  messageMs: 1_800_000,
  minBytesPerSecond: 100,
  sessionMs: 3_600_000,
  handshakeMs: 30_000,
};

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

test('a peer that goes on sending after the last reply is cut off all the same', async () => {
  let nowMs = 0;
  const { promise: ended, resolve: end } = Promise.withResolvers<void>();
  const connection = new Connection(accepted, {
    implicitTls: false,
    tls: undefined,
    timeouts: TIMEOUTS,
    memoryShort: () => false,
    onHandshake: () => undefined,
    now: () => nowMs,
    open: goodbyeTo,
    onEnd: () => end(),
  });
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
