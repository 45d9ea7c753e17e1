/** What an operator may set for `sender-auth`, with defaults. */
import { isIP } from 'node:net';
import { z } from '@posthorn/sdk';

/** Evidence this plugin may give, with its default weight; 0 says nothing. */
export const DEFAULT_WEIGHTS = {
  SPF_PASS: -0.1,
  SPF_SOFTFAIL: 0.7,
  SPF_FAIL: 1.5,
  SPF_PERMERROR: 0.3,
  DKIM_PASS: -0.2,
  DKIM_FAIL: 0.3,
  DMARC_PASS: -0.5,
  /** DMARC failed, and the domain asks for nothing (`p=none`). */
  DMARC_FAIL: 0.5,
  DMARC_QUARANTINE: 3,
  DMARC_REJECT: 5,
  /** No From, several of them, or authors of several domains: DMARC has nothing to stand on (RFC 9989 §11.5). */
  FROM_INVALID: 1,
} as const;
export type EvidenceName = keyof typeof DEFAULT_WEIGHTS;

const weightShape = Object.fromEntries(
  Object.entries(DEFAULT_WEIGHTS).map(([name, weight]) => [name, z.number().default(weight)]),
) as Record<EvidenceName, z.ZodDefault<z.ZodNumber>>;

const network = z.string().refine((text) => {
  const [address = '', prefix, ...rest] = text.split('/');
  const family = isIP(address);
  const longest = family === 4 ? 32 : 128;
  return family !== 0 && rest.length === 0 && (prefix === undefined || (/^\d{1,3}$/.test(prefix) && Number(prefix) <= longest));
}, 'expected an address or a CIDR range, such as 192.0.2.0/24');

export const optionsSchema = z.strictObject({
  dmarcReject: z
    .boolean()
    .default(false)
    .describe('true: a message that fails DMARC is rejected when its domain asks for that (p=reject).'),
  trusted: z
    .array(network)
    .default(['127.0.0.0/8', '::1'])
    .describe('Clients whose mail is not checked: own machines that relay through this one.'),
  trustedSealers: z
    .array(z.string().toLowerCase())
    .default([])
    .describe('Domains of forwarders and lists whose valid ARC chain outweighs a DMARC failure.'),
  weights: z.strictObject(weightShape).prefault({}).describe('Weight of each evidence; 0 leaves it out.'),
  dnsBudgetMs: z
    .int()
    .min(100)
    .max(60_000)
    .default(10_000)
    .describe('All DNS questions of a message; later ones count as unanswered.'),
  maxSignatures: z.int().min(1).max(50).default(10).describe('A message with more DKIM signatures counts as unsigned.'),
  minKeyBits: z.int().min(512).default(1024).describe('RSA keys shorter than this do not count (RFC 8301).'),
});

export type Options = z.output<typeof optionsSchema>;
