/**
 * Name resolution over Node's resolver: configured servers or the system's, a timeout, and a small cache that all rooms of
 * a thread share. Used by delivery for MX and addresses and by plugins through their context.
 * Answers are kept for a short fixed time (Node tells no TTL for most types), "no such name" shorter, failures of the
 * servers shortest; equal questions under way are asked once. Every failure is a DnsError: notfound or temporary.
 */
import { Resolver } from 'node:dns/promises';
import type { Clock } from '../mail/clock.ts';
import { type Dns, DnsError } from '../mail/dns.ts';

export interface ResolverOptions {
  /** `address` or `address:port`; null: the resolvers of the system. */
  readonly servers: readonly string[] | null;
  /** Wait for one answer; each question is asked twice at the most. */
  readonly timeoutMs: number;
  readonly clock: Clock;
  /** Answers kept at the most; default 10,000. */
  readonly maxEntries?: number;
}

const FOUND_MS = 60_000;
const NOT_FOUND_MS = 30_000;
const TEMPORARY_MS = 5_000;

interface Entry {
  readonly answer: Promise<unknown[]>;
  /** Infinity while the question is under way. */
  expiresAt: number;
}

/** Codes that say "there is no such thing"; all others (ETIMEOUT, ESERVFAIL, EREFUSED …) say "ask again later". */
const NOT_FOUND = new Set(['ENOTFOUND', 'ENODATA', 'EBADNAME']);

function toDnsError(error: unknown, name: string, type: string): DnsError {
  const code = error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : 'ESERVFAIL';
  return new DnsError(NOT_FOUND.has(code) ? 'notfound' : 'temporary', code, `${type} ${name}: ${code}`, { cause: error });
}

/** `localhost` never goes to the network (RFC 6761 §6.3). */
function localhost(name: string, type: string): string[] | undefined {
  const plain = name.toLowerCase().replace(/\.$/, '');
  if (plain !== 'localhost' && !plain.endsWith('.localhost')) return undefined;
  return type === 'A' ? ['127.0.0.1'] : type === 'AAAA' ? ['::1'] : undefined;
}

/** One for each thread; nothing to close. */
export function createResolver(options: ResolverOptions): Dns {
  const { clock } = options;
  const maxEntries = options.maxEntries ?? 10_000;
  const resolver = new Resolver({ timeout: options.timeoutMs, tries: 2 });
  if (options.servers !== null) resolver.setServers([...options.servers]);
  const cache = new Map<string, Entry>();

  function keep(key: string, entry: Entry): void {
    if (cache.size >= maxEntries) {
      const oldest = cache.keys().next();
      if (oldest.done !== true) cache.delete(oldest.value);
    }
    cache.set(key, entry);
  }

  async function query(name: string, type: string, entry: () => Entry): Promise<unknown[]> {
    const local = localhost(name, type);
    try {
      const answer: unknown = local ?? (type === 'PTR' ? await resolver.reverse(name) : await resolver.resolve(name, type));
      entry().expiresAt = clock.monotonic() + FOUND_MS;
      return Array.isArray(answer) ? answer : [answer];
    } catch (error) {
      const mapped = toDnsError(error, name, type);
      entry().expiresAt = clock.monotonic() + (mapped.kind === 'notfound' ? NOT_FOUND_MS : TEMPORARY_MS);
      throw mapped;
    }
  }

  function ask(name: string, type: string): Promise<unknown[]> {
    const key = `${type} ${name.toLowerCase()}`;
    const known = cache.get(key);
    if (known !== undefined && known.expiresAt > clock.monotonic()) return known.answer;
    if (known !== undefined) cache.delete(key);
    // `query` runs up to its first wait before `entry` is set, and sets the expiry only after one.
    const entry: Entry = { answer: Promise.resolve().then(() => query(name, type, () => entry)), expiresAt: Infinity };
    keep(key, entry);
    return entry.answer;
  }

  return {
    mx: (name) => ask(name, 'MX') as Promise<{ exchange: string; priority: number }[]>,
    a: (name) => ask(name, 'A') as Promise<string[]>,
    aaaa: (name) => ask(name, 'AAAA') as Promise<string[]>,
    txt: (name) => ask(name, 'TXT') as Promise<string[][]>,
    ptr: (address) => ask(address, 'PTR') as Promise<string[]>,
    resolve: (name, type) => ask(name, type.toUpperCase()),
  };
}
