/**
 * POP3 clients for maildrops that are large or many: `node maildrop.ts '{"what":"login"|"retrieve"|"crowd",…}'`. A process of
 * its own, so that its CPU is not the server's. Prints one JSON line. Any answer other than +OK ends it with an error, but in a
 * crowd, where the sessions that fail are counted.
 */
import { createConnection, type Socket } from 'node:net';

interface Login {
  readonly what: 'login';
  readonly port: number;
  readonly user: string;
  readonly password: string;
  readonly messages: number;
}

interface Retrieve {
  readonly what: 'retrieve';
  readonly port: number;
  /** One client to each. */
  readonly users: readonly string[];
  readonly password: string;
  readonly messages: number;
  /** Octets of each message. */
  readonly messageBytes: number;
  /** How many times each client retrieves the whole maildrop. */
  readonly times: number;
}

interface Crowd {
  readonly what: 'crowd';
  readonly port: number;
  /** One session to each, all of them logged in before the first goes on. */
  readonly users: readonly string[];
  readonly password: string;
  readonly messages: number;
}

export type MaildropLoad = Login | Retrieve | Crowd;

export interface MaildropDone {
  /** From PASS to the answer to STAT, of a login. */
  readonly loginMs?: number;
  readonly bytes?: number;
  /** From the first RETR, when all are logged in, to the last octet. */
  readonly seconds?: number;
  readonly sessions?: number;
  readonly failed?: number;
  /** The first failure. */
  readonly why?: string;
}

const END_OF_LIST = Buffer.from('\r\n.\r\n');
/** RETR commands sent ahead: as many as a client that pipelines has on the way. */
const AHEAD = 8;
/** A crowd comes from so many places: one place may not have all its logins checked at once. */
const CROWD_ADDRESSES = 50;

/** One session, whose answers are awaited one by one. */
class Session {
  readonly #socket: Socket;
  #kept: Buffer = Buffer.alloc(0);
  #failed: Error | undefined;
  #wake: () => void = () => undefined;

