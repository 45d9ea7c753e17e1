/**
 * What clients may ask of delivery on a listener; each key stands for an extension that is announced. Part of schema.ts.
 */
import { z } from 'zod';
import { pause } from './units.ts';

export const requestsSchema = z
  .strictObject({
    dsn: z
      .boolean()
      .default(true)
      .describe('May mail say which notifications its sender wants (DSN): of success, of failure, of delay, of nothing?'),
    minDeliverBy: pause
      .refine((value) => value % 1000 === 0, { error: 'expected whole seconds' })
      .nullable()
      .default(0)
      .describe(
        'Least time that mail may give for its delivery where it is to come back afterwards (DELIVERBY); `null`: not offered.',
      ),
    maxHold: pause
      .refine((value) => value === 0 || value >= 1000, { error: 'expected 0, or at least 1s' })
      .default(14 * 86_400_000)
      .describe('How long mail may be held for later (FUTURERELEASE), on `submission` listeners; `0`: not offered.'),
    priority: z
      .boolean()
      .default(true)
      .describe('May mail be urgent (MT-PRIORITY)? Only that of users who logged in and of hosts in `relay.from` goes first.'),
    requireTls: z
      .boolean()
      .default(true)
      .describe(
        'May mail ask for TLS to proven hosts on its whole way (REQUIRETLS), or for delivery without (`TLS-Required: No`)?',
      ),
  })
  .prefault({});
