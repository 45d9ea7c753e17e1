/** What an operator may set for `clamav`, with defaults. */
import { z } from '@posthorn/sdk';

/** Where clamd listens. */
export type ClamdAddress = { readonly path: string } | { readonly host: string; readonly port: number };

const address = z.string().transform((text, context): ClamdAddress => {
  const unix = /^unix:(\/.+)$/.exec(text);
  if (unix !== null) return { path: unix[1]! };
  const tcp = /^tcp:\/\/(?:\[([0-9a-fA-F:.]+)\]|([^:/[\]]+)):(\d{1,5})\/?$/.exec(text);
  const port = Number(tcp?.[3]);
  if (tcp !== null && port > 0 && port < 65536) return { host: tcp[1] ?? tcp[2]!, port };
  context.addIssue({ code: 'custom', message: 'expected "unix:/path/of/socket" or "tcp://host:port"' });
  return z.NEVER;
});

export const optionsSchema = z.strictObject({
  address: address.prefault('unix:/run/clamav/clamd.ctl').describe('Where clamd listens: unix:/path or tcp://host:port.'),
  found: z.enum(['reject', 'quarantine']).default('reject').describe('What happens to a message with a virus in it.'),
  maxScanBytes: z
    .int()
    .min(1024)
    .default(25 * 1024 * 1024)
    .describe('Larger messages are not sent to clamd; no more than StreamMaxLength of clamd.conf.'),
  oversize: z.enum(['skip', 'defer']).default('skip').describe('What happens to a message that is too large to scan.'),
  maxConnections: z.int().min(1).max(200).default(5).describe('Scans at a time, for each plugin thread; clamd has MaxThreads.'),
  connectTimeoutMs: z.int().min(10).max(60_000).default(2000),
  timeoutMs: z.int().min(100).max(28_000).default(25_000).describe('A whole scan, the wait for a free connection included.'),
  retryAfterMs: z
    .int()
    .min(0)
    .max(600_000)
    .default(5000)
    .describe('How long clamd is left alone after it failed three times running.'),
});

export type Options = z.output<typeof optionsSchema>;
