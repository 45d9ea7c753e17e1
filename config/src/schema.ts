/**
 * The one file an operator writes, as a schema: types, defaults, the checks of single values and the JSON Schema for
 * editors come from here; docs/configuration.md is generated from its descriptions. What spans several keys is in
 * checks.ts. Every key has a default, so `{}` is a valid file.
 * A custom message says what was expected, beginning with "expected"; explain.ts puts the rest around it.
 */
import { z } from 'zod';
import { authSchema } from './auth.ts';
import { limitsSchema, messageTimeouts, policyShape, withDefaults } from './defence.ts';
import { deliver, domainName, hostPort, network, ownName, resolver, via } from './hosts.ts';
import { mailboxesSchema } from './mailboxes.ts';
import { requestsSchema } from './requests.ts';
import { submissionShape } from './submission.ts';
import { listenerTlsShape, tlsSchema } from './tls.ts';
import { bytes, duration, durations, pause } from './units.ts';

/** A local part, or a whole address; what exactly it leads to is the directory's to say. */
const addressText = z
  .string()
  .regex(/^[^\s<>]{1,320}$/, 'expected an address, such as bob@example.net, or a local part of this domain');

/** Silence while a command is awaited: RFC 5321 §4.5.3.2.7, and RFC 1939 §3, which allows POP3 no less. */
const COMMAND_MS = { smtp: 300_000, submission: 300_000, lmtp: 300_000, pop3: 600_000 } as const;

/** RFC 1939 §3 cuts off no POP3 client that is active: a bound only for one that would hold its place, and its maildrop, for ever. */
const SESSION_MS = { smtp: 3_600_000, submission: 3_600_000, lmtp: 3_600_000, pop3: 86_400_000 } as const;

const listenerShape = z.strictObject({
  name: z
    .string()
    .regex(/^[A-Za-z0-9_-]{1,32}$/, 'expected a short name of letters, digits, - and _')
    .describe('Name in logs.'),
  protocol: z
    .enum(['smtp', 'submission', 'lmtp', 'pop3'])
    .describe(
      '`smtp` takes mail from servers, `submission` from users who log in, `lmtp` from a server beside us, for our domains.',
    ),
  address: hostPort.describe('Address and port, such as `0.0.0.0:25` or `[::]:25` (IPv4 too); port 0 takes any free one.'),
  tls: z.enum(['none', 'starttls', 'implicit']).default('starttls').describe('`implicit` speaks TLS from the first byte.'),
  ...listenerTlsShape,
  plaintextLogin: z.enum(['never', 'loopback', 'always']).default('never').describe('May a password come without TLS?'),
  maxMessageBytes: bytes
    .refine((value) => value > 0, { error: 'expected a size above 0' })
    .default(50 * 1024 * 1024)
    .describe('A larger message is rejected (552); told to clients as SIZE.'),
  maxRecipients: z
    .int()
    .min(100)
    .max(100_000)
    .default(1000)
    .describe('Recipients of one message (RFC 5321 asks for at least 100); told to clients as RCPTMAX.'),
  maxRecipientDomains: z
    .int()
    .min(0)
    .max(100_000)
    .default(0)
    .describe('Different domains among the recipients of one message; told to clients as RCPTDOMAINMAX. `0`: no limit.'),
  timeouts: z
    .strictObject({
      commandMs: duration
        .optional()
        .describe('From an answer to the next whole command; default `5m` (RFC 5321 §4.5.3.2.7), for POP3 `10m` (RFC 1939 §3).'),
      ...messageTimeouts,
      sessionMs: duration
        .optional()
        .describe('A whole session, however active; default `1h`, for POP3 `1d`: a large maildrop takes hours over a slow line.'),
      handshakeMs: duration.default(30_000).describe('A TLS handshake, from its first byte to its last.'),
    })
    .prefault({}),
  limits: limitsSchema,
  requests: requestsSchema,
  ...policyShape,
  ...submissionShape,
  plugins: z.boolean().default(true).describe('`false`: sessions of this listener run no plugin.'),
});

export const listenerSchema = listenerShape.transform(({ timeouts, limits, ...listener }) => ({
  ...listener,
  limits: withDefaults(listener.protocol, limits, listener.maxRecipients),
  timeouts: {
    ...timeouts,
    commandMs: timeouts.commandMs ?? COMMAND_MS[listener.protocol],
    sessionMs: timeouts.sessionMs ?? SESSION_MS[listener.protocol],
  },
}));

