/**
 * Addresses that became several, of which a sender who asked for success is told once (RFC 3461 §5.2.7.3 c): when the first
 * of those that one stands for has the message or was at least tried. Where none of them can get it, its sender hears of the
 * failures alone. Used by delivery/settle. Pure.
 */
import type { Envelope, Recipient } from '../../mail/envelope.ts';
import type { DeliveryState, RecipientState } from '../../queue/store.ts';
import type { Told } from './told.ts';
import { wants } from './wishes.ts';

/** @returns the address that this recipient is one of several for, where its sender is to be told of it */
export function expansionOf(recipient: Recipient): string | undefined {
  return recipient.expanded === true && wants(recipient, 'success') ? (recipient.original ?? recipient.address) : undefined;
}

/** @returns the addresses of which the sender was told in earlier attempts: one they stand for is noted without `unexpanded` */
export function toldBefore({ recipients }: Envelope, state: DeliveryState | undefined): Set<string> {
  const told = new Set<string>();
  for (const [index, one] of state?.recipients.entries() ?? []) {
    const alias = isToldWith(one) ? expansionOf(recipients[index]!) : undefined;
    if (alias !== undefined) told.add(alias);
  }
  return told;
}

const isToldWith = ({ status, attempts, unexpanded }: RecipientState): boolean =>
  status === 'delivered' || (status === 'pending' && attempts > 0 && unexpanded !== true);

/** @param member one of those that the address stands for */
export function expansion(member: Recipient, alias: string): Told {
  const { orcpt } = member;
  const recipient: Recipient = { address: alias, ...(orcpt === undefined ? {} : { orcpt }) };
  const reply = '250 2.1.5 passed on to everybody it stands for';
  return { action: 'expanded', recipient, reply, status: '2.1.5', peer: undefined };
}
