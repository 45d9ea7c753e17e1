/** Gives evidence about the subject, at once. For conformance tests of hosts. */
import { definePlugin } from '@posthorn/sdk';

export default definePlugin({
  name: 'finder',
  version: '1.0.0',
  hooks: {
    message({ bytes }) {
      const found = Buffer.from(bytes.header).includes('spam');
      return found ? { kind: 'evidence', evidence: [{ name: 'SUBJECT_SPAM', weight: 3, reason: 'it says so' }] } : undefined;
    },
    rcpt: () => ({ kind: 'evidence', evidence: [{ name: 'RCPT', weight: 0.1, reason: 'seen' }] }),
  },
});
