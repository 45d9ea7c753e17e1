/**
 * Runs one plugin over one recorded message as the server would, stage by stage, and tells what it said: the engine of
 * `posthorn plugin try FILE message.eml`, and of a plugin's own tests. No thread and no network of its own: what the plugin
 * may use comes in. Failures of the plugin are results here, never exceptions; bad options are one (ZodError).
 */
import { callHook, describe } from '@posthorn/core/hook/call';
import type { HookResult, Requests, SessionFacts, Stage } from '@posthorn/core/hook/contract';
import type { Outcome } from '@posthorn/core/hook/host';
import type { Clock } from '@posthorn/core/mail/clock';
import type { Dns } from '@posthorn/core/mail/dns';
import type { Envelope } from '@posthorn/core/mail/envelope';
import type { MessageBytes } from '@posthorn/core/mail/message-bytes';
import type { Log } from '@posthorn/core/observe/log';
import type { Plugin, PluginContext } from './define.ts';

/** A message and how it came; what is left out has a plain default. */
export interface Recorded {
  /** The message as a file has it; bare line feeds are made CRLF, as they come over SMTP. */
  readonly message: Uint8Array;
  readonly reversePath?: string;
  readonly recipients?: readonly string[];
  readonly clientAddress?: string;
  readonly helo?: string;
  readonly user?: string;
}

/** What the plugin gets in its context. */
export interface TrialParts {
  /** As in the configuration, unchecked. */
  readonly options?: unknown;
  readonly dns: Dns;
  readonly clock: Clock;
  readonly log: Log;
  readonly hostname: string;
  /** May be made when it is asked for. */
  readonly dataDirectory: string;
}

/** What one stage came to. */
export interface TriedStage {
  readonly stage: Stage;
  readonly outcome: Outcome;
  readonly tookMs: number;
}

const STAGES = ['connect', 'hello', 'mail', 'rcpt', 'data', 'message'] as const satisfies readonly Stage[];
type TriedName = (typeof STAGES)[number];

/**
 * Asks the plugin at each stage of reception that it hooks, `rcpt` once for each recipient, and stops where it refuses.
 * @returns what it said, in order.
 * @throws ZodError for options that its schema does not take, Error when its `open` throws.
 */
export async function tryPlugin(plugin: Plugin, recorded: Recorded, parts: TrialParts): Promise<TriedStage[]> {
  const options: unknown = plugin.options.parse(parts.options ?? {});
  const state = await opened(plugin, contextOf(parts, options, undefined));
  try {
    return await askAll(plugin, recorded, contextOf(parts, options, state));
  } finally {
    await plugin.close?.(state);
  }
}

async function opened(plugin: Plugin, context: PluginContext<unknown, unknown>): Promise<unknown> {
  try {
    return await plugin.open?.(context);
  } catch (error) {
    throw new Error(`plugin ${plugin.manifest.name} cannot start: ${describe(error)}`, { cause: error });
  }
}

/** The folder is asked for as late as the plugin does: it may be made by that. */
function contextOf(parts: TrialParts, options: unknown, state: unknown): PluginContext<unknown, unknown> {
  const { dns, clock, log, hostname } = parts;
  return {
    options,
    state,
    dns,
    clock,
    log,
    hostname,
    get dataDirectory() {
      return parts.dataDirectory;
    },
  };
}

async function askAll(plugin: Plugin, recorded: Recorded, context: PluginContext<unknown, unknown>): Promise<TriedStage[]> {
  const message = toCrlf(recorded.message);
  const requests = requestsOf(recorded, message, context.clock.now());
  const tried: TriedStage[] = [];
  for (const stage of STAGES) {
    for (const request of requests[stage]) {
      const hook = plugin.hooks[stage] as ((request: unknown, context: unknown) => unknown) | undefined;
      if (hook === undefined) continue;
      const before = Buffer.from(message);
      const startMs = context.clock.monotonic();
      const given = await withDeadline(stage, () => hook(request, context), plugin.manifest.deadlineMs, context.clock);
      const wrote = stage === 'message' && !before.equals(message);
      const outcome: Outcome = wrote ? { failed: 'nonsense', cause: 'it wrote into the message: answer edits instead' } : given;
      tried.push({ stage, outcome, tookMs: context.clock.monotonic() - startMs });
      if ('results' in outcome && outcome.results.some(({ kind }) => kind === 'reject' || kind === 'defer')) return tried;
    }
  }
  return tried;
}

