/**
 * The one file an operator writes, as a schema: types, defaults, checks and the JSON Schema for editors come from here.
 * Every key has a default, so `{}` is a valid file. What a knob does: docs/configuration.md and docs/tuning.md.
 */
import { z } from 'zod';
import { bytes, duration, durations } from './units.ts';

const cidr = z.string().regex(/^[0-9a-fA-F:.]+(\/\d{1,3})?$/, 'expected an address or a CIDR range, such as 192.0.2.0/24');
const hostPort = z
  .string()
  .regex(/^(\[[0-9a-fA-F:.]+\]|[^:\s]+):\d{1,5}$/, 'expected "address:port", such as "0.0.0.0:25" or "[::]:25"');

export const listenerSchema = z.strictObject({
  name: z.string().min(1).describe('Name in logs and in the Received header.'),
  protocol: z.enum(['smtp', 'submission', 'pop3']),
  address: hostPort,
  tls: z.enum(['none', 'starttls', 'implicit']).default('starttls'),
  plaintextLogin: z.enum(['never', 'loopback', 'always']).default('never').describe('May a password come without TLS?'),
  maxMessageBytes: bytes.default(50 * 1024 * 1024),
  maxRecipients: z.int().min(100).default(1000),
  timeouts: z
    .strictObject({
      commandMs: duration
        .default(300_000)
        .describe('Silence while a command is awaited (RFC 5321 §4.5.3.2.7 says 5 minutes; POP3 says 10).'),
      dataMs: duration.default(180_000).describe('Silence inside a message.'),
      sessionMs: duration.default(3_600_000).describe('A whole session.'),
    })
    .prefault({}),
  plugins: z.boolean().default(true).describe('false: sessions of this listener run no plugin.'),
});

export const domainSchema = z.strictObject({
  deliver: z
    .string()
    .regex(/^(maildir|smtp:\/\/\S+)$/, 'expected "maildir" or "smtp://host:port"')
    .default('maildir'),
  aliases: z
    .record(z.string(), z.union([z.string(), z.array(z.string())]))
    .default({})
    .describe('local part -> address or addresses'),
  catchAll: z.string().nullable().default(null).describe('User who gets what no user or alias has.'),
  plusAddressing: z.boolean().default(true).describe('alice+tag@ reaches alice@.'),
});

const via = z
  .string()
  .regex(/^(smtps?:\/\/\S+|discard:)$/, 'expected "smtp://host:port", "smtps://user:secret@host:465" or "discard:"');

export const pluginEntrySchema = z.union([z.string(), z.record(z.string(), z.record(z.string(), z.unknown()).nullable())]);

export const configSchema = z.strictObject({
  hostname: z.string().optional().describe('Banner, EHLO, Received; default: the name of the machine.'),
  data: z.string().default('./data').describe('Queue, mailboxes, models; relative to this file.'),
  listeners: z.array(listenerSchema).default(
    [
      { name: 'mx', protocol: 'smtp', address: '127.0.0.1:2525' },
      { name: 'submission', protocol: 'submission', address: '127.0.0.1:2587' },
      { name: 'submissions', protocol: 'submission', address: '127.0.0.1:2465', tls: 'implicit' },
      { name: 'pop3', protocol: 'pop3', address: '127.0.0.1:2110' },
      { name: 'pop3s', protocol: 'pop3', address: '127.0.0.1:2995', tls: 'implicit' },
    ].map((one) => listenerSchema.parse(one)),
  ),
  tls: z
    .strictObject({ certificate: z.string(), key: z.string() })
    .optional()
    .describe('PEM files; absent: a self-signed certificate is made once under data.'),
  users: z.string().default('./users.yaml').describe('File of users; `posthorn user add` writes it.'),
  domains: z.record(z.string(), domainSchema).default({}).describe('What mail is accepted for.'),
  relay: z
    .strictObject({
      from: z.array(cidr).default([]).describe('Client addresses that may send anywhere without a password.'),
      via: via.nullable().default(null).describe('Smart host for everything that no route or domain takes; null: MX.'),
      routes: z
        .array(z.strictObject({ to: z.string(), via }))
        .default([])
        .describe('First match wins; "*.internal" matches subdomains.'),
      port: z.int().min(1).max(65535).default(25).describe('Port of MX hosts; other than 25 only for tests and closed networks.'),
      tls: z.enum(['opportunistic', 'never', 'required']).default('opportunistic'),
    })
    .prefault({}),
  dns: z
    .strictObject({
      servers: z.array(z.string()).nullable().default(null).describe('null: the resolvers of the system; else "address:port".'),
      timeoutMs: duration.default(3000),
    })
    .prefault({}),
  plugins: z.array(pluginEntrySchema).default([]).describe('Order matters only where no plugin says what it reads.'),
  scoring: z
    .strictObject({
      tag: z.number().default(5),
      quarantine: z.number().nullable().default(8),
      reject: z.number().nullable().default(15),
    })
    .prefault({}),
  queue: z
    .strictObject({
      store: z.enum(['level', 'memory']).default('level'),
      retry: durations
        .default([300_000, 900_000, 1_800_000, 3_600_000, 7_200_000, 14_400_000])
        .describe('Waits between attempts; the last one repeats.'),
      giveUpAfter: duration.default(5 * 86_400_000),
      minFreeBytes: bytes.default(100 * 1024 * 1024).describe('Below this much free disk new mail is deferred with 452.'),
    })
    .prefault({}),
  throughput: z
    .strictObject({
      processes: z.union([z.literal('auto'), z.int().min(1).max(256)]).default('auto'),
      sessionThreads: z.union([z.literal('auto'), z.int().min(1).max(256)]).default('auto'),
      pluginThreads: z.union([z.literal('auto'), z.int().min(1).max(256)]).default('auto'),
      maxConnections: z.int().min(1).default(10_000),
      maxConnectionsPerClient: z.int().min(1).default(50),
      messageMemoryBytes: bytes.default(512 * 1024 * 1024).describe('Bytes of messages in flight; past it new DATA gets 452.'),
      spillBytes: bytes.default(1024 * 1024).describe('A message larger than this is written to a spool file while it comes in.'),
      deliveryConcurrency: z.int().min(0).default(500).describe('0 holds everything in the queue.'),
      deliveryConcurrencyPerDestination: z.int().min(1).default(20),
    })
    .prefault({}),
  shutdown: z
    .strictObject({ graceMs: duration.default(10_000) })
    .prefault({})
    .describe('How long running sessions may go on after SIGTERM.'),
  log: z
    .strictObject({
      level: z.enum(['debug', 'info', 'warn', 'error']).default('info'),
      format: z.enum(['auto', 'json', 'pretty']).default('auto'),
    })
    .prefault({}),
});

export type Config = z.output<typeof configSchema>;
export type ListenerConfig = z.output<typeof listenerSchema>;
export type DomainConfig = z.output<typeof domainSchema>;
