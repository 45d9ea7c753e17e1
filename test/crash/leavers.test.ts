/**
 * Clients that leave at any byte of a session, by a reset or a half-closed connection, while what they send is in memory,
 * on its way to a spool file or being stored: nothing of theirs stays, neither connections, nor memory, nor files.
 */
import { once } from 'node:events';
import { readdirSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { test } from 'vitest';
import { startRig } from '../lib/rig.ts';
import { beginMessage, sendMessage, smtpSession } from '../lib/smtp-talk.ts';

const TO = 'alice@example.test';
const CLIENTS = 300;
const AT_ONCE = 40;
const LONG = { timeout: 20_000 };

/** Numbers that look random and are the same each time. */
function numbers(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (Math.imul(state, 1_103_515_245) + 12_345) & 0x7fff_ffff;
    return Math.floor((state / 0x8000_0000) * below);
  };
}

/** Sends the first `bytes` of `text` and leaves. */
async function leaveAfter(port: number, text: string, bytes: number, reset: boolean): Promise<void> {
  const socket = connect({ port, host: '127.0.0.1' });
  const closed = once(socket, 'close');
  // A reset of the server's is one way to be closed.
  socket.on('error', () => undefined).resume();
  await once(socket, 'connect');
  socket.write(text.slice(0, bytes), () => (reset ? socket.resetAndDestroy() : socket.end()));
  await closed;
}

test('clients that leave at any byte leave nothing behind', async (context) => {
  const { expect } = context;
  const { server } = await startRig(context, {
    config: {
      throughput: {
        processes: 1,
        sessionThreads: 1,
        spillBytes: '64 KiB',
        // Room for some at once: what one of them kept would soon be missed.
        messageMemoryBytes: '8 MiB',
        maxConnectionsPerClient: AT_ONCE + 10,
      },
    },
  });
  const random = numbers(7);
  const small = 'Subject: x\r\n\r\ntext\r\n'.repeat(10);
  const large = `Subject: x\r\n\r\n${'sixty-two bytes of text that is the same in each of the lines\r\n'.repeat(8000)}`;
  const envelope = `EHLO client.test\r\nMAIL FROM:<>\r\nRCPT TO:<${TO}>\r\nDATA\r\n`;
  let left = CLIENTS;
  const client = async (): Promise<void> => {
    while (left-- > 0) {
      const text = `${envelope}${random(2) === 0 ? small : large}.\r\n`;
      // Often in the first bytes, the last ones, or with all of it said.
      const bytes = [random(text.length), random(100), text.length - random(5), text.length][random(4)]!;
      await leaveAfter(server.ports.smtp, text, bytes, random(2) === 0);
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, client));

  const connections = async () => {
    const { stdout } = await server.command('status', '--json', '--config', server.configFile);
    return (JSON.parse(stdout) as { connections: number }).connections;
  };
  await expect.poll(connections, LONG).toBe(0);
  await expect.poll(() => readdirSync(join(server.dataFolder, 'spool', '0')), LONG).toEqual([]);
  // As many as the memory holds, all at once.
  const talks = await Promise.all(Array.from({ length: 45 }, () => smtpSession(server.ports.smtp)));
  expect(await Promise.all(talks.map((talk) => beginMessage(talk, TO, ' SIZE=60000')))).toEqual(
    talks.map(() => expect.stringMatching(/^354/)),
  );
  for (const talk of talks) talk.leave();
  expect(await sendMessage(await smtpSession(server.ports.smtp), TO, large)).toMatch(/^250/);
});
