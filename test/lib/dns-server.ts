/**
 * A DNS server for tests, on UDP and TCP of one loopback port: zones as data, failures on request. Nothing outside is
 * asked. Names that no zone has are NXDOMAIN; names that exist without the type asked for are empty answers.
 */
import { createSocket, type Socket as UdpSocket } from 'node:dgram';
import { type AddressInfo, createServer, type Server } from 'node:net';
import packet from 'dns-packet';

/** What a name has. `fail`: SERVFAIL; `silent`: no answer at all. */
export interface ZoneEntry {
  readonly a?: readonly string[];
  readonly aaaa?: readonly string[];
  /** `[preference, host]`; a null MX is `[0, '.']`. */
  readonly mx?: readonly (readonly [number, string])[];
  readonly txt?: readonly string[];
  readonly ptr?: readonly string[];
  readonly cname?: string;
  readonly fail?: boolean;
  readonly silent?: boolean;
}
export type Zones = Record<string, ZoneEntry>;

export interface DnsServer {
  /** `127.0.0.1:port`, as `dns.servers` takes it. */
  readonly address: string;
  /** May be changed while it runs. */
  readonly zones: Zones;
  /** Every question so far, as `MX example.org`. */
  readonly questions: string[];
  close(): Promise<void>;
}

type Answer = packet.Answer;

function recordsOf(
  zones: Zones,
  name: string,
  type: string,
): { readonly answers: Answer[]; readonly entry: ZoneEntry | undefined } {
  const entry = zones[name.toLowerCase()];
  const answers: Answer[] = [];
  if (entry === undefined) return { answers, entry };
  if (entry.cname !== undefined) {
    answers.push({ type: 'CNAME', name, ttl: 60, data: entry.cname });
    return { answers: [...answers, ...recordsOf(zones, entry.cname, type).answers], entry };
  }
  const base = { name, ttl: 60 };
  if (type === 'A') for (const data of entry.a ?? []) answers.push({ type: 'A', ...base, data });
  if (type === 'AAAA') for (const data of entry.aaaa ?? []) answers.push({ type: 'AAAA', ...base, data });
  if (type === 'TXT') for (const data of entry.txt ?? []) answers.push({ type: 'TXT', ...base, data: splitText(data) });
  if (type === 'PTR') for (const data of entry.ptr ?? []) answers.push({ type: 'PTR', ...base, data });
  if (type === 'MX') {
    for (const [preference, exchange] of entry.mx ?? []) answers.push({ type: 'MX', ...base, data: { preference, exchange } });
  }
  return { answers, entry };
}

/** A TXT record is a row of strings of at most 255 bytes. */
function splitText(text: string): string[] {
  return text.match(/.{1,255}/gs) ?? [''];
}

/** Starts a server on a free port. `zones` may be changed later. */
export async function startDnsServer(zones: Zones): Promise<DnsServer> {
  const questions: string[] = [];

  function reply(query: Buffer, limitBytes: number): Buffer | undefined {
    const { id, questions: asked = [] } = packet.decode(query);
    const [question] = asked;
    if (question === undefined) return undefined;
    questions.push(`${question.type} ${question.name}`);
    const { answers, entry } = recordsOf(zones, question.name, question.type);
    if (entry?.silent === true) return undefined;
    const rcode = entry === undefined ? 3 : entry.fail === true ? 2 : 0;
    const header = { type: 'response', id: id ?? 0, questions: asked } as const;
    const flags = packet.AUTHORITATIVE_ANSWER | packet.RECURSION_DESIRED | packet.RECURSION_AVAILABLE | rcode;
    const whole = packet.encode({ ...header, flags, answers: rcode === 0 ? answers : [] });
    return whole.length <= limitBytes
      ? whole
      : packet.encode({ ...header, flags: flags | packet.TRUNCATED_RESPONSE, answers: [] });
  }

  const tcp: Server = createServer((socket) => {
    let held = Buffer.alloc(0);
    socket.on('error', () => socket.destroy());
    socket.on('data', (chunk: Buffer) => {
      held = Buffer.concat([held, chunk]);
      while (held.length >= 2 && held.length >= 2 + held.readUInt16BE(0)) {
        const size = held.readUInt16BE(0);
        const answer = reply(held.subarray(2, 2 + size), 65_535);
        held = held.subarray(2 + size);
        if (answer === undefined) continue;
        const length = Buffer.alloc(2);
        length.writeUInt16BE(answer.length);
        socket.write(Buffer.concat([length, answer]));
      }
    });
  });
  // The same port for both; another one when UDP's is taken by somebody else for TCP.
  let udp: UdpSocket;
  let port: number;
  for (let attempt = 0; ; attempt++) {
    udp = createSocket('udp4');
    const bound = udp;
    await new Promise<void>((resolve) => bound.bind(0, '127.0.0.1', resolve));
    port = udp.address().port;
    const free = await new Promise<boolean>((resolve) => {
      tcp.once('error', () => resolve(false));
      tcp.listen(port, '127.0.0.1', () => resolve(true));
    });
    if (free) break;
    udp.close();
    if (attempt === 10) throw new Error('no port that is free for UDP and TCP');
  }
  const socket = udp;
  socket.on('message', (query, from) => {
    const answer = reply(query, 512);
    if (answer !== undefined) socket.send(answer, from.port, from.address);
  });

  return {
    address: `127.0.0.1:${(tcp.address() as AddressInfo).port}`,
    zones,
    questions,
    async close() {
      socket.close();
      await new Promise((resolve) => tcp.close(resolve));
    },
  };
}
