/**
 * POP3 clients on raw sockets: `node pop3.ts '{"port":…,"sessions":…,"concurrency":…,"users":[…],"password":…}'`.
 * A process of its own, so that its CPU is not the server's. Each client has a user to itself (a maildrop is locked by
 * its session) and does one session after another: USER, PASS, STAT, UIDL, RETR of one message, QUIT, in lock-step.
 * Prints one JSON line: sessions done, seconds, octets retrieved. Any answer other than +OK ends it with an error.
 */
import { createConnection } from 'node:net';

export interface Pop3Load {
  readonly port: number;
  readonly sessions: number;
  readonly concurrency: number;
  /** At least `concurrency` of them. */
  readonly users: readonly string[];
  readonly password: string;
  /** Octets that RETR must bring, with its final dot line not counted: the check that the right message came. */
  readonly retrieveBytes: number;
}

export interface Pop3Done {
  readonly sessions: number;
  readonly seconds: number;
  readonly bytes: number;
}

const END_OF_LIST = Buffer.from('\r\n.\r\n');

class Client {
  private step = 0;
  /** Of an answer that is not whole yet. */
  private kept: Buffer | undefined;
  /** Every read goes here: a fresh buffer for each costs the generator more than the rest of a session. */
  private readonly buffer = Buffer.alloc(64 * 1024);
  private readonly script: readonly { readonly send: string; readonly many: boolean }[];
  private readonly load: Pop3Load;
  private readonly onDone: (error: Error | undefined, bytes: number) => void;

  constructor(load: Pop3Load, user: string, onDone: (error: Error | undefined, bytes: number) => void) {
    this.load = load;
    this.onDone = onDone;
    const one = (send: string) => ({ send, many: false });
    const many = (send: string) => ({ send, many: true });
    // The first answer is the greeting; each row is what is sent after the answer before it.
    this.script = [
      one(''),
      one(`USER ${user}`),
      one(`PASS ${load.password}`),
      one('STAT'),
      many('UIDL'),
      many('RETR 1'),
      one('QUIT'),
    ];
  }

  run(): void {
    this.step = 0;
    let retrieved = 0;
    const socket = createConnection({
      port: this.load.port,
      host: '127.0.0.1',
      noDelay: true,
      onread: { buffer: this.buffer, callback: (count) => take(this.buffer.subarray(0, count)) },
    });
    const fail = (error: Error) => {
      socket.removeAllListeners();
      socket.on('error', () => undefined); // Its fate is told already.
      socket.destroy();
      this.onDone(error, 0);
    };
    /** @returns true: read on. */
    const take = (data: Buffer): boolean => {
      const row = this.script[this.step]!;
      const answer = this.answer(data, row.many);
      if (answer === undefined) return true;
      if (answer[0] === 0x2b) {
        if (row.send === 'RETR 1') retrieved = answer.length - answer.indexOf(10) - 4;
        this.step++;
        const next = this.script[this.step];
        if (next !== undefined) socket.write(next.send + '\r\n', 'latin1');
      } else {
        fail(new Error(`${row.send}: ${answer.toString('latin1', 0, 200)}`));
      }
      return true;
    };
    socket.once('error', fail);
    socket.once('close', () => {
      const whole = this.step === this.script.length && retrieved === this.load.retrieveBytes;
      this.onDone(whole ? undefined : new Error(`closed at step ${this.step}, ${retrieved} octets retrieved`), retrieved);
    });
  }

  /** The whole answer when it is there: a line, or up to the dot line. */
  private answer(data: Buffer, many: boolean): Buffer | undefined {
    const all = this.kept === undefined ? data : Buffer.concat([this.kept, data]);
    const refused = all[0] !== 0x2b;
    const whole = many && !refused ? all.subarray(-5).equals(END_OF_LIST) : all[all.length - 1] === 10;
    this.kept = whole ? undefined : Buffer.from(all);
    return whole ? all : undefined;
  }
}

/** Runs the load; rejects at the first session that does not go as it must. */
export function runPop3Load(load: Pop3Load): Promise<Pop3Done> {
  return new Promise((resolve, reject) => {
    const begun = performance.now();
    let started = 0;
    let done = 0;
    let bytes = 0;
    for (const user of load.users.slice(0, load.concurrency)) {
      const client: Client = new Client(load, user, (error, octets) => {
        if (error) return reject(error);
        bytes += octets;
        if (++done === load.sessions) resolve({ sessions: done, seconds: (performance.now() - begun) / 1000, bytes });
        if (started < load.sessions) {
          started++;
          client.run();
        }
      });
      if (started < load.sessions) {
        started++;
        client.run();
      }
    }
  });
}

if (import.meta.main) console.log(JSON.stringify(await runPop3Load(JSON.parse(process.argv[2]!) as Pop3Load)));