function withDeadline(stage: Stage, call: () => unknown, deadlineMs: number, clock: Clock): Outcome | Promise<Outcome> {
  const outcome = callHook(stage, call);
  if (!(outcome instanceof Promise)) return outcome;
  return new Promise((resolve) => {
    const cancel = clock.after(deadlineMs, () => resolve({ failed: 'timeout', cause: `no answer within ${deadlineMs} ms` }));
    void outcome.then((settled) => {
      cancel();
      resolve(settled);
    });
  });
}

type RequestLists = { readonly [S in TriedName]: readonly Requests[S][] };

function requestsOf(recorded: Recorded, message: Uint8Array, receivedAtMs: number): RequestLists {
  const origin = {
    listener: 'mx',
    clientAddress: recorded.clientAddress ?? '192.0.2.1',
    clientPort: 49_152,
    helo: recorded.helo ?? 'client.example',
    sessionId: 'try',
    ...(recorded.user === undefined ? {} : { user: recorded.user }),
  };
  const session: SessionFacts = origin;
  const reversePath = recorded.reversePath ?? '';
  const recipients = recorded.recipients ?? ['postmaster@localhost'];
  const envelope: Envelope = {
    id: 'try',
    receivedAtMs,
    reversePath,
    recipients: recipients.map((address) => ({ address })),
    origin: { ...origin, protocol: 'ESMTP' },
    sizeBytes: message.length,
    body: '8bitmime',
  };
  return {
    connect: [{ session: { ...session, helo: '' } }],
    hello: [{ session, verb: 'EHLO' }],
    mail: [{ session, reversePath, sizeBytes: message.length }],
    rcpt: recipients.map((recipient) => ({ session, reversePath, recipient })),
    data: [{ session, reversePath, recipients }],
    message: [{ session, envelope, bytes: bytesOf(message), evidence: [] }],
  };
}

/** The view a hook is given: shared memory as in the server, so that what refuses shared memory is found out here. */
function bytesOf(message: Uint8Array): MessageBytes {
  const headerEnd = Buffer.from(message.buffer, message.byteOffset, message.length).indexOf('\r\n\r\n');
  return {
    sizeBytes: message.length,
    header: headerEnd < 0 ? message : message.subarray(0, headerEnd + 4),
    whole: message,
    async *chunks() {
      yield message;
    },
  };
}

function toCrlf(file: Uint8Array): Uint8Array {
  const text = Buffer.from(file.buffer, file.byteOffset, file.length).toString('latin1').replaceAll(/\r?\n/g, '\r\n');
  const shared = new Uint8Array(new SharedArrayBuffer(text.length));
  shared.set(Buffer.from(text, 'latin1'));
  return shared;
}

/** The trial as lines for a terminal. */
export function describeTrial(tried: readonly TriedStage[]): string {
  if (tried.length === 0) return 'It has no hook at a stage of reception.';
  return tried.map(({ stage, outcome, tookMs }) => `${stage} (${tookMs.toFixed(1)} ms): ${describeOutcome(outcome)}`).join('\n');
}

function describeOutcome(outcome: Outcome): string {
  if ('failed' in outcome) return `FAILED, ${outcome.failed}: ${outcome.cause}`;
  return outcome.results.length === 0 ? 'nothing to say' : outcome.results.map(describeResult).join('; ');
}

function describeResult(result: HookResult): string {
  switch (result.kind) {
    case 'evidence':
      return result.evidence
        .map(({ name, weight, reason }) => `${name} ${weight > 0 ? '+' : ''}${weight} (${reason})`)
        .join(', ');
    case 'edit':
      return result.edits.map(({ edit, ...rest }) => `${edit} ${Object.values(rest).join(': ')}`).join(', ');
    case 'accept':
    case 'quarantine':
      return `${result.kind}: ${result.reason}`;
    default:
      return `${result.kind} ${result.code ?? ''} ${result.enhanced ?? ''} ${result.text}`.replaceAll(/ {2,}/g, ' ');
  }
}
