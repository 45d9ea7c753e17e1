/**
 * Ports for an SMTP session that lives in a test: a sink and writers in memory, a directory of a few addresses, a clock
 * that stands still, and a record of all that was stored, logged and counted. Used by test/dialogs/smtp and test/fuzz.
 */
import { headerLength } from '@posthorn/core/mail/placed-bytes';
import type { LoginForms } from '@posthorn/core/auth/authenticator';
import type { Pipeline } from '@posthorn/core/hook/contract';
import type { Resolution } from '@posthorn/core/directory/directory';
import type { Envelope } from '@posthorn/core/mail/envelope';
import type { LogFields } from '@posthorn/core/observe/log';
import type { Accepted, MessageWriter, SmtpLimits, SmtpPorts, SmtpProfile, Submission } from '@posthorn/core/smtp/ports';
import { NO_REQUESTS } from '@posthorn/core/smtp/requests';
import type { Session, SessionOutput } from '@posthorn/core/wire/session';
import { createTestAuthenticator } from './test-authenticator.ts';

/** Every stage null: no plugin anywhere. */
export const NO_HOOKS: Pipeline = {
  connect: null,
  hello: null,
  auth: null,
  mail: null,
  rcpt: null,
  data: null,
  message: null,
  queued: null,
  deliver: null,
  delivered: null,
  deferred: null,
  bounced: null,
  'pop3.connect': null,
  'pop3.auth': null,
  'pop3.open': null,
  'pop3.retrieve': null,
  'pop3.delete': null,
  'pop3.commit': null,
};

export const TEST_LIMITS: SmtpLimits = {
  maxMessageBytes: 10_000,
  maxRecipients: 5,
  maxRecipientDomains: 0,
  maxLineBytes: 512,
  maxTextLineBytes: 1000,
  maxHeaderBytes: 4000,
  maxErrors: 10,
  errorsBeforeDelay: 0,
  errorDelayMs: 0,
  maxUnknownCommands: 100,
  maxIdleCommands: 1_000_000,
  bannerDelayMs: 0,
  maxCommands: 1000,
  maxHops: 3,
  maxMessages: 20,
};

export const TEST_PROFILE: SmtpProfile = {
  listener: 'mx',
  hostname: 'mx.example.org',
  kind: 'smtp',
  starttls: true,
  requireTls: false,
  plaintextLogin: 'never',
  earlyTalkers: 'allow',
  bareLineEnds: 'refuse',
  senderMustMatch: 'login',
  hideClient: false,
  vrfy: 'off',
  requests: NO_REQUESTS,
  limits: TEST_LIMITS,
};

/** A message as the sink took it. */
export interface TakenMessage {
  readonly envelope: Envelope;
  /** As it would be stored, one character for each byte. */
  readonly text: string;
}

/** A writer in memory that can be made slow or to fail. */
export class MemoryWriter implements MessageWriter {
  failure: 'memory' | 'disk' | undefined = undefined;
  /** `write` says false; `onDrain` waits for `release`. */
  slow = false;
  /** Calls of `drop` and of the sink's taking: exactly one of them is to be. */
  ended = 0;
  readonly #pieces: Buffer[] = [];
  #waiting: (() => void)[] = [];
  sizeBytes = 0;

  write(chunk: Uint8Array, from: number, to: number): boolean {
    if (this.ended > 0) throw new Error('written to after its end');
    this.#pieces.push(Buffer.from(chunk.subarray(from, to)));
    this.sizeBytes += to - from;
    return !this.slow;
  }

  onDrain(then: () => void): void {
    if (this.slow) this.#waiting.push(then);
    else then();
  }

  /** Catches up. */
  release(): void {
    this.slow = false;
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const then of waiting) then();
  }

  seal() {
    if (this.failure !== undefined) throw new Error(`not kept: ${this.failure}`);
    const whole = Buffer.concat(this.#pieces);
    const header = whole.subarray(0, headerLength(whole));
    return {
      sizeBytes: whole.length,
      header,
      whole,
      async *chunks() {
        yield whole;
      },
    };
  }

  drop(): void {
    this.ended = 1;
  }
}

