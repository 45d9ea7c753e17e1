/** For tests of who is told what: next hops that know some extensions, mail that asks for things, and what was told. */
import type { Envelope, Recipient } from '@posthorn/core/mail/envelope';
import { systemClock } from '@posthorn/core/mail/system-clock';
import { startPeer, startRig } from './delivery-peers.ts';
import type { Rig, RigOptions } from './delivery-rig.ts';
import type { Script, Sink } from './smtp-sink.ts';

export const HOUR = 3_600_000;

/** A next hop with these extensions. */
export function hop(words: readonly string[], script: Script = {}, lmtp = false): Promise<Sink> {
  return startPeer({ extensions: ['PIPELINING', ...words], script, lmtp });
}

export function rigTo(sink: Sink | undefined, options: RigOptions = {}, scheme = 'smtp'): Rig {
  const via = sink === undefined ? 'discard:' : `${scheme}://127.0.0.1:${sink.port}`;
  return startRig({
    ...options,
    config: {
      queue: { priorityStep: 60_000, warnAfter: [4 * HOUR, 24 * HOUR], giveUpAfter: 120 * HOUR, maxReturnBytes: 1000 },
      ...options.config,
      relay: { routes: [{ to: '*', via }] },
    },
  });
}

export const ask = (recipient: Partial<Recipient>, envelope: Partial<Envelope> = {}): Partial<Envelope> => ({
  recipients: [{ address: 'b@y.test', ...recipient }],
  ...envelope,
});
export const asked = (sink: Sink): string[] =>
  sink.commands.filter((line) => /MAIL|RCPT/.test(line)).map((line) => line.slice(2));
/** Actions told, in order, over all notices. */
export const actions = (rig: Rig): string[] =>
  rig.bounces.flatMap(({ text }) => [...text.matchAll(/^Action: (.*)\r$/gm)].map(([, action]) => action!));
export const in1h = (): number => systemClock.now() + HOUR;
