/**
 * A small POP3 client (RFC 1939, STLS of RFC 2595) for `posthorn fetch`: one command at a time over one connection.
 * Message bytes are given as the server sent them, without the stuffing dots. Errors are the server's own words.
 */
import { createConnection, type Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import { CliError } from './common.ts';

export interface Pop3Options {
  readonly host: string;
  readonly port: number;
  /** undefined: STLS where it is offered. */
  readonly tls: 'none' | 'starttls' | 'implicit' | undefined;
  readonly verify: boolean;
}

/** Longer than any reply or text line of a mail may be; a server that sends on is not one. */
const MAX_LINE_BYTES = 64 * 1024 * 1024;
const SILENCE_MS = 60_000;

/** The server said -ERR. */
export class Pop3Refusal extends CliError {}

export class Pop3Client {
  #socket: Socket;
  #lines: AsyncGenerator<Buffer, void>;
  readonly #options: Pop3Options;

  private constructor(socket: Socket, options: Pop3Options) {
    this.#socket = socket;
    this.#options = options;
    this.#lines = linesOf(socket);
  }

  /** Connects, reads the greeting, and turns TLS on. @throws CliError */
  static async connect(options: Pop3Options): Promise<Pop3Client> {
    const { host, port } = options;
    const plain = createConnection({ host, port });
    const socket = options.tls === 'implicit' ? secure(plain, options) : plain;
    await opened(socket, options.tls === 'implicit' ? 'secureConnect' : 'connect', `${host}:${port}`);
    const client = new Pop3Client(socket, options);
    await client.#reply();
    if (options.tls === undefined || options.tls === 'starttls') await client.#startTls();
    return client;
  }

  async login(user: string, password: string): Promise<void> {
    if (/[\r\n]/.test(user + password)) throw new CliError('name and password must be one line each');
    await this.#command(`USER ${user}`);
    await this.#command(`PASS ${password}`);
  }

  /** @returns number and size of each message. */
  async list(): Promise<{ readonly number: number; readonly sizeBytes: number }[]> {
    await this.#command('LIST');
    const messages: { number: number; sizeBytes: number }[] = [];
    for await (const line of this.#multiline()) {
      const [number, sizeBytes] = line.toString('latin1').split(' ').map(Number);
      messages.push({ number: number ?? 0, sizeBytes: sizeBytes ?? 0 });
    }
    return messages;
  }

  /** The lines of a message, each with its CRLF. To be read to the end before the next command. */
  async *retrieve(number: number): AsyncIterable<Buffer> {
    await this.#command(`RETR ${number}`);
    for await (const line of this.#multiline()) yield Buffer.concat([line, CRLF]);
  }

  async delete(number: number): Promise<void> {
    await this.#command(`DELE ${number}`);
  }

  /** Ends the session; only now are deletions done. */
  async quit(): Promise<void> {
    await this.#command('QUIT');
    this.close();
  }

  /** Ends the connection without QUIT: nothing is deleted. */
  close(): void {
    this.#socket.destroy();
  }

  async #startTls(): Promise<void> {
    if (!(await this.#offersTls())) {
      if (this.#options.tls === 'starttls') throw new CliError('the server does not offer STLS');
      return;
    }
    await this.#command('STLS');
    // The plain connection is read by TLS from here on.
    await this.#lines.return(undefined);
    this.#socket = secure(this.#socket, this.#options);
    await opened(this.#socket, 'secureConnect', 'STLS');
    this.#lines = linesOf(this.#socket);
  }

  async #offersTls(): Promise<boolean> {
    try {
      await this.#command('CAPA');
    } catch (error) {
      // RFC 2449 is optional: -ERR means there is nothing to list.
      if (error instanceof Pop3Refusal) return false;
      throw error;
    }
    let offers = false;
    for await (const line of this.#multiline()) offers ||= line.toString('latin1').toUpperCase() === 'STLS';
    return offers;
  }

  async #command(line: string): Promise<string> {
    this.#socket.write(`${line}\r\n`);
    return this.#reply();
  }

  async #reply(): Promise<string> {
    const text = (await this.#line()).toString('utf8');
    if (!text.startsWith('+OK')) throw new Pop3Refusal(text);
    return text;
  }

  async *#multiline(): AsyncIterable<Buffer> {
    while (true) {
      const line = await this.#line();
      if (line.length === 1 && line[0] === DOT) return;
      yield line[0] === DOT ? line.subarray(1) : line;
    }
  }

  async #line(): Promise<Buffer> {
    const { value, done } = await this.#lines.next();
    if (done === true) throw new CliError('the server broke off');
    return value;
  }
}

const CRLF = Buffer.from('\r\n');
const DOT = 46;

function secure(socket: Socket, { host, verify }: Pop3Options): Socket {
  return connectTls({ socket, servername: /^[\d.]+$|:/.test(host) ? '' : host, rejectUnauthorized: verify });
}

async function opened(socket: Socket, event: 'connect' | 'secureConnect', where: string): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    socket.once(event, () => {
      socket.off('error', reject);
      resolve();
    });
    socket.once('error', (error) => reject(new CliError(`${where}: ${error.message}`, { cause: error })));
  });
  socket.setTimeout(SILENCE_MS, () => socket.destroy(new Error('the server is silent')));
}

/** Lines without their CRLF. A bare line feed is part of a line, since the byte count must hold. */
async function* linesOf(socket: Socket): AsyncGenerator<Buffer, void> {
  let rest = Buffer.alloc(0);
  for await (const chunk of socket.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>) {
    let from = 0;
    const bytes = rest.length === 0 ? chunk : Buffer.concat([rest, chunk]);
    for (let end = bytes.indexOf(CRLF, from); end >= 0; end = bytes.indexOf(CRLF, from)) {
      yield bytes.subarray(from, end);
      from = end + 2;
    }
    rest = Buffer.from(bytes.subarray(from));
    if (rest.length > MAX_LINE_BYTES) throw new CliError('the server sends a line without end');
  }
}
