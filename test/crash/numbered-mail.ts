/**
 * Both ends of a test that nothing acknowledged is lost: clients that send numbered messages by SMTP, pipelined, and
 * note which numbers got a 250, and a sink that notes which numbers came, and how often. They outlive the server
 * between them: a connection that breaks is made anew.
 */
import { type Server, type Socket, createConnection, createServer } from 'node:net';
import type { AddressInfo } from 'node:net';

const NUMBER = /^X-Number: (\d+)\r$/m;
const EOL = '\r\n';

export interface NumberedSender {
  /** Numbers that got a 250 for the message. */
  readonly acknowledged: ReadonlySet<number>;
  /** Numbers whose fate is unknown: the connection broke before the answer. */
  readonly unanswered: ReadonlySet<number>;
  /** Replies other than those awaited, and how often. */
  readonly refused: ReadonlyMap<string, number>;
  /** No new messages; resolves when the connections are closed. */
  stop(): Promise<void>;
}

export interface SenderOptions {
  readonly port: number;
  readonly connections: number;
  /** Messages a second over all connections, at the most. */
  readonly rate: number;
  readonly bodyBytes: number;
}

/** Starts sending at once. */
export function startSender(options: SenderOptions): NumberedSender {
  const acknowledged = new Set<number>();
  const unanswered = new Set<number>();
  const refused = new Map<string, number>();
  const body = `${'b'.repeat(76)}${EOL}`.repeat(Math.ceil(options.bodyBytes / 78));
  const pauseMs = (1000 * options.connections) / options.rate;
  let next = 1;
  let stopping = false;
  const open = new Map<Socket, Promise<void>>();

  function connect(): void {
    const socket = createConnection({ port: options.port, host: '127.0.0.1', noDelay: true });
    let under: number | undefined;
    let sentAt = 0;
    let held = '';
    /** Replies to come: each is the code it must have. The three of an envelope travel in one piece. */
    let awaited = ['220'];

    const command = (text: string, ...codes: string[]) => {
      awaited.push(...codes);
      socket.write(text, 'latin1');
    };
    const envelope = () => {
      sentAt = performance.now();
      command(`MAIL FROM:<sender@source.test>${EOL}RCPT TO:<any@sink.test>${EOL}DATA${EOL}`, '250', '250', '354');
    };
    const message = () => {
      under = next++;
      unanswered.add(under);
      command(`Subject: numbered${EOL}X-Number: ${under}${EOL}${EOL}${body}.${EOL}`, '250');
    };
    const again = () => {
      const waitMs = pauseMs - (performance.now() - sentAt);
      if (stopping) socket.end(`QUIT${EOL}`);
      else if (socket.destroyed) return;
      else if (waitMs <= 1) envelope();
      else setTimeout(again, waitMs);
    };

    /** @param code of a whole reply; the state follows from what was awaited. */
    const replied = (code: string, line: string) => {
      const wanted = awaited.shift();
      if (code !== wanted) {
        refused.set(line, (refused.get(line) ?? 0) + 1);
        if (under !== undefined) unanswered.delete(under); // Refused: it may be lost.
        under = undefined;
        return void socket.destroy();
      }
      if (code === '220') return command(`EHLO numbered.test${EOL}`, '250');
      if (under !== undefined) {
        acknowledged.add(under);
        unanswered.delete(under);
        under = undefined;
        return again();
      }
      if (code === '354') return message();
      if (awaited.length === 0) again();
    };

    socket.on('data', (data: Buffer) => {
      held += data.toString('latin1');
      for (let end = held.indexOf(EOL); end >= 0; end = held.indexOf(EOL)) {
        const line = held.slice(0, end);
        held = held.slice(end + 2);
        if (line[3] !== '-') replied(line.slice(0, 3), line);
      }
    });
    socket.on('error', () => socket.destroy()); // Broken by the kill: its numbers stay unanswered.
    const closed = new Promise<void>((resolve) => socket.once('close', resolve));
    open.set(socket, closed);
    void closed.then(() => {
      open.delete(socket);
      if (!stopping) setTimeout(() => !stopping && connect(), 20);
      awaited = [];
    });
  }

  for (let i = 0; i < options.connections; i++) connect();
  return {
    acknowledged,
    unanswered,
    refused,
    async stop() {
      stopping = true;
      await Promise.all(open.values());
    },
  };
}

export interface NumberedSink {
  readonly port: number;
  /** How often each number came. */
  readonly came: ReadonlyMap<number, number>;
  close(): Promise<void>;
}

/** Starts a sink that takes everything. */
export async function startNumberedSink(): Promise<NumberedSink> {
  const came = new Map<number, number>();
  const sockets = new Set<Socket>();
  const server: Server = createServer({ noDelay: true }, (socket) => {
    sockets.add(socket);
    socket.once('close', () => sockets.delete(socket));
    socket.on('error', () => socket.destroy()); // The server was killed while it delivered.
    let held = '';
    let inData = false;
    const command = (line: string): string => {
      const verb = line.slice(0, 4).toUpperCase();
      if (verb === 'EHLO') return `250-sink.test${EOL}250-PIPELINING${EOL}250 8BITMIME${EOL}`;
      inData = verb === 'DATA';
      if (verb === 'QUIT') return `221 bye${EOL}`;
      return inData ? `354 go on${EOL}` : `250 ok${EOL}`;
    };
    const read = (): string => {
      let replies = '';
      for (;;) {
        const end = held.indexOf(inData ? `${EOL}.${EOL}` : EOL);
        if (end < 0) return replies;
        if (inData) {
          const number = Number(NUMBER.exec(held.slice(0, end))?.[1]);
          came.set(number, (came.get(number) ?? 0) + 1);
          held = held.slice(end + 5);
          inData = false;
          replies += `250 ok${EOL}`;
        } else {
          const line = held.slice(0, end);
          held = held.slice(end + 2);
          replies += command(line);
        }
      }
    };
    socket.on('data', (data: Buffer) => {
      held += data.toString('latin1');
      const replies = read();
      if (replies !== '') socket.write(replies);
    });
    socket.on('end', () => socket.end());
    socket.write(`220 sink.test${EOL}`);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    port: (server.address() as AddressInfo).port,
    came,
    async close() {
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
