/** What tests of this plugin call its hooks with: a zone of names instead of DNS, a message made of text. For tests only. */
import {
  DnsError,
  type Clock,
  type Dns,
  type HookAnswer,
  type HookResult,
  type Log,
  type MessageBytes,
  type Requests,
} from '@posthorn/sdk';
import { optionsSchema, type Options } from './options.ts';
import { plugin } from './plugin.ts';

/** `name type` in lower and upper case -> records, or an error code. */
export type Zone = ReadonlyMap<string, readonly unknown[] | 'ETIMEOUT' | 'ESERVFAIL'>;

/** A zone of TXT records. */
export function txtZone(records: Readonly<Record<string, string>>): Zone {
  return new Map(Object.entries(records).map(([name, text]) => [`${name.toLowerCase()} TXT`, [[text]]]));
}

/** DNS with these names in it and no others. */
export function zoneDns(zone: Zone): Dns {
  const names = new Set([...zone.keys()].map((key) => key.split(' ')[0]!));
  const resolve = async (asked: string, type: string): Promise<unknown[]> => {
    const name = asked.toLowerCase().replace(/\.$/, '');
    // As c-ares: a label of more than 63 characters, or none, is no name.
    if (name.split('.').some((label) => label.length > 63 || label === '')) throw new DnsError('notfound', 'EBADNAME', name);
    const found = zone.get(`${name} ${type}`);
    if (typeof found === 'string') throw new DnsError('temporary', found, name);
    if (found !== undefined && found.length > 0) return [...found];
    const exists = names.has(name) || [...names].some((other) => other.endsWith(`.${name}`));
    throw new DnsError('notfound', exists ? 'ENODATA' : 'ENOTFOUND', `${name} ${type}`);
  };
  return {
    mx: (name) => resolve(name, 'MX') as Promise<{ exchange: string; priority: number }[]>,
    a: (name) => resolve(name, 'A') as Promise<string[]>,
    aaaa: (name) => resolve(name, 'AAAA') as Promise<string[]>,
    txt: (name) => resolve(name, 'TXT') as Promise<string[][]>,
    ptr: (name) => resolve(name, 'PTR') as Promise<string[]>,
    resolve,
  };
}

export interface Mail {
  readonly content: string | Uint8Array;
  readonly clientAddress?: string;
  readonly helo?: string;
  readonly reversePath?: string;
  readonly user?: string;
  /** As after a spill to disk: no `whole`, only chunks of a reused buffer. */
  readonly inFile?: boolean;
}

export const HOSTNAME = 'mx.example.net';

export function requestOf(mail: Mail): Requests['message'] {
  const content =
    typeof mail.content === 'string' ? Buffer.from(mail.content.replaceAll(/\r?\n/g, '\r\n'), 'latin1') : mail.content;
  const origin = {
    listener: 'mx',
    clientAddress: mail.clientAddress ?? '192.0.2.1',
    clientPort: 4711,
    helo: mail.helo ?? 'client.example',
    sessionId: 's1',
    ...(mail.user === undefined ? {} : { user: mail.user }),
  };
  return {
    session: origin,
    envelope: {
      id: 'm1',
      receivedAtMs: 0,
      reversePath: mail.reversePath ?? '',
      recipients: [{ address: 'b@example.net' }],
      origin: { ...origin, protocol: 'ESMTP' },
      sizeBytes: content.length,
      body: '7bit',
    },
    bytes: messageBytes(content, mail.inFile === true),
    evidence: [],
  };
}

const HEAD_LIMIT_BYTES = 128 * 1024;

function messageBytes(content: Uint8Array, inFile: boolean): MessageBytes {
  const shared = new Uint8Array(new SharedArrayBuffer(content.length));
  shared.set(content);
  const headerEnd = content.length > 1 && content[0] === 13 && content[1] === 10 ? -2 : Buffer.from(content).indexOf('\r\n\r\n');
  return {
    sizeBytes: shared.length,
    header: shared.subarray(0, Math.min(headerEnd === -1 ? shared.length : headerEnd + 4, HEAD_LIMIT_BYTES)),
    whole: inFile ? undefined : shared,
    async *chunks() {
      const reused = new Uint8Array(1000);
      for (let at = 0; at < shared.length; at += reused.length) {
        const piece = shared.subarray(at, at + reused.length);
        reused.set(piece);
        yield reused.subarray(0, piece.length);
        reused.fill(0);
      }
    },
  };
}

export interface Answered {
  readonly results: readonly HookResult[];
  /** Value of the header that is added, unfolded; empty when none is. */
  readonly header: string;
  /** `matching` of each header that is removed; undefined for all. */
  readonly removed: readonly (string | undefined)[];
  /** Evidence by name. */
  readonly evidence: ReadonlyMap<string, number>;
  readonly logged: readonly string[];
}

/** Asks the plugin, opened as the host does it. */
export async function ask(mail: Mail, zone: Zone, options: GivenOptions = {}, dns: Dns = zoneDns(zone)): Promise<Answered> {
  const logged: string[] = [];
  const note = (event: string): void => void logged.push(event);
  const log: Log = { debug: note, info: note, warn: note, error: note, with: () => log };
  const clock: Clock = {
    now: Date.now,
    monotonic: () => performance.now(),
    after(delayMs, then) {
      const timer = setTimeout(then, delayMs);
      return () => clearTimeout(timer);
    },
  };
  const given = { options: optionsSchema.parse(options), dns, clock, log, hostname: HOSTNAME, dataDirectory: '/nonexistent' };
  const state = await plugin.open?.(given);
  const results = listOf(await plugin.hooks.message?.(requestOf(mail), { ...given, state }));
  const edits = results.flatMap((one) => (one.kind === 'edit' ? one.edits : []));
  const added = edits.find((one) => one.edit === 'add-header');
  return {
    results,
    header: added === undefined ? '' : added.value.replaceAll(/\r\n[ \t]+/g, ' '),
    removed: edits.flatMap((one) => (one.edit === 'remove-header' ? [one.matching] : [])),
    evidence: new Map(
      results.flatMap((one) => (one.kind === 'evidence' ? one.evidence.map((e) => [e.name, e.weight] as const) : [])),
    ),
    logged,
  };
}
type GivenOptions = Partial<Omit<Options, 'weights'>> & { readonly weights?: Partial<Options['weights']> };

function listOf(answer: HookAnswer): readonly HookResult[] {
  if (answer === undefined) return [];
  return Array.isArray(answer) ? (answer as readonly HookResult[]) : [answer as HookResult];
}

/** The result of a method in an Authentication-Results value: `pass` of `spf=pass …`. */
export function resultOf(header: string, method: string): string | undefined {
  return new RegExp(`(?:^|[; ])${method}=([a-z]+)`).exec(header)?.[1];
}
