/** Sends one message of any size over a raw connection without holding it: the same 64 KiB of lines, again and again. */
import { createConnection } from 'node:net';
import { once } from 'node:events';

const LINES = Buffer.from(`${'M'.repeat(76)}\r\n`.repeat(840));

/** Resolves at 250; rejects with the reply otherwise. The message has at least `sizeBytes`, up to 64 KiB more. */
export async function sendLarge(port: number, sizeBytes: number): Promise<void> {
  const socket = createConnection({ port, host: '127.0.0.1' });
  socket.setEncoding('latin1');
  const lines = replies(socket);
  try {
    await expectReply(lines, '220');
    for (const command of ['EHLO large.test', 'MAIL FROM:<sender@source.test>', 'RCPT TO:<recipient@sink.test>']) {
      socket.write(`${command}\r\n`);
      await expectReply(lines, '250');
    }
    socket.write('DATA\r\n');
    await expectReply(lines, '354');
    socket.write('Subject: a large message\r\n\r\n');
    for (let sent = 0; sent < sizeBytes; sent += LINES.length) if (!socket.write(LINES)) await once(socket, 'drain');
    socket.write('.\r\n');
    await expectReply(lines, '250');
    socket.end('QUIT\r\n');
  } finally {
    socket.destroy();
  }
}

/** Each reply whole, its lines joined. */
async function* replies(socket: AsyncIterable<string>): AsyncGenerator<string> {
  let held = '';
  for await (const text of socket) {
    held += text;
    for (let end = /^\d{3} .*\r\n/m.exec(held); end !== null; end = /^\d{3} .*\r\n/m.exec(held)) {
      yield held.slice(0, end.index + end[0].length);
      held = held.slice(end.index + end[0].length);
    }
  }
}

async function expectReply(lines: AsyncGenerator<string>, code: string): Promise<void> {
  const { value, done } = await lines.next();
  if (done === true) throw new Error(`closed before ${code}`);
  if (!value.startsWith(code)) throw new Error(`expected ${code}: ${value}`);
}
