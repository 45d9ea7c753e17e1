/**
 * What the sender of a message asked of its delivery, as the next hop is told: DSN (RFC 3461) and DELIVERBY (RFC 2852).
 * Made by delivery/loop for the recipients of one hop, said by remote/delivery-requests. Most mail asks for nothing.
 */
import type { Clock } from '../mail/clock.ts';
import type { Envelope, Notify } from '../mail/envelope.ts';
import { ownOrcpt } from './notice/address.ts';
import { mayNotify, passedOn } from './notice/wishes.ts';

/** Of one recipient. */
export interface AskedOfRecipient {
  readonly notify?: readonly Notify[];
  readonly orcpt?: string;
}

export interface AskedDeliverBy {
  readonly mode: 'return' | 'notify';
  readonly trace: boolean;
  /** The sender is to hear when it is late, and can. */
  readonly tellsDelay: boolean;
  /** Until its time is over; less than zero when it is. */
  secondsLeft(): number;
}

export interface Asked {
  readonly ret?: 'full' | 'headers';
  /** xtext. */
  readonly envid?: string;
  /** By address. */
  readonly recipients: ReadonlyMap<string, AskedOfRecipient>;
  readonly deliverBy?: AskedDeliverBy;
}

const NOBODY: ReadonlyMap<string, AskedOfRecipient> = new Map();

/** @returns undefined when nothing was asked */
export function askedOf(envelope: Envelope, indices: readonly number[], clock: Clock): Asked | undefined {
  const { ret, envid, deliverBy } = envelope;
  let recipients: Map<string, AskedOfRecipient> | undefined;
  for (const index of indices) {
    const recipient = envelope.recipients[index]!;
    if (recipient.notify === undefined && recipient.orcpt === undefined) continue;
    const notify = passedOn(recipient);
    const { orcpt = ownOrcpt(recipient.original ?? recipient.address) } = recipient;
    // A notice asks for silence alone, and has no original recipient.
    const named = envelope.reversePath === '' && recipient.orcpt === undefined ? {} : { orcpt };
    recipients ??= new Map();
    recipients.set(recipient.address, { ...(notify === undefined ? {} : { notify }), ...named });
  }
  if (recipients === undefined && ret === undefined && envid === undefined && deliverBy === undefined) return undefined;
  return {
    ...(ret === undefined ? {} : { ret }),
    ...(envid === undefined ? {} : { envid }),
    recipients: recipients ?? NOBODY,
    ...(deliverBy === undefined
      ? {}
      : {
          deliverBy: {
            mode: deliverBy.mode,
            trace: deliverBy.trace,
            tellsDelay: deliverBy.mode === 'notify' && mayNotify(envelope),
            secondsLeft: () => Math.floor((deliverBy.atMs - clock.now()) / 1000),
          },
        }),
  };
}