export const domainSchema = z.strictObject({
  deliver: deliver
    .default('maildir')
    .describe(
      '`maildir`: mailboxes here; `smtp://host:port`, `lmtp://host:port` or `lmtp:/path/of/socket`: another server keeps the mail and knows the users.',
    ),
  aliases: z
    .record(
      z.string(),
      z.union([addressText, z.array(addressText).min(1)], { error: 'expected an address or a list of addresses' }),
    )
    .default({})
    .describe('Local part: address or list of addresses. A target without `@` is a local part of this domain or a user.'),
  catchAll: z.string().min(1).nullable().default(null).describe('User or address that gets what no user and no alias has.'),
  plusAddressing: z.boolean().default(true).describe('`alice+tag@` reaches `alice@`.'),
});

/** What `example.org:` with nothing behind it means. */
const DOMAIN_DEFAULTS = domainSchema.parse({});

export const pluginEntrySchema = z.union(
  [
    z.string().min(1),
    z
      .record(z.string(), z.record(z.string(), z.unknown()).nullable())
      .refine((entry) => Object.keys(entry).length === 1, { error: 'expected one plugin name with its options in each entry' }),
  ],
  { error: 'expected a plugin name, or one name with its options' },
);

const autoOrCount = z.union([z.literal('auto'), z.int().min(1).max(256)], {
  error: 'expected auto or a whole number from 1 to 256',
});

