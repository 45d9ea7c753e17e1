/**
 * A test kit for plugin authors: runs a plugin's hooks on recorded messages, with a context that asks nobody, and checks
 * what the host would check: the options, the answer, and that the hook did not write to the message, whose bytes are
 * shared with everyone. `import { startPlugin, testMessage } from '@posthorn/sdk/testing'`.
 */
import { createHash } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { callHook } from '@posthorn/core/hook/call';
import type { GivenEvidence, HookResult, Requests, SessionFacts, Stage } from '@posthorn/core/hook/contract';
import type { Envelope } from '@posthorn/core/mail/envelope';
import type { Dns } from '@posthorn/core/mail/dns';
import type { MessageBytes } from '@posthorn/core/mail/message-bytes';
import { headerLength, MemoryBytes } from '@posthorn/core/mail/placed-bytes';
import type { Plugin, PluginContext } from './define.ts';
import { type LogLine, type Names, type TestClock, testClock, testDns, testLog } from './fakes.ts';

export { type LogLine, type Names, type TestClock, testClock, testDns, testLog } from './fakes.ts';

/** What a test may set; everything has a harmless default. */
export interface TestSettings {
  /** As in the configuration; checked by the plugin's schema. */
  readonly options?: Readonly<Record<string, unknown>>;
  /** Names and what they resolve to: `{ 'example.org TXT': [['v=spf1 -all']] }`. Anything else is not found. */
  readonly names?: Names;
  /** In place of `names`. */
  readonly dns?: Dns;
  readonly hostname?: string;
  /** What `clock.now()` says until it is put forward. Timers run in real time. */
  readonly nowMs?: number;
  /** A folder for the plugin's data; default: a temporary one that `close` removes. */
  readonly dataDirectory?: string;
}

export interface StartedPlugin {
  /**
   * Runs one hook.
   * @returns its results, checked against the contract; empty when it had nothing to say.
   * @throws Error when the plugin has no such hook, threw, answered nonsense or wrote to the message.
   */
  run<S extends Stage>(stage: S, request: Requests[S]): Promise<readonly HookResult[]>;
  /** What the plugin logged so far. */
  readonly lines: readonly LogLine[];
  /** Of the plugin's context; can be put forward. */
  readonly clock: TestClock;
  /** Closes the plugin and removes its data. */
  close(): Promise<void>;
}

/**
 * Opens a plugin as the host does.
 * @throws Error when the options are not what the plugin's schema wants.
 */
export async function startPlugin(plugin: Plugin, settings: TestSettings = {}): Promise<StartedPlugin> {
  const options = plugin.options.safeParse(settings.options ?? {});
  if (!options.success) throw new Error(`options: ${options.error.message}`, { cause: options.error });
  const lines: LogLine[] = [];
  const dataDirectory = settings.dataDirectory ?? mkdtempSync(join(tmpdir(), `posthorn-${plugin.manifest.name}-`));
  const clock = testClock(settings.nowMs);
  const context = {
    options: options.data,
    dns: settings.dns ?? testDns(settings.names ?? {}),
    clock,
    log: testLog(lines),
    hostname: settings.hostname ?? 'mx.example.org',
    dataDirectory,
  };
  const state = await plugin.open?.(context);
  return {
    lines,
    clock,
    run: (stage, request) => runHook(plugin, stage, request, { ...context, state }),
    async close() {
      await plugin.close?.(state);
      if (settings.dataDirectory === undefined) rmSync(dataDirectory, { recursive: true });
    },
  };
}

/**
 * A request for stage `message`.
 * @param message the recorded message; line ends are made CRLF, as on the wire.
 */
export function testMessage(
  message: Uint8Array | string,
  more: {
    readonly session?: Partial<SessionFacts>;
    readonly envelope?: Partial<Envelope>;
    readonly evidence?: readonly GivenEvidence[];
  } = {},
): Requests['message'] {
  const text = typeof message === 'string' ? message : Buffer.from(message).toString('latin1');
  const wire = Buffer.from(text.replaceAll(/\r?\n/g, '\r\n'), typeof message === 'string' ? 'utf8' : 'latin1');
  // Shared memory, as in the server: what does not work on it must show in a test.
  const whole = new Uint8Array(new SharedArrayBuffer(wire.length));
  whole.set(wire);
  const session: SessionFacts = {
    sessionId: 'test-session',
    listener: 'mx',
    clientAddress: '192.0.2.1',
    clientPort: 2525,
    helo: 'client.example.net',
    ...more.session,
  };
  return {
    session,
    envelope: {
      id: 'test-message',
      receivedAtMs: Date.UTC(2026, 10, 1),
      reversePath: 'sender@example.net',
      recipients: [{ address: 'alice@example.org', mailbox: 'alice' }],
      origin: { ...session, protocol: 'ESMTP' },
      sizeBytes: whole.length,
      body: '8bitmime',
      ...more.envelope,
    },
    bytes: new MemoryBytes(whole, undefined),
    evidence: more.evidence ?? [],
  };
}

/** The server keeps this much of a header beside the file of a large message; a longer one never gets to a plugin. */
const MOST_HEADER_BYTES = 256 * 1024;

/** The same message as it comes when it is too large for memory: `whole` is undefined, `chunks` uses one buffer again and again. */
export function asLargeMessage(request: Requests['message'], chunkBytes = 64 * 1024): Requests['message'] {
  const { whole } = request.bytes;
  if (whole === undefined) return request;
  const bytes: MessageBytes = {
    sizeBytes: whole.length,
    header: whole.subarray(0, Math.min(headerLength(whole), MOST_HEADER_BYTES)),
    whole: undefined,
    async *chunks() {
      const buffer = new Uint8Array(chunkBytes);
      for (let at = 0; at < whole.length; at += chunkBytes) {
        const part = whole.subarray(at, at + chunkBytes);
        buffer.set(part);
        yield buffer.subarray(0, part.length);
        buffer.fill(0);
      }
    },
  };
  return { ...request, bytes };
}

async function runHook<S extends Stage>(
  plugin: Plugin,
  stage: S,
  request: Requests[S],
  context: PluginContext<unknown, unknown>,
): Promise<readonly HookResult[]> {
  const hook = plugin.hooks[stage] as ((request: Requests[S], context: PluginContext<unknown, unknown>) => unknown) | undefined;
  const { name } = plugin.manifest;
  if (hook === undefined) throw new Error(`plugin ${name} has no hook for ${stage}`);
  const bytes = 'bytes' in request ? request.bytes : undefined;
  const before = bytes === undefined ? undefined : await digestOf(bytes);
  const outcome = await callHook(stage, () => hook(request, context));
  if (bytes !== undefined && (await digestOf(bytes)) !== before) throw new Error(`plugin ${name} wrote to the message`);
  if ('failed' in outcome) throw new Error(`plugin ${name} ${outcome.failed}: ${outcome.cause}`);
  return outcome.results;
}

async function digestOf(bytes: MessageBytes): Promise<string> {
  const hash = createHash('sha256').update(bytes.header);
  for await (const chunk of bytes.chunks()) hash.update(chunk);
  return hash.digest('hex');
}
