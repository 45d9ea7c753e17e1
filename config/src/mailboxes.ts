/** `mailboxes` of the configuration: how long mail stays in them and how much there may be. users.ts has the same for one user. */
import { z } from 'zod';
import { bytes } from './units.ts';

const DAYS_EXPECTED = 'expected a whole number of days, from 1 to 36500';

/** Whole days, as POP3 tells them; none would be a mailbox that keeps nothing (RFC 2449 §6.7). */
export const retentionDays = z
  .int({ error: DAYS_EXPECTED })
  .min(1, { error: DAYS_EXPECTED })
  .max(36_500, { error: DAYS_EXPECTED });

export const quota = bytes.refine((value) => value > 0, { error: 'expected a size above 0' }).meta({ unit: 'bytes' });

export const mailboxesSchema = z
  .strictObject({
    retentionDays: retentionDays
      .nullable()
      .default(null)
      .describe('Mail older than this is deleted; told to POP3 clients as EXPIRE. `null`: it stays.'),
    quotaBytes: quota.nullable().default(null).describe('What a mailbox may hold; `null`: what the disk has.'),
    whenFull: z
      .enum(['defer', 'reject'])
      .default('defer')
      .describe('Mail for a full mailbox: 452 4.2.2, and tried again for `queue.giveUpAfter`; or 552 5.2.2 at once.'),
  })
  .prefault({});
