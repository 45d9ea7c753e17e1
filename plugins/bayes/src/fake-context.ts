/** What tests of this plugin call its hooks with: a request made of bytes, a context without a network. For tests only. */
import type { Clock, Dns, Evidence, HookAnswer, Log, MessageBytes, Requests } from '@posthorn/sdk';
import { DnsError } from '@posthorn/sdk';
import { optionsSchema, type Options } from './options.ts';
import { plugin } from './plugin.ts';

export interface LogLine {
  readonly level: string;
  readonly event: string;
}

export function recordingLog(lines: LogLine[]): Log {
  const at = (level: string) => (event: string) => void lines.push({ level, event });
  const log: Log = { debug: at('debug'), info: at('info'), warn: at('warn'), error: at('error'), with: () => log };
  return log;
}

/** A clock that moves when told. */
export function handClock(): Clock & { advance(ms: number): void } {
  let nowMs = 1_000_000;
  return { now: () => nowMs, monotonic: () => nowMs, after: () => () => undefined, advance: (ms) => void (nowMs += ms) };
}

const noDns = (name: string): Promise<never> => Promise.reject(new DnsError('notfound', 'ENOTFOUND', name));
const dns: Dns = { mx: noDns, a: noDns, aaaa: noDns, txt: noDns, ptr: noDns, resolve: noDns };

/** The message as it lies in shared memory, or in a file (then only chunks give it). */
export function messageBytes(content: Uint8Array, place: 'memory' | 'file' = 'memory'): MessageBytes {
  const shared = new Uint8Array(new SharedArrayBuffer(content.length));
  shared.set(content);
  const headerEnd = Buffer.from(content).indexOf('\r\n\r\n');
  return {
    sizeBytes: shared.length,
    header: shared.subarray(0, headerEnd < 0 ? shared.length : headerEnd + 4),
    whole: place === 'memory' ? shared : undefined,
    async *chunks() {
      for (let at = 0; at < shared.length; at += 1000) yield shared.subarray(at, at + 1000);
    },
  };
}

export function messageRequest(bytes: MessageBytes, user?: string): Requests['message'] {
  const origin = { listener: 'mx', clientAddress: '192.0.2.7', clientPort: 4711, helo: 'client.example', sessionId: 's1' };
  return {
    session: user === undefined ? origin : { ...origin, user },
    envelope: {
      id: 'm1',
      receivedAtMs: 0,
      reversePath: 'a@example.org',
      recipients: [{ address: 'b@example.net' }],
      origin: { ...origin, protocol: 'ESMTP' },
      sizeBytes: bytes.sizeBytes,
      body: '7bit',
    },
    bytes,
    evidence: [],
  };
}

export interface Opened {
  readonly lines: LogLine[];
  readonly clock: ReturnType<typeof handClock>;
  readonly ask: (request: Requests['message']) => Promise<HookAnswer>;
}

/** The plugin opened on one thread, as the host does it. */
export async function openPlugin(dataDirectory: string, options: Partial<Options> = {}): Promise<Opened> {
  const lines: LogLine[] = [];
  const clock = handClock();
  const given = {
    options: optionsSchema.parse(options),
    dns,
    clock,
    log: recordingLog(lines),
    hostname: 'mx.example.org',
    dataDirectory,
  };
  const state = await plugin.open?.(given);
  return { lines, clock, ask: async (request) => plugin.hooks.message?.(request, { ...given, state }) };
}

export function evidenceOf(answer: HookAnswer): readonly Evidence[] {
  if (answer === undefined || !('kind' in answer) || answer.kind !== 'evidence') return [];
  return answer.evidence;
}
