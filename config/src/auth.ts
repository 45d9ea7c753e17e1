/**
 * The keys of logging in: what may be tried how often, which mechanisms are offered, and who gives out tokens. Part of
 * schema.ts; combinations are in checks of the same file. `clientSecretFile` is made absolute by load.ts.
 */
import { z } from 'zod';
import { duration, pause } from './units.ts';

const MECHANISMS = [
  'SCRAM-SHA-256-PLUS',
  'SCRAM-SHA-256',
  'EXTERNAL',
  'OAUTHBEARER',
  'XOAUTH2',
  'CRAM-MD5',
  'PLAIN',
  'LOGIN',
] as const;

/** A token in clear on the way is a login for whoever sees it. */
const endpoint = z
  .url({ protocol: /^https?$/, error: 'expected a URL, such as https://id.example.org/keys' })
  .refine((url) => /^(https:|http:\/\/(127\.0\.0\.1|\[::1\]|localhost)(:\d+)?\/)/.test(url), {
    error: 'expected https: tokens and their keys must not travel in clear',
  })
  .refine((url) => URL.parse(url)?.username === '' && URL.parse(url)?.password === '', {
    error: 'expected a URL without a login in it; see clientId and clientSecretFile',
  });

const failures = z.int().min(3).max(100_000);

export const authSchema = z
  .strictObject({
    mechanisms: z
      .array(z.enum(MECHANISMS))
      .min(1)
      .nullable()
      .default(null)
      .describe(
        'SASL mechanisms that may be used, and with PLAIN the USER and PASS of POP3, with CRAM-MD5 its APOP; `null`: all that somebody can log in with as things are.',
      ),
    failureDelay: pause.default(1000).describe('How long a failed login waits for its answer; `0`: not at all.'),
    lockOut: z
      .strictObject({
        afterFromClient: failures
          .default(30)
          .describe(
            'Failures of one client (IPv6: of its /64; of its /48 sixteen times as many) before it is refused for a while.',
          ),
        afterForUser: failures
          .default(30)
          .describe(
            'Failures for one login name, from wherever, before it is refused for a while, whether somebody has it or not.',
          ),
        window: duration.default(600_000).describe('Failures are counted over this time.'),
        for: duration.default(600_000).describe('How long who is past the limit is refused.'),
      })
      .prefault({}),
    source: z
      .record(z.string(), z.record(z.string(), z.unknown()))
      .refine((source) => Object.keys(source).length === 1, { error: 'expected one source with its options' })
      .nullable()
      .default(null)
      .describe(
        'Where users are beside `users`: `{ ldap: {…} }`, `{ http: {…} }`, or a package or file of yours with its options.',
      ),
    sourceRefresh: duration.default(300_000).describe('How often the list of users is asked for again.'),
    oauth: z
      .strictObject({
        issuer: z.string().min(1).optional().describe('`iss` of the tokens; needed with `jwks`.'),
        audience: z.string().min(1).optional().describe('`aud` that a token must be for; needed with `jwks`.'),
        jwks: endpoint.optional().describe('Keys of the issuer (RFC 7517): tokens are JWTs and checked here.'),
        introspection: endpoint.optional().describe('Asked about each token (RFC 7662), in place of `jwks`.'),
        clientId: z.string().min(1).optional().describe('Who we are to the introspection endpoint.'),
        clientSecretFile: z.string().min(1).optional().describe('File with the secret for it.'),
        scope: z.string().min(1).optional().describe('A word that must be in the `scope` of a token.'),
        claims: z
          .array(z.string().min(1))
          .min(1)
          .default(['email', 'username', 'preferred_username'])
          .describe(
            'Where a token has the name or address of its user: the first of these that it has says it alone; an `email` that is not verified says nobody.',
          ),
        timeoutMs: duration.default(5000).describe('One question to the endpoint.'),
      })
      .nullable()
      .default(null)
      .describe('Who gives out tokens for OAUTHBEARER and XOAUTH2; `null`: nobody.'),
  })
  .prefault({});

export type OauthConfig = NonNullable<z.output<typeof authSchema>['oauth']>;
