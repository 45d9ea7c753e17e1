/**
 * The keys of TLS: certificates, profile, session tickets, and what a listener may ask beyond them. Part of schema.ts;
 * combinations are in checks.ts. Files are paths relative to the configuration, made absolute by load.ts.
 */
import { domainToASCII } from 'node:url';
import { z } from 'zod';
import { duration } from './units.ts';

const NAME_EXPECTED = 'expected a host name, such as mail.example.org or "*.example.org"';
const certificateName = z
  .string()
  .max(253, NAME_EXPECTED)
  .regex(/^(\*\.)?[\p{L}\p{N}_-]+(\.[\p{L}\p{N}_-]+)*$/u, NAME_EXPECTED)
  .refine((name) => domainToASCII(name.replace(/^\*\./, '')) !== '', { error: NAME_EXPECTED })
  .transform((name) => `${name.startsWith('*.') ? '*.' : ''}${domainToASCII(name.replace(/^\*\./, ''))}`);

const certificateEntry = z.strictObject({
  certificate: z.string().min(1).describe('PEM file with the chain, own certificate first.'),
  key: z.string().min(1).describe('PEM file with its private key, without a passphrase.'),
  names: z
    .array(certificateName)
    .min(1)
    .optional()
    .describe('Names it is shown for, such as `mail.example.org` or `*.example.org`; default: those in the certificate.'),
});

const profile = z.enum(['intermediate', 'modern']);

/** Keys of a listener that are about TLS. */
export const listenerTlsShape = {
  requireTls: z
    .boolean()
    .default(false)
    .describe('Before TLS only EHLO, STARTTLS, NOOP and QUIT (POP3: CAPA, STLS, QUIT) are done; not for a public MX (RFC 3207).'),
  certificates: z
    .array(certificateEntry)
    .min(1)
    .optional()
    .describe('Certificates of this listener alone, in place of those under `tls`; the first is for who asks for no name.'),
  tlsProfile: profile.optional().describe('Default: that of `tls.profile`.'),
  clientCertificates: z
    .enum(['off', 'request', 'require'])
    .default('off')
    .describe('`request` asks for one and takes who has none; `require` ends the handshake of who shows none of `clientCa`.'),
  clientCa: z.string().min(1).optional().describe('PEM file with the CAs whose client certificates count.'),
  clientCrl: z
    .string()
    .min(1)
    .optional()
    .describe('PEM file with the revocation list of each CA in `clientCa`; with one that is out of date no certificate counts.'),
};

export const tlsSchema = z
  .strictObject({
    certificate: z
      .string()
      .min(1)
      .optional()
      .describe(
        'PEM file with the chain, own certificate first. Absent: the first of `certificates`, or a self-signed one, made once under `data`.',
      ),
    key: z.string().min(1).optional().describe('PEM file with the private key, without a passphrase.'),
    certificates: z
      .array(certificateEntry)
      .default([])
      .describe('More certificates, chosen by the name a client asks for (SNI), and by kind of key where names are the same.'),
    profile: profile
      .default('intermediate')
      .describe("Mozilla's sets: `intermediate` is TLS 1.2 and 1.3 with forward secrecy, `modern` TLS 1.3 alone."),
    checkEvery: duration
      .default(30_000)
      .describe('How often the files of certificates, keys and CAs are looked at; changed ones are taken up without a reload.'),
    ticketRotation: duration.default(6 * 3_600_000).describe('Age at which the keys of session tickets are replaced.'),
    ticketSecret: z
      .string()
      .min(1)
      .optional()
      .describe('File with 32 random bytes or more, the same on machines that take up the sessions of each other.'),
  })
  .prefault({});
