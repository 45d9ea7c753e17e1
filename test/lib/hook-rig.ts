/**
 * A hook pool, a host and a pipeline as in a server, in one thread, with the plugins of test/lib/plugins. For tests and
 * benches; everything it made is gone after `close`.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Pipeline, Requests, Verdict } from '@posthorn/core/hook/contract';
import { createPipeline } from '@posthorn/core/hook/pipeline';
import { createMessageMemory, type HeldMessage, type MessageMemory } from '@posthorn/core/mail/message-writer';
import { systemClock } from '@posthorn/core/mail/system-clock';
import type { Log } from '@posthorn/core/observe/log';
import type { Dns } from '@posthorn/sdk';
import { createHookHost } from '@posthorn/workers/hook/host';
import { createHookPool, type HookPool, type HookPoolOptions } from '@posthorn/workers/hook/pool';
import { loadPlugins } from '@posthorn/workers/plugin/loader';
import { openPlugins, pipelinePlugins } from '@posthorn/workers/plugin/open';
import type { RawPluginEntry } from '@posthorn/workers/plugin/entries';

export const PLUGIN_FOLDER = join(import.meta.dirname, 'plugins');

export interface LogLine {
  readonly event: string;
  readonly [field: string]: unknown;
}

export interface HookRig {
  readonly pool: HookPool;
  readonly pipeline: Pipeline;
  readonly memory: MessageMemory;
  readonly lines: LogLine[];
  readonly counts: Map<string, number>;
  /** Keeps a message as a session would. */
  hold(bytes: Uint8Array): Promise<HeldMessage>;
  close(): Promise<void>;
}

/** @param more of the pool's limits; two threads of each kind if nothing else is said. */
export async function startHooks(
  plugins: readonly RawPluginEntry[],
  more: Partial<HookPoolOptions> & { readonly spillBytes?: number } = {},
): Promise<HookRig> {
  const dataDirectory = mkdtempSync(join(tmpdir(), 'posthorn-hooks-'));
  const lines: LogLine[] = [];
  const note = (event: string, fields = {}) => void lines.push({ event, ...fields });
  const log: Log = { debug: () => undefined, info: note, warn: note, error: note, with: () => log };
  const counts = new Map<string, number>();
  const counters = { add: (name: string, by = 1) => void counts.set(name, (counts.get(name) ?? 0) + by) };
  const dns = { servers: ['127.0.0.1:1'], timeoutMs: 50 };
  const settings = { plugins, baseDirectory: PLUGIN_FOLDER, dataDirectory, hostname: 'mx.test', dns };
  const pool = await createHookPool({ settings, threads: 2, clock: systemClock, log, counters, ...more });
  const loaded = await loadPlugins(plugins, PLUGIN_FOLDER);
  const open = await openPlugins(loaded, 'inline', { dns: noDns, clock: systemClock, log, hostname: 'mx.test', dataDirectory });
  const host = createHookHost({ port: pool.attach(), plugins: loaded, slabs: [], clock: systemClock, counters });
  const memory = createMessageMemory({
    threadIndex: 0,
    limitBytes: 64 * 1024 * 1024,
    spillBytes: more.spillBytes ?? 1024 * 1024,
    spoolDirectory: dataDirectory,
    onNewSlab: (id, slab) => host.announceSlab(id, slab),
    onSlabGone: (id) => host.forgetSlab(id),
  });
  return {
    pool,
    pipeline: createPipeline({ plugins: pipelinePlugins(loaded, open), host, clock: systemClock, log, counters }),
    memory,
    lines,
    counts,
    async hold(bytes) {
      const writer = memory.begin(bytes.length)!;
      for (let at = 0; at < bytes.length; at += 64 * 1024) {
        const more = writer.write(bytes, at, Math.min(bytes.length, at + 64 * 1024));
        if (!more) await new Promise<void>((resolve) => writer.onDrain(resolve));
      }
      await writer.seal();
      return writer;
    },
    async close() {
      await host.close();
      await open.close();
      await pool.close();
      rmSync(dataDirectory, { recursive: true });
    },
  };
}

const refuse = () => Promise.reject(new Error('no names here'));
const noDns: Dns = { mx: refuse, a: refuse, aaaa: refuse, txt: refuse, ptr: refuse, resolve: refuse };

export const session = { sessionId: 's1', listener: 'mx', clientAddress: '192.0.2.1', clientPort: 5, helo: 'client.test' };

export function rcpt(recipient: string): Requests['rcpt'] {
  return { session, reversePath: 'a@example.org', recipient: `${recipient}@example.org` };
}

export function messageOf(held: HeldMessage, recipient = 'b'): Requests['message'] {
  return {
    session,
    envelope: {
      id: 'm1',
      receivedAtMs: 0,
      reversePath: 'a@example.org',
      recipients: [{ address: `${recipient}@example.org` }],
      origin: { ...session, protocol: 'ESMTP' },
      sizeBytes: held.sizeBytes,
      body: '7bit',
    },
    bytes: held.sealed!,
    evidence: [{ name: 'EARLIER', weight: 0, reason: '', plugin: 'other' }],
  };
}

/** The verdict and how long it took. */
export async function timed(verdict: Verdict | Promise<Verdict>): Promise<{ verdict: Verdict; tookMs: number }> {
  const from = performance.now();
  return { verdict: await verdict, tookMs: performance.now() - from };
}
