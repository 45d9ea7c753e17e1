/** Looks at everything a message hook is given and says what it saw; reads `finder`. For conformance tests of hosts. */
import { definePlugin, z } from '@posthorn/sdk';

export default definePlugin({
  name: 'looker',
  version: '1.0.0',
  reads: ['finder'],
  options: z.strictObject({ header: z.string().default('X-Seen') }),
  open: ({ options }) => ({ opened: options.header.toUpperCase() }),
  hooks: {
    async message({ bytes, envelope, evidence, session }, { options, state, hostname }) {
      let sum = 0;
      for await (const chunk of bytes.chunks()) for (const byte of chunk) sum = (sum + byte) % 65521;
      const seen = evidence.map(({ name, plugin }) => `${plugin}:${name}`).join(',');
      const header = Buffer.from(bytes.header).toString('latin1').split('\r\n')[0];
      const value = [sum, bytes.sizeBytes, header, envelope.id, session.helo, seen, state.opened, hostname].join('|');
      return [
        { kind: 'edit', edits: [{ edit: 'add-header', name: options.header, value }] },
        { kind: 'evidence', evidence: [{ name: 'LOOKED', weight: 0.5, reason: 'saw it' }] },
      ];
    },
    rcpt: ({ recipient, reversePath }) =>
      recipient.startsWith('nobody')
        ? { kind: 'reject', text: `${reversePath} may not`, code: 553, enhanced: '5.7.2', cause: 'private' }
        : undefined,
  },
});
