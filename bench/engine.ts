/**
 * What the SMTP engine itself costs: one session, 4 KB messages lock-step, no hooks, a sink that keeps nothing.
 * Run: `node bench/engine.ts [messages]`. Prints a JSON line a run: µs of wall clock (one thread, nothing else in it) a message.
 */
import { createSmtpSession } from '@posthorn/core/smtp/session';
import type { MessageWriter } from '@posthorn/core/smtp/ports';
import { createKit } from '../test/lib/smtp-ports.ts';

const messages = Number(process.argv[2] ?? 50_000);
const runs = 5;

const slab = new Uint8Array(64 * 1024);
class SlabWriter implements MessageWriter {
  readonly failure = undefined;
  sizeBytes = 0;
  write(chunk: Uint8Array, from: number, to: number): boolean {
    slab.set(chunk.subarray(from, to), this.sizeBytes);
    this.sizeBytes += to - from;
    return true;
  }
  onDrain(then: () => void): void {
    then();
  }
  seal() {
    const whole = slab.subarray(0, this.sizeBytes);
    return { sizeBytes: this.sizeBytes, header: slab.subarray(0, headerBytes), whole, chunks: noChunks };
  }
  drop(): void {
    this.sizeBytes = 0;
  }
}
async function* noChunks(): AsyncGenerator<Uint8Array> {}

const header =
  'Received: from a.example (a.example [192.0.2.1])\r\n\tby b.example with ESMTPS id 1234\r\n\tfor <alice@example.org>; Mon, 23 Nov 2026 12:00:00 +0000\r\n' +
  'From: Sender <sender@client.example>\r\nTo: Alice <alice@example.org>\r\nSubject: A message of four kilobytes\r\n' +
  'Date: Mon, 23 Nov 2026 12:00:00 +0000\r\nMessage-ID: <1234@client.example>\r\nMIME-Version: 1.0\r\nContent-Type: text/plain\r\n\r\n';
const headerBytes = header.length;
const line = 'The quick brown fox jumps over the lazy dog, and that seventy times.\r\n';
const message = header + line.repeat(Math.floor((4096 - header.length) / line.length));

// One buffer that every chunk is read into, as a socket with `onread` has it.
const buffer = Buffer.alloc(64 * 1024);
const read = (text: string): Buffer => buffer.subarray(0, buffer.write(text, 'latin1'));
const chunks = ['MAIL FROM:<sender@client.example> SIZE=4096\r\n', 'RCPT TO:<alice@example.org>\r\n', 'DATA\r\n'];
const body = Buffer.from(`${message}.\r\n`, 'latin1');

const kit = createKit({
  limits: { maxMessages: Number.MAX_SAFE_INTEGER },
  ports: {
    sink: {
      begin: () => new SlabWriter(),
      accept: async ({ writer }) => {
        writer.drop();
        return { ok: true };
      },
    },
    log: { debug: ignore, info: ignore, warn: ignore, error: ignore, with: () => kit.ports.log },
    counters: { add: ignore },
  },
});
function ignore(): void {}

for (let run = 1; run <= runs; run += 1) {
  let answered: () => void = ignore;
  const session = createSmtpSession(
    kit.ports,
    kit.profile,
    { address: '192.0.2.7', port: 40_000, sessionId: 'bench' },
    {
      write: () => {
        answered();
        return true;
      },
      startTls: ignore,
      pause: ignore,
      resume: ignore,
      close: ignore,
    },
  );
  session.start();
  session.feed(read('EHLO client.example\r\n'));
  const started = process.hrtime.bigint();
  for (let sent = 0; sent < messages; sent += 1) {
    for (const chunk of chunks) session.feed(read(chunk));
    const queued = new Promise<void>((resolve) => (answered = resolve));
    buffer.set(body);
    session.feed(buffer.subarray(0, body.length));
    await queued;
    answered = ignore;
  }
  const microseconds = Number(process.hrtime.bigint() - started) / 1000 / messages;
  process.stdout.write(
    `${JSON.stringify({ bench: 'engine', run, messages, messageBytes: message.length, microsecondsPerMessage: Number(microseconds.toFixed(2)) })}\n`,
  );
}
