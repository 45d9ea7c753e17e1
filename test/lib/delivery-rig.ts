/**
 * Delivery with everything around it made for tests: a queue in memory that hands messages out and keeps what became of
 * them, mailboxes in memory, names from a table, a log that is read. Only the sockets are real, on loopback.
 */
import { createDelivery, type Delivery, type DeliveryConfig } from '@posthorn/core/delivery/loop';
import type { DeliveryPorts, DueMessage, Outcome } from '@posthorn/core/delivery/ports';
import type { ClientTimeouts } from '@posthorn/core/delivery/remote/connection';
import { type Dns, DnsError } from '@posthorn/core/mail/dns';
import type { Envelope } from '@posthorn/core/mail/envelope';
import type { MailboxError } from '@posthorn/core/maildrop/mailbox';
import type { DeliveryState } from '@posthorn/core/queue/store';
import type { Log } from '@posthorn/core/observe/log';
import { systemClock as clock } from '@posthorn/core/mail/system-clock';
import type { Zones } from './dns-server.ts';

export interface RigMessage {
  readonly from?: string;
  readonly to: readonly string[];
  readonly text?: string | Uint8Array;
  readonly envelope?: Partial<Envelope>;
  /** What came of earlier attempts. */
  readonly state?: DeliveryState;
  /** The operator wants it tried. */
  readonly forced?: true;
  /** It is taken as what is late, not as what is due. */
  readonly late?: boolean;
}

export interface Bounced {
  readonly envelope: Envelope;
  readonly text: string;
}

export interface RigOptions {
  readonly config?: Partial<Omit<DeliveryConfig, 'relay'>> & { readonly relay?: Partial<DeliveryConfig['relay']> };
  readonly zones?: Zones;
  readonly dns?: Dns;
  readonly ports?: Partial<DeliveryPorts>;
  readonly timeouts?: Partial<ClientTimeouts>;
  /** Thrown in the middle of each message that is read. */
  readonly bodyError?: Error;
  /** Attempts after which a recipient is given up. */
  readonly maxAttempts?: number;
  readonly mailboxError?: (mailbox: string) => MailboxError | undefined;
}

/** Names from a table, as the resolver would give them. */
export function tableDns(zones: Zones): Dns {
  function find(name: string, type: string): NonNullable<Zones[string]> {
    const entry = zones[name.toLowerCase()];
    if (entry === undefined) throw new DnsError('notfound', 'ENOTFOUND', `${type} ${name}`);
    if (entry.fail === true || entry.silent === true) throw new DnsError('temporary', 'ESERVFAIL', `${type} ${name}`);
    return entry;
  }
  function some<T>(found: readonly T[] | undefined, name: string): T[] {
    if (found === undefined || found.length === 0) throw new DnsError('notfound', 'ENODATA', name);
    return [...found];
  }
  return {
    mx: async (name) =>
      some(find(name, 'MX').mx, name).map(([priority, exchange]) => ({ priority, exchange: exchange === '.' ? '' : exchange })),
    a: async (name) => some(find(name, 'A').a, name),
    aaaa: async (name) => some(find(name, 'AAAA').aaaa, name),
    txt: async (name) => some(find(name, 'TXT').txt, name).map((text) => [text]),
    ptr: async (name) => some(find(name, 'PTR').ptr, name),
    resolve: async () => {
      throw new DnsError('temporary', 'ENOTIMP', 'resolve');
    },
  };
}

export interface Rig {
  readonly delivery: Delivery;
  readonly bounces: Bounced[];
  readonly mailboxes: Map<string, { readonly text: string; readonly folder: string }[]>;
  /** Log events, counters as `+name`, and `=bounce`, `=settle` as they happen. */
  readonly events: string[];
  /** Ids given back untried. */
  readonly released: string[];
  /** Puts a message in; it is due at once. @returns its id */
  put(message: RigMessage): string;
  /** Resolves with the outcomes of a message when each recipient has one. */
  outcomes(id: string): Promise<readonly Outcome[]>;
  /** The next attempt, at once, for those who were deferred: resolves with all outcomes of the message. */
  retry(id: string): Promise<readonly Outcome[]>;
  /** The operator removes a message that was handed out. @returns whether some of it is being sent */
  remove(id: string): boolean;
  /** Puts it in and waits: outcome and reply of each recipient. */
  send(message: RigMessage): Promise<readonly string[]>;
}

export const MESSAGE = 'Subject: hello\r\nMessage-ID: <one@example.test>\r\n\r\nHello.\r\n';

const silent = (): void => undefined;
export const silentLog: Log = { debug: silent, info: silent, warn: silent, error: silent, with: () => silentLog };

