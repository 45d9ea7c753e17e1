/**
 * The keys by which a listener bounds what one client may do. Part of schema.ts. What is right depends on the protocol
 * and on the recipients allowed, so some defaults are filled in by `withDefaults`, once the listener is known.
 */
import { z } from 'zod';
import { network } from './hosts.ts';
import { bytes, duration, pause } from './units.ts';

/** RFC 9422 §4: limits have six digits at the most. */
const count = (from: number, to = 999_999) => z.int().min(from).max(to);

export const limitsSchema = z
  .strictObject({
    maxErrors: count(1)
      .optional()
      .describe('Commands answered with an error before the session is closed (421); default 20, for POP3 10.'),
    errorsBeforeDelay: count(0).default(5).describe('From this many errors on each further one is answered late.'),
    errorDelay: pause
      .default(1000)
      .describe('How late; only the session that made the errors waits. `0`: no delay. Not for POP3, where logins have theirs.'),
    maxUnknownCommands: count(1).default(10).describe('Unknown commands before the session is closed.'),
    maxIdleCommands: count(1)
      .optional()
      .describe(
        'NOOP, RSET, VRFY and HELP (POP3: NOOP, RSET, CAPA, UTF8, LANG) in a row without a message; default 100, for POP3 1000.',
      ),
    maxCommands: count(100)
      .optional()
      .describe('Commands of any kind without a message at their end; default 1000 and twice `maxRecipients`.'),
    maxMessages: count(1).default(100_000).describe('Transactions in one session; told to clients as LIMITS MAILMAX.'),
    maxLineBytes: bytes
      .refine((value) => value >= 512 && value <= 65_536, { error: 'expected a size from 512 to 64KiB' })
      .optional()
      .describe('A command line with its CRLF (RFC 5321 §4.5.3.1.4 asks for 512); default 4KiB, for POP3 1KiB.'),
    maxTextLineBytes: bytes
      .refine((value) => value >= 1000, { error: 'expected a size of at least 1000' })
      .default(128 * 1024)
      .describe('A line inside a message; RFC 5321 §4.5.3.1.6 allows 1,000, and one in fifty real messages has more.'),
    maxHeaderBytes: bytes
      .refine((value) => value >= 1024 && value <= 256 * 1024, { error: 'expected a size from 1KiB to 256KiB' })
      .default(256 * 1024)
      .describe('The header section of a message; never more than `throughput.spillBytes`.'),
    maxHops: count(10, 1000).default(100).describe('Received fields before a loop is assumed (RFC 5321 §6.3 asks for 100).'),
    minBytesPerSecond: count(0)
      .default(100)
      .describe('What a message has to come in with on average, after `timeouts.dataMs`; `0`: any pace.'),
    bannerDelay: pause.default(0).describe('Wait before the SMTP banner; shows clients that do not wait for it.'),
  })
  .prefault({});

export const policyShape = {
  bareLineEnds: z
    .enum(['refuse', 'normalise'])
    .default('refuse')
    .describe('A message with a bare CR or LF: rejected (550), or each made CRLF. Neither ever ends a message (SMTP smuggling).'),
  proxyFrom: z
    .array(network)
    .default([])
    .describe('Load balancers: their connections must begin with a PROXY header (version 1 or 2), and no other may.'),
  xclientFrom: z
    .array(network)
    .default([])
    .describe('Proxies that may say by XCLIENT whose session it is: they choose who is trusted, so list only your own.'),
  xforwardFrom: z.array(network).default([]).describe('Servers that may tell the log by XFORWARD where their mail came from.'),
  earlyTalkers: z
    .enum(['allow', 'refuse'])
    .default('allow')
    .describe('`refuse`: who talks before the SMTP banner gets 554; PIPECONNECT is not announced then.'),
};

/** Timeouts that are about messages. */
export const messageTimeouts = {
  dataMs: duration.default(180_000).describe('Silence inside a message.'),
  dataWhenShortMs: duration
    .default(10_000)
    .describe('The same while memory for messages is short, so that slow senders do not keep it from all others.'),
  proxyHeaderMs: duration.default(5_000).describe('A PROXY header, from the beginning of the connection.'),
  messageMs: duration.default(1_800_000).describe('A whole message, from DATA or the first BDAT to its last octet.'),
};

const DEFAULTS = {
  smtp: { maxErrors: 20, maxIdleCommands: 100, maxLineBytes: 4096 },
  pop3: { maxErrors: 10, maxIdleCommands: 1000, maxLineBytes: 1024 },
} as const;

/** @returns the limits with those filled in that depend on the rest of the listener. */
export function withDefaults(protocol: string, limits: z.output<typeof limitsSchema>, maxRecipients: number) {
  const usual = DEFAULTS[protocol === 'pop3' ? 'pop3' : 'smtp'];
  return {
    ...limits,
    maxErrors: limits.maxErrors ?? usual.maxErrors,
    maxIdleCommands: limits.maxIdleCommands ?? usual.maxIdleCommands,
    maxLineBytes: limits.maxLineBytes ?? usual.maxLineBytes,
    // Twice over: a client that is told 452 for recipients over the limit may have sent them all at once.
    maxCommands: limits.maxCommands ?? 1000 + 2 * maxRecipients,
  };
}
