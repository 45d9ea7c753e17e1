/**
 * What is asked of delivery, said to a host that offers DSN (RFC 3461 §5.2.1) or DELIVERBY (RFC 2852 §4.1), and to no
 * other; and what that host then took over. Asked by remote/transaction and remote/client. Pure.
 */
import { isAscii } from '../../wire/address.ts';
import type { Notify } from '../../mail/envelope.ts';
import type { Asked, AskedOfRecipient } from '../asked.ts';
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

/**
 * @param handover who has the message when its host takes it
 * @returns RCPT's parameters, with a blank before each
 */
export function rcptRequests(
  { recipients, deliverBy }: Asked,
  address: string,
  { reports, keepsTime }: Handover,
  utf8: boolean,
): string {
  if (!reports) return '';
  const { notify: given, orcpt } = recipients.get(address) ?? NOTHING_ASKED;
  // RFC 2852 §4.1.4.2: who does not know the time can still tell that the message is late.
  const notify = keepsTime || !deliverBy?.tellsDelay || deliverBy.secondsLeft() <= 0 ? given : withDelay(given);
  let text = '';
  if (notify !== undefined) text += ` NOTIFY=${notify.length === 0 ? 'NEVER' : notify.join(',').toUpperCase()}`;
  // RFC 6533 §3: beyond ASCII only where both sides said SMTPUTF8.
  if (orcpt !== undefined) text += ` ORCPT=${utf8 || isAscii(orcpt) ? orcpt : escapeBeyondAscii(orcpt)}`;
  return text;
}

const NOTHING_ASKED: AskedOfRecipient = {};
const FAILURE_AND_DELAY: readonly Notify[] = ['failure', 'delay'];

function withDelay(notify = FAILURE_AND_DELAY): readonly Notify[] {
  return notify.length === 0 || notify.includes('delay') ? notify : [...notify, 'delay'];
}

/**
 * Why mail that is to come back when it is late cannot go this way (RFC 2852 §4.1.4.1), as a permanent reply.
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