export interface Kit {
  readonly ports: SmtpPorts;
  readonly profile: SmtpProfile;
  readonly taken: TakenMessage[];
  readonly writers: MemoryWriter[];
  readonly logged: { readonly level: string; readonly event: string; readonly fields: LogFields | undefined }[];
  readonly counted: Map<string, number>;
  /** What the sink does next. */
  sink: { begin: 'ok' | 'full'; accept: Accepted; prepare?: (writer: MemoryWriter) => void };
}

export interface KitOptions {
  readonly profile?: Partial<Omit<SmtpProfile, 'limits'>>;
  readonly limits?: Partial<SmtpLimits>;
  readonly hooks?: Partial<Pipeline>;
  readonly ports?: Partial<SmtpPorts>;
  readonly forms?: Partial<LoginForms>;
  /** Mailboxes without room, and what becomes of mail for them. */
  readonly full?: Readonly<Record<string, { readonly full: ReturnType<SmtpPorts['full']>; readonly roomBytes?: number }>>;
}

/** alice, bob, carol and jörg have mailboxes, team and list are aliases; example.org is ours, relayed.example is kept elsewhere. */
export function resolveForTest(address: string): Resolution {
  const at = address.lastIndexOf('@');
  const domain = address.slice(at + 1).toLowerCase();
  const local = address.slice(0, at).toLowerCase();
  const mailbox = (name: string) => ({ to: 'mailbox', mailbox: name, address: `${name}@example.org` }) as const;
  if (address.toLowerCase() === 'postmaster') return { is: 'known', targets: [mailbox('alice')] };
  if (domain === 'relayed.example') return { is: 'forwarded' };
  if (domain !== 'example.org') return { is: 'foreign' };
  if (local === 'alice' || local === 'bob' || local === 'carol' || local === 'jörg')
    return { is: 'known', targets: [mailbox(local)] };
  if (local === 'team') return { is: 'known', targets: [mailbox('alice'), mailbox('bob')] };
  if (local === 'away') return { is: 'known', targets: [{ to: 'address', address: 'alice@elsewhere.example' }] };
  return { is: 'unknown' };
}

/** alice may write as whatever leads to her, and as boss@elsewhere.example; `user` as user@example.net. */
function mayWriteAsForTest(user: string, address: string, scope: 'login' | 'domain'): boolean {
  const domain = address.slice(address.lastIndexOf('@') + 1);
  if (user === 'user') return domain === 'example.net' && (scope === 'domain' || address === 'user@example.net');
  if (user !== 'alice') return false;
  if (address === 'boss@elsewhere.example' || (scope === 'domain' && domain === 'example.org')) return true;
  const found = resolveForTest(address.replace(/\+[^@]*/, ''));
  return found.is === 'known' && found.targets.some((target) => target.to === 'mailbox' && target.mailbox === 'alice');
}

