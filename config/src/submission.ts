/** The keys of a listener that say what its clients may learn and send as. Part of schema.ts. */
import { z } from 'zod';

export const submissionShape = {
  senderMustMatch: z
    .enum(['login', 'domain', 'off'])
    .default('login')
    .describe(
      'For submission: whose addresses MAIL, From and Sender may have. `login`: those of the user (with tags, aliases and `sendAs` of users.yaml); `domain`: any in a domain of theirs; `off`: any.',
    ),
  hideClient: z
    .boolean()
    .default(false)
    .describe('For submission: no header that is added tells the address or the name of the client.'),
  vrfy: z
    .enum(['off', 'users'])
    .default('off')
    .describe(
      'VRFY: `off` answers 252 to everybody, `users` tells those who logged in, or may relay, who is here. Strangers never learn it.',
    ),
};
