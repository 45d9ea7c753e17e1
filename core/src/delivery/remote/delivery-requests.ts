/**
 * What is asked of delivery, said to a host that offers DSN (RFC 3461 §5.2.1) or DELIVERBY (RFC 2852 §4.1), and to no
 * other; and what that host then took over. Asked by remote/transaction and remote/client. Pure.
 */
import { isAscii } from '../../wire/address.ts';
import type { Asked } from '../asked.ts';
import { escapeBeyondAscii } from '../notice/address.ts';
import { type Handover, IN_MAILBOX } from '../reply.ts';
import type { Capabilities } from './capabilities.ts';

/** BY has nine digits at most. */
const MOST_SECONDS = 999_999_999;

/** @returns MAIL's parameters, with a blank before each */
export function mailRequests({ ret, envid, deliverBy }: Asked, capabilities: Capabilities): string {
  let text = '';
  if (capabilities.dsn) {
    if (ret !== undefined) text += ret === 'full' ? ' RET=FULL' : ' RET=HDRS';
    if (envid !== undefined) text += ` ENVID=${envid}`;
  }
  if (deliverBy !== undefined && capabilities.minDeliverBySeconds !== undefined) {
    const seconds = Math.max(-MOST_SECONDS, Math.min(MOST_SECONDS, deliverBy.secondsLeft()));
    text += ` BY=${seconds};${deliverBy.mode === 'return' ? 'R' : 'N'}${deliverBy.trace ? 'T' : ''}`;
  }
  return text;
}

/** @returns RCPT's parameters, with a blank before each */
export function rcptRequests({ recipients }: Asked, address: string, capabilities: Capabilities, utf8: boolean): string {
  const asked = capabilities.dsn ? recipients.get(address) : undefined;
  if (asked === undefined) return '';
  const { notify, orcpt } = asked;
  let text = '';
  if (notify !== undefined) text += ` NOTIFY=${notify.length === 0 ? 'NEVER' : notify.join(',').toUpperCase()}`;
  // RFC 6533 §3: beyond ASCII only where both sides said SMTPUTF8.
  if (orcpt !== undefined) text += ` ORCPT=${utf8 || isAscii(orcpt) ? orcpt : escapeBeyondAscii(orcpt)}`;
  return text;
}

/**
 * Why mail that is to come back when it is late cannot go this way (RFC 2852 §4.1.3), as a permanent reply.
 * @param lmtp the host is where it was to go
 */
export function refuseForTime({ deliverBy }: Asked, { minDeliverBySeconds }: Capabilities, lmtp: boolean): string | undefined {
  if (deliverBy?.mode !== 'return') return undefined;
  const left = deliverBy.secondsLeft();
  if (left <= 0) return '554 5.4.7 the time in which it was to be delivered is over';
  if (lmtp && minDeliverBySeconds === undefined) return undefined;
  if (minDeliverBySeconds === undefined) {
    return '554 5.3.3 message is to be delivered by a time and the mail host does not offer DELIVERBY';
  }
  if (left >= minDeliverBySeconds) return undefined;
  return `554 5.4.7 ${left} seconds are left and the mail host takes no less than ${minDeliverBySeconds}`;
}

/** Who has the message after its host took it. */
export function handoverTo({ dsn, minDeliverBySeconds }: Capabilities, lmtp: boolean): Handover {
  if (lmtp && !dsn) return IN_MAILBOX;
  return { to: lmtp ? 'mailbox' : 'hop', reports: dsn, keepsTime: lmtp || minDeliverBySeconds !== undefined };
}
