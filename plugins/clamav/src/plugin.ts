/**
 * `clamav`: sends each message to clamd and rejects or quarantines what it finds. Runs on a waiting thread. When clamd
 * cannot be asked the hook throws, and `onFailure` decides: mail waits (`defer`, the default) or passes unscanned (`pass`).
 */
import { definePlugin, type HookResult } from '@posthorn/sdk';
import { scan } from './clamd.ts';
import { Gate } from './gate.ts';
import { optionsSchema } from './options.ts';

export const plugin = definePlugin({
  name: 'clamav',
  version: '0.1.0',
  options: optionsSchema,
  run: 'wait',
  onFailure: 'defer',
  deadlineMs: 30_000,
  open: ({ options, clock }) => ({ gate: new Gate(options.maxConnections, options.retryAfterMs, clock) }),
  hooks: {
    async message({ session, envelope, bytes }, { options, state, clock, log }): Promise<HookResult | undefined> {
      const tooLarge = (): HookResult | undefined => {
        log.info('clamav.oversize', { session: session.sessionId, message: envelope.id, sizeBytes: bytes.sizeBytes });
        if (options.oversize === 'skip') return undefined;
        return { kind: 'defer', code: 451, enhanced: '4.3.4', text: 'Message too large to be scanned for viruses' };
      };
      if (bytes.sizeBytes > options.maxScanBytes) return tooLarge();
      const verdict = await state.gate.run(options.timeoutMs, (leftMs) =>
        scan(options.address, bytes, { connectTimeoutMs: options.connectTimeoutMs, timeoutMs: leftMs }, clock),
      );
      switch (verdict.kind) {
        case 'clean':
          return undefined;
        case 'oversize':
          return tooLarge();
        case 'found': {
          const signature = shown(verdict.signature);
          log.info('clamav.found', { session: session.sessionId, message: envelope.id, signature });
          if (options.found === 'quarantine') return { kind: 'quarantine', reason: `virus ${signature}` };
          return { kind: 'reject', code: 550, enhanced: '5.7.1', text: `Virus found: ${signature}` };
        }
        default:
          return verdict satisfies never;
      }
    },
  },
});

/** A signature's name as a reply may show it. */
function shown(signature: string): string {
  return signature.replaceAll(/[^A-Za-z0-9._:/()+-]+/g, '?').slice(0, 100);
}