/** Ports and their record; the user is alice with the password `secret`. */
export function createKit(options: KitOptions = {}): Kit {
  let ids = 0;
  const kit: Kit = {
    profile: { ...TEST_PROFILE, ...options.profile, limits: { ...TEST_LIMITS, ...options.limits } },
    taken: [],
    writers: [],
    logged: [],
    counted: new Map(),
    sink: { begin: 'ok', accept: { ok: true } },
    ports: {
      hooks: { ...NO_HOOKS, ...options.hooks },
      sink: {
        begin: () => {
          if (kit.sink.begin === 'full') return undefined;
          const writer = new MemoryWriter();
          kit.writers.push(writer);
          kit.sink.prepare?.(writer);
          return writer;
        },
        accept: async (submission) => take(kit, submission),
      },
      directory: {
        resolve: resolveForTest,
        user: (name) => (name.toLowerCase() === 'alice@example.org' ? { name: 'alice', addresses: [name] } : undefined),
        isOurs: (domain) => domain === 'example.org',
      },
      mayWriteAs: mayWriteAsForTest,
      full: (mailbox, sizeBytes) => {
        const { full, roomBytes = -1 } = options.full?.[mailbox] ?? {};
        return sizeBytes > roomBytes ? full : undefined;
      },
      authenticator: createTestAuthenticator({
        names: ['alice'],
        password: 'secret',
        throttled: 'throttled',
        forms: options.forms ?? {},
      }),
      mayRelay: (address) => address === '127.0.0.1',
      mayXclient: (address) => address === '192.0.2.99',
      mayXforward: (address) => address === '192.0.2.99',
      scoring: (message) => {
        const score = message.evidence.reduce((sum, one) => sum + one.weight, 0);
        const explanation = score === 0 ? '' : `score=${score} ${message.evidence.map((one) => one.name).join(' ')}`;
        return { action: score >= 15 ? 'reject' : score >= 8 ? 'quarantine' : score >= 5 ? 'tag' : 'pass', score, explanation };
      },
      newId: () => `ID${(ids += 1)}`,
      clock: { now: () => Date.UTC(2026, 10, 23, 12, 0, 0), monotonic: () => 0, after: () => () => undefined },
      log: recordingLog((kit_) => kit.logged.push(kit_)),
      counters: { add: (name, by = 1) => void kit.counted.set(name, (kit.counted.get(name) ?? 0) + by) },
      ...options.ports,
    },
  };
  return kit;
}

function recordingLog(record: (line: Kit['logged'][number]) => void): SmtpPorts['log'] {
  const log: SmtpPorts['log'] = {
    debug: (event, fields) => record({ level: 'debug', event, fields }),
    info: (event, fields) => record({ level: 'info', event, fields }),
    warn: (event, fields) => record({ level: 'warn', event, fields }),
    error: (event, fields) => record({ level: 'error', event, fields }),
    with: () => log,
  };
  return log;
}

function take(kit: Kit, { writer, envelope, prepend, cuts }: Submission): Accepted {
  if (!(writer instanceof MemoryWriter)) throw new TypeError('not a writer of this sink');
  const { whole } = writer.seal();
  writer.drop();
  if (!kit.sink.accept.ok) return kit.sink.accept;
  const pieces = [Buffer.from(prepend)];
  let from = 0;
  for (const cut of cuts) {
    pieces.push(whole.subarray(from, cut.from));
    from = cut.to;
  }
  pieces.push(whole.subarray(from));
  kit.taken.push({ envelope, text: Buffer.concat(pieces).toString('latin1') });
  return kit.sink.accept;
}

/** What the session told its owner. */
export class RecordingOutput implements SessionOutput {
  text = '';
  writes = 0;
  closed = false;
  tlsStarts = 0;
  paused = false;
  /** What `write` says. */
  open = true;

  /** What was given to be sent was changed before it was. */
  changed = false;

  write(bytes: Uint8Array, taken?: () => void): boolean {
    if (this.closed) throw new Error('written to after close');
    if (taken !== undefined) this.#send(bytes, Buffer.from(bytes), taken);
    this.text += Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('latin1');
    this.writes += 1;
    return this.open;
  }
  /** A peer that reads slowly takes it when it is open again. */
  #send(bytes: Uint8Array, given: Buffer, taken: () => void): void {
    setImmediate(() => {
      this.changed ||= !given.equals(bytes);
      if (this.open || this.closed) taken();
      else this.#send(bytes, given, taken);
    });
  }

  startTls(): void {
    this.tlsStarts += 1;
  }
  pause(): void {
    this.paused = true;
  }
  resume(): void {
    this.paused = false;
  }
  close(): void {
    this.closed = true;
  }
}

/** Waits until the session has answered all that needs no event from outside. */
export async function settled(session: Session): Promise<void> {
  for (let turn = 0; turn < 1000; turn += 1) {
    await new Promise<void>((resolve) => setImmediate(resolve));
    if (session.waitsFor !== 'verdict') return;
  }
  throw new Error('the session still awaits a verdict');
}
