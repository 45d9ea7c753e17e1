/** What an operator may set for `bayes`, with defaults. Limits apply to reception; training uses the default ones. */
import { z } from '@posthorn/sdk';

export const DEFAULT_MAX_BYTES = 256 * 1024;
export const DEFAULT_MAX_TOKENS = 3000;

export const optionsSchema = z.strictObject({
  minSpam: z.int().min(1).default(100).describe('Spam messages that must have been learned before anything is said.'),
  minHam: z.int().min(1).default(100).describe('Ham messages that must have been learned before anything is said.'),
  spamWeight: z.number().min(0).default(5).describe('Weight of BAYES_99; less certain results weigh less.'),
  hamWeight: z.number().min(0).default(2).describe('What BAYES_00 takes off the score.'),
  maxBytes: z
    .int()
    .min(4096)
    .max(4 * 1024 * 1024)
    .default(DEFAULT_MAX_BYTES)
    .describe('Bytes of a message that are looked at.'),
  maxTokens: z.int().min(100).max(20_000).default(DEFAULT_MAX_TOKENS).describe('Tokens of a message that are looked at.'),
  skipAuthenticated: z.boolean().default(true).describe('Mail of users who logged in is not scored.'),
});

export type Options = z.output<typeof optionsSchema>;
