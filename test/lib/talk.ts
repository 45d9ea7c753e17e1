/**
 * A client of a test that says one line at a time, SMTP or POP3, so that a test can stop in the middle of a session.
 * Every wait has a deadline and says what was heard up to it.
 */
import { createConnection, type Socket } from 'node:net';

const DEADLINE_MS = 20_000;

export interface Talk {
  /** Sends a line with its CRLF. @returns the whole reply, lines joined by `\n`. */
  say(line: string): Promise<string>;
  /** The next reply, without saying anything. */
  hear(): Promise<string>;
  /** Sends text or bytes as they are; nothing is awaited. */
  send(text: string | Uint8Array): void;
  /** Resolves when the server has closed, with what it said last, heard or not. */
  closed(): Promise<string>;
  /** Closes without a word. */
  leave(): void;
}

/**
 * Connects and hears the greeting out, which stands in `greeting`.
 * @param from the client's own address, any of 127.0.0.0/8
 */
export async function talkTo(port: number, from = '127.0.0.1'): Promise<Talk & { readonly greeting: string }> {
  const socket = createConnection({ port, host: '127.0.0.1', localAddress: from });
  const talk = wrap(socket);
  try {
    return { ...talk, greeting: await talk.hear() };
  } catch (error) {
    socket.destroy();
    throw error;
  }
}

function wrap(socket: Socket): Talk {
  const replies: string[] = [];
  let unread = '';
  let lines: string[] = [];
  let ended = false;
  let waiting: (() => void) | undefined;

  const wake = () => {
    const resume = waiting;
    waiting = undefined;
    resume?.();
  };
  socket.setEncoding('utf8');
  socket.on('data', (text: string) => {
    unread += text;
    for (let end = unread.indexOf('\r\n'); end >= 0; end = unread.indexOf('\r\n')) {
      const line = unread.slice(0, end);
      unread = unread.slice(end + 2);
      lines.push(line);
      // An SMTP reply goes on while a dash stands behind its code; POP3 says one line to what is asked here.
      if (/^\d{3}-/.test(line)) continue;
      replies.push(lines.join('\n'));
      lines = [];
    }
    wake();
  });
  // A reset is an end like any other to a test; what was said before it counts.
  const end = () => {
    ended = true;
    wake();
  };
  socket.on('error', end).on('close', end);

  async function until(done: () => boolean): Promise<void> {
    const deadline = setTimeout(() => socket.destroy(new Error('late')), DEADLINE_MS);
    while (!done() && !ended) await new Promise<void>((resolve) => (waiting = resolve));
    clearTimeout(deadline);
  }
  async function hear(): Promise<string> {
    await until(() => replies.length > 0);
    const reply = replies.shift();
    if (reply === undefined) throw new Error(`the server closed, or was silent for ${DEADLINE_MS} ms`);
    return reply;
  }
  return {
    hear,
    async say(line) {
      socket.write(`${line}\r\n`);
      return hear();
    },
    send: (text) => void socket.write(text),
    async closed() {
      await until(() => false);
      return replies.at(-1) ?? '';
    },
    leave: () => socket.destroy(),
  };
}

/** Says each line and expects its reply to begin as told. @throws Error with the reply that differs. */
export async function sayAll(talk: Talk, exchanges: readonly (readonly [line: string, begins: string])[]): Promise<void> {
  for (const [line, begins] of exchanges) {
    const reply = await talk.say(line);
    if (!reply.startsWith(begins)) throw new Error(`${line}: expected ${begins}, heard ${reply}`);
  }
}