  constructor(port: number, localAddress = '127.0.0.1') {
    this.#socket = createConnection({ port, host: '127.0.0.1', localAddress, noDelay: true });
    this.#socket.on('data', (data: Buffer) => {
      this.#kept = this.#kept.length === 0 ? data : Buffer.concat([this.#kept, data]);
      this.#wake();
    });
    this.#socket.on('error', (error) => this.#end(error));
    this.#socket.on('close', () => this.#end(new Error('closed')));
  }

  /** @param many the answer ends with a dot line. @returns the answer. @throws when it is no +OK. */
  async ask(command: string, many = false): Promise<Buffer> {
    if (command !== '') this.#socket.write(`${command}\r\n`, 'latin1');
    for (;;) {
      const lineEnd = this.#kept.indexOf(10);
      if (lineEnd >= 0 && this.#kept[0] !== 0x2b) throw new Error(`${command}: ${this.#kept.toString('latin1', 0, lineEnd)}`);
      // The dot line may follow the first line at once.
      const end = lineEnd < 0 ? -1 : many ? this.#kept.indexOf(END_OF_LIST, lineEnd - 1) : lineEnd;
      if (end >= 0) {
        const length = many ? end + END_OF_LIST.length : end + 1;
        const answer = this.#kept.subarray(0, length);
        this.#kept = this.#kept.subarray(length);
        return answer;
      }
      if (this.#failed !== undefined) throw this.#failed;
      await new Promise<void>((resolve) => (this.#wake = resolve));
    }
  }

  close(): void {
    this.#socket.destroy();
  }

  #end(error: Error): void {
    this.#failed ??= error;
    this.#wake();
  }
}

async function login({ port, user, password, messages }: Login): Promise<MaildropDone> {
  const session = new Session(port);
  await session.ask('');
  await session.ask(`USER ${user}`);
  const begun = performance.now();
  await session.ask(`PASS ${password}`);
  const stat = await session.ask('STAT');
  const loginMs = performance.now() - begun;
  if (!stat.toString('latin1').startsWith(`+OK ${messages} `)) throw new Error(`${messages} expected: ${String(stat)}`);
  await session.ask('QUIT');
  session.close();
  return { loginMs };
}

/**
 * Octets are counted, not kept: the generator must not be what is measured.
 * @param loggedIn called after the login; resolves when all the others are in, too.
 */
function retrieveAll(load: Retrieve, user: string, loggedIn: () => Promise<void>): Promise<number> {
  const { port, password, messageBytes } = load;
  const messages = load.messages * load.times;
  return new Promise((resolve, reject) => {
    const buffer = Buffer.alloc(256 * 1024);
    let bytes = 0;
    let greetings = 0;
    let sent = 0;
    let answered = 0;
    const send = () => {
      if (sent >= messages || sent - answered > AHEAD / 2) return;
      let text = '';
      for (; sent < messages && sent - answered < AHEAD; sent++) text += `RETR ${1 + (sent % load.messages)}\r\n`;
      socket.write(text + (sent === messages ? 'QUIT\r\n' : ''));
    };
    const socket = createConnection({
      port,
      host: '127.0.0.1',
      noDelay: true,
      onread: {
        buffer,
        callback: (count) => {
          if (greetings < 3) {
            // The greeting, and the answers to USER and PASS: nothing is sent ahead of these.
            greetings += buffer.subarray(0, count).filter((byte) => byte === 10).length;
            if (greetings < 3) socket.write(greetings === 1 ? `USER ${user}\r\n` : `PASS ${password}\r\n`);
            else void loggedIn().then(send);
            return true;
          }
          bytes += count;
          // Which answer this is of follows from how much came: all messages are of one length.
          const now = Math.min(messages, Math.floor(bytes / messageBytes));
          if (now > answered) {
            answered = now;
            send();
          }
          return true;
        },
      },
    });
    socket.once('error', reject);
    socket.once('close', () => {
      // Lines around the messages, +OK and dot: at most 100 octets for each message.
      const whole = bytes >= messages * messageBytes && bytes < messages * (messageBytes + 100) + 1000;
      if (whole) resolve(messages * messageBytes);
      else reject(new Error(`${bytes} octets came of ${messages} messages of ${messageBytes}`));
    });
  });
}

async function retrieve(load: Retrieve): Promise<MaildropDone> {
  const begin = gateFor(load.users.length);
  let begunMs = 0;
  const loggedIn = async () => {
    await begin();
    begunMs ||= performance.now();
  };
  const octets = await Promise.all(load.users.map((user) => retrieveAll(load, user, loggedIn)));
  return { bytes: octets.reduce((sum, one) => sum + one, 0), seconds: (performance.now() - begunMs) / 1000 };
}

/** Nobody goes on before so many have come. */
function gateFor(count: number): () => Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  let arrived = 0;
  return () => {
    if (++arrived === count) resolve();
    return promise;
  };
}

async function crowd({ port, users, password, messages }: Crowd): Promise<MaildropDone> {
  const failures: string[] = [];
  const arrive = gateFor(users.length);
  const one = async (user: string, index: number) => {
    const session = new Session(port, `127.0.1.${1 + (index % CROWD_ADDRESSES)}`);
    let loggedIn = false;
    try {
      await session.ask('');
      await session.ask(`USER ${user}`);
      await session.ask(`PASS ${password}`);
      loggedIn = true;
      await arrive();
      const stat = await session.ask('STAT');
      if (!stat.toString('latin1').startsWith(`+OK ${messages} `)) throw new Error(`STAT: ${String(stat)}`);
      const lines = (await session.ask('LIST', true)).toString('latin1').split('\r\n');
      if (lines.length !== messages + 3) throw new Error(`LIST: ${lines.length} lines`);
      for (let number = 1; number <= Math.min(3, messages); number++) await session.ask(`RETR ${number}`, true);
      await session.ask('DELE 1');
      await session.ask('QUIT');
    } catch (error) {
      failures.push(`${user}: ${String(error)}`);
      if (!loggedIn) void arrive();
    } finally {
      session.close();
    }
  };
  await Promise.all(users.map(one));
  return { sessions: users.length, failed: failures.length, ...(failures[0] === undefined ? {} : { why: failures[0] }) };
}

function runMaildropLoad(load: MaildropLoad): Promise<MaildropDone> {
  if (load.what === 'login') return login(load);
  return load.what === 'retrieve' ? retrieve(load) : crowd(load);
}

console.log(JSON.stringify(await runMaildropLoad(JSON.parse(process.argv[2]!) as MaildropLoad)));
