/** Scores mail whose subject has words of a list, and refuses mail that names nobody as its author. */
import { definePlugin, z } from '@posthorn/sdk';

export default definePlugin({
  name: 'my-filter',
  version: '1.0.0',
  options: z.strictObject({
    words: z.array(z.string()).default(['lottery', 'giveaway']),
    weight: z.number().default(3),
  }),
  hooks: {
    message({ session, bytes }, { options, log }) {
      if (session.user !== undefined) return undefined;
      const header = Buffer.from(bytes.header).toString('latin1');
      if (!/^from[ \t]*:/im.test(header)) {
        return { kind: 'reject', text: 'A message must have a From header', enhanced: '5.6.0' };
      }
      const subject = (/^subject:(.*(?:\r\n[ \t].*)*)/im.exec(header)?.[1] ?? '').toLowerCase();
      const found = options.words.filter((word) => subject.includes(word.toLowerCase()));
      if (found.length === 0) return undefined;
      log.debug('my-filter.found', { session: session.sessionId, words: found });
      return {
        kind: 'evidence',
        evidence: [{ name: 'MY_WORDS', weight: options.weight, reason: `subject has ${found.join(' ')}` }],
      };
    },
  },
});