export const configSchema = z.strictObject({
  hostname: ownName.optional().describe('Name in banner, EHLO and Received; default: the name of the machine.'),
  data: z.string().min(1).default('./data').describe('Folder of queue, mailboxes and models; relative to this file.'),
  listeners: z
    .array(listenerSchema)
    .min(1)
    .default(
      [
        { name: 'mx', protocol: 'smtp', address: '127.0.0.1:2525' },
        { name: 'submission', protocol: 'submission', address: '127.0.0.1:2587' },
        { name: 'submissions', protocol: 'submission', address: '127.0.0.1:2465', tls: 'implicit' },
        { name: 'pop3', protocol: 'pop3', address: '127.0.0.1:2110' },
        { name: 'pop3s', protocol: 'pop3', address: '127.0.0.1:2995', tls: 'implicit' },
      ].map((one) => listenerSchema.parse(one)),
    )
    .describe('Ports that are listened on; those below 1024 need the right to bind them.'),
  tls: tlsSchema,
  auth: authSchema,
  pop3: z
    .strictObject({
      loginDelay: pause
        .default(0)
        .describe('Least time between two logins to one mailbox; told to clients as LOGIN-DELAY. `0`: none.'),
      language: z
        .enum(['en', 'de', 'fr'])
        .default('en')
        .describe('What a client gets that leaves the language to us (`LANG *`).'),
    })
    .prefault({}),
  users: z
    .string()
    .min(1)
    .default('./users.yaml')
    .describe('File of users, relative to this file; `posthorn user add` writes it.'),
  mailboxes: mailboxesSchema,
  domains: z
    .record(
      domainName,
      domainSchema.nullable().transform((domain) => domain ?? DOMAIN_DEFAULTS),
    )
    .default({})
    .describe('What mail is accepted for; everything else needs `relay.from` or a login.'),
  relay: z
    .strictObject({
      from: z.array(network).default([]).describe('Client addresses and networks that may send anywhere without a password.'),
      via: via.nullable().default(null).describe('Smart host for everything that no route or domain takes; `null`: MX lookups.'),
      routes: z
        .array(
          z.strictObject({
            to: z
              .string()
              .regex(/^(\*|(\*\.)?[\p{L}\p{N}_-]+(\.[\p{L}\p{N}_-]+)*)$/u, 'expected a domain, "*.domain" or "*"')
              .describe('Domain, `*.domain` for its subdomains, or `*`.'),
            via: via.describe('Where it goes; `discard:` throws it away.'),
          }),
        )
        .default([])
        .describe('First match wins.'),
      port: z.int().min(1).max(65535).default(25).describe('Port of MX hosts; other than 25 only for tests and closed networks.'),
      tls: z
        .enum(['opportunistic', 'never', 'required'])
        .default('opportunistic')
        .describe('TLS to other servers; `required` defers mail where it is not offered.'),
      convertSigned: z
        .boolean()
        .default(false)
        .describe(
          'Signed and encrypted mail with 8-bit content is converted, which breaks it, for a server that takes none; `false`: it bounces.',
        ),
      mtaSts: z
        .boolean()
        .default(true)
        .describe('Heed what domains publish about TLS to their mail hosts (MTA-STS); not asked where `tls` is `never`.'),
    })
    .prefault({}),
  dns: z
    .strictObject({
      servers: z.array(resolver).min(1).nullable().default(null).describe('Resolvers; `null`: those of the system.'),
      timeoutMs: duration.default(3000).describe('One question.'),
    })
    .prefault({}),
  plugins: z
    .array(pluginEntrySchema)
    .default([])
    .describe('Plugins by package name or by file (`./my-filter.ts`); order matters only where no plugin says what it reads.'),
  scoring: z
    .strictObject({
      tag: z.number().default(5).describe('From this score a message is marked as spam.'),
      quarantine: z
        .number()
        .nullable()
        .default(8)
        .describe('From this score it is filed apart, by the servers of our domains too; `null`: never.'),
      reject: z.number().nullable().default(15).describe('From this score it is rejected (550); `null`: never.'),
    })
    .prefault({}),
  queue: z
    .strictObject({
      store: z.enum(['level', 'memory']).default('level').describe('`memory` loses its mail with the process: for tests.'),
      retry: durations
        .default([300_000, 900_000, 1_800_000, 3_600_000, 7_200_000, 14_400_000])
        .describe('Waits between attempts; the last one repeats.'),
      giveUpAfter: duration.default(5 * 86_400_000).describe('Age at which a message bounces.'),
      warnAfter: z
        .union([duration.transform((one) => [one]), durations])
        .nullable()
        .default([4 * 3_600_000])
        .describe('Ages at which the sender of a message that still waits is told of the delay; `null`: never.'),
      maxReturnBytes: bytes
        .default(256 * 1024)
        .describe('A message up to this size comes back whole in a notice where its sender asks for that (`RET=FULL`).'),
      priorityStep: duration
        .default(600_000)
        .describe('How much waiting a step of MT-PRIORITY is worth, of what is due at the same time.'),
      minFreeBytes: bytes.default(100 * 1024 * 1024).describe('Below this much free disk new mail is deferred (452).'),
    })
    .prefault({}),
  throughput: z
    .strictObject({
      processes: autoOrCount.default('auto').describe('Server processes, each with its own part of the queue.'),
      sessionThreads: autoOrCount.default('auto').describe('Threads that hold sessions, in each process.'),
      pluginThreads: autoOrCount
        .default('auto')
        .describe('Threads for plugins of each kind (`compute`, `wait`), in each process.'),
      maxConnections: z.int().min(1).default(10_000).describe('Connections in all; past it a client is told 421.'),
      maxConnectionsPerClient: z.int().min(1).default(50).describe('Connections of one client address.'),
      messageMemoryBytes: bytes
        .default(512 * 1024 * 1024)
        .describe(
          'Bytes of messages in flight; past it DATA gets 452. Each session thread has its share, and room for one message.',
        ),
      spillBytes: bytes.default(1024 * 1024).describe('A message larger than this is written to a spool file while it comes in.'),
      deliveryConcurrency: z.int().min(0).default(500).describe('Deliveries at once; 0 holds everything in the queue.'),
      deliveryConcurrencyPerDestination: z.int().min(1).default(20).describe('Deliveries at once to one next hop.'),
    })
    .prefault({}),
  shutdown: z
    .strictObject({ graceMs: duration.default(10_000).describe('How long running sessions may go on after SIGTERM.') })
    .prefault({}),
  log: z
    .strictObject({
      level: z.enum(['debug', 'info', 'warn', 'error']).default('info').describe('What is logged.'),
      format: z.enum(['auto', 'json', 'pretty']).default('auto').describe('`auto`: pretty on a terminal, JSON lines elsewhere.'),
    })
    .prefault({}),
});

/** The configuration as the server works with it: plain data, absolute paths, `hostname` always set (load.ts). */
export type Config = Omit<z.output<typeof configSchema>, 'hostname'> & { hostname: string };
export type ListenerConfig = z.output<typeof listenerSchema>;
export type DomainConfig = z.output<typeof domainSchema>;