export function makeRig(options: RigOptions = {}): Rig {
  const bodies = new Map<string, Buffer>();
  const envelopes = new Map<string, Envelope>();
  const waiting: DueMessage[] = [];
  const late: DueMessage[] = [];
  const handedOut = new Map<string, DueMessage>();
  const settled = new Map<string, Outcome[]>();
  const waiters = new Map<string, (outcomes: readonly Outcome[]) => void>();
  const bounces: Bounced[] = [];
  const mailboxes: Rig['mailboxes'] = new Map();
  const events: string[] = [];
  const released: string[] = [];
  let wake = (): void => undefined;
  let takeBack = (_id: string): boolean => false;
  let count = 0;

  const note = (event: string): void => void events.push(event);
  const log: Log = { debug: note, info: note, warn: note, error: note, with: () => log };

  const ports: DeliveryPorts = {
    queue: {
      takeDue: async (limit) => waiting.splice(0, limit),
      takeLate: async (limit) => late.splice(0, limit),
      onDue(then) {
        wake = then;
        if (waiting.length > 0) then();
      },
      onRemove(then) {
        takeBack = then;
      },
      async *body(id) {
        const body = bodies.get(id)!;
        if (options.bodyError !== undefined) {
          yield body.subarray(0, body.length / 2);
          throw options.bodyError;
        }
        for (let at = 0; at < body.length; at += 65_536) yield body.subarray(at, at + 65_536);
      },
      nextAttempt: (_envelope, attempts, retryAfterMs) =>
        attempts >= (options.maxAttempts ?? 100) ? undefined : clock.now() + (retryAfterMs ?? 60_000),
      async settle(id, outcomes) {
        note('=settle');
        const all = settled.get(id) ?? [];
        all.push(...outcomes);
        settled.set(id, all);
        if (all.length >= envelopes.get(id)!.recipients.length) waiters.get(id)?.(all);
      },
      release(id, delayMs) {
        released.push(id);
        clock.after(delayMs, () => {
          const envelope = envelopes.get(id)!;
          waiting.push({ envelope, state: undefined, due: envelope.recipients.map((_, index) => index) });
          wake();
        });
      },
    },
    mailbox: {
      async deliver(mailbox, _id, head, body, { folder = 'inbox' } = {}) {
        const error = options.mailboxError?.(mailbox);
        if (error !== undefined) throw error;
        const chunks = [Buffer.from(head)];
        for await (const chunk of body) chunks.push(Buffer.from(chunk));
        mailboxes.set(mailbox, [...(mailboxes.get(mailbox) ?? []), { text: Buffer.concat(chunks).toString('latin1'), folder }]);
      },
    },
    directory: { resolve: () => ({ is: 'foreign' }), user: () => undefined, isOurs: () => false },
    dns: options.dns ?? tableDns(options.zones ?? {}),
    sts: { find: async () => 'none' },
    hooks: { deliver: null, delivered: null, deferred: null, bounced: null },
    async submitNotice(envelope, bytes) {
      note('=bounce');
      bounces.push({ envelope, text: Buffer.from(bytes).toString('latin1') });
    },
    newId: () => `bounce${++count}`,
    isSelf: () => false,
    clock,
    log,
    counters: { add: (name) => note(`+${name}`) },
    ...options.ports,
  };
  const config: DeliveryConfig = {
    domains: {},
    throughput: { deliveryConcurrency: 10, deliveryConcurrencyPerDestination: 5 },
    queue: { priorityStep: 60_000, warnAfter: null, giveUpAfter: 432_000_000, maxReturnBytes: 262_144 },
    ...options.config,
    relay: {
      via: null,
      routes: [],
      port: 25,
      tls: 'opportunistic',
      mtaSts: true,
      convertSigned: false,
      ...options.config?.relay,
    },
  };
  const delivery = createDelivery(ports, {
    config,
    hostname: 'me.test',
    random: () => 0,
    ...(options.timeouts === undefined ? {} : { timeouts: options.timeouts }),
  });
  delivery.start();

  function put({
    from = 'sender@example.test',
    to,
    text = MESSAGE,
    envelope,
    state,
    forced,
    late: isLate = false,
  }: RigMessage): string {
    const id = `id${++count}`;
    const body = typeof text === 'string' ? Buffer.from(text, 'latin1') : Buffer.from(text);
    bodies.set(id, body);
    const whole: Envelope = {
      id,
      receivedAtMs: clock.now(),
      reversePath: from,
      recipients: to.map((address) => ({ address })),
      origin: { listener: 'mx', clientAddress: '192.0.2.9', clientPort: 1, helo: 'client', protocol: 'ESMTP', sessionId: 's1' },
      sizeBytes: body.length,
      body: '7bit',
      ...envelope,
    };
    envelopes.set(id, whole);
    const due: DueMessage = { envelope: whole, state, due: whole.recipients.map((_, index) => index), ...(forced && { forced }) };
    handedOut.set(id, due);
    (isLate ? late : waiting).push(due);
    wake();
    return id;
  }

  function outcomes(id: string): Promise<readonly Outcome[]> {
    const all = settled.get(id) ?? [];
    if (all.length >= envelopes.get(id)!.recipients.length) return Promise.resolve(all);
    return new Promise((resolve) => waiters.set(id, resolve));
  }

  return {
    delivery,
    bounces,
    mailboxes,
    events,
    released,
    put,
    outcomes,
    retry(id) {
      const all = settled.get(id) ?? [];
      const due = all.filter(({ outcome }) => outcome === 'deferred').map(({ index }) => index);
      settled.set(
        id,
        all.filter(({ outcome }) => outcome !== 'deferred'),
      );
      waiting.push({ envelope: envelopes.get(id)!, state: undefined, due });
      wake();
      return outcomes(id);
    },
    remove(id) {
      handedOut.get(id)!.removed = true;
      return takeBack(id);
    },
    async send(message) {
      const all = await outcomes(put(message));
      return all.toSorted((a, b) => a.index - b.index).map(({ outcome, reply }) => `${outcome}: ${reply}`);
    },
  };
}
