/** The delivery status of a notice (RFC 3464 §2, RFC 6533 §3): fields of the message, then of each recipient. Pure. */
import { originalRecipient, fromXtext, typedAddress } from './address.ts';
import type { NoticeInput } from './build.ts';
import type { Told } from './told.ts';
import { ascii, dateOf, fold } from './text.ts';

function recipientFields(one: Told, nowMs: number, utf8: boolean): string {
  const { recipient, action, status, peer, reply, retryUntilMs } = one;
  const host = peer === undefined ? undefined : nameOf(peer);
  const { orcpt, original = recipient.address } = recipient;
  return [
    // RFC 3461 §6.3 (d): only what the sender himself called it.
    ...(orcpt === undefined ? [] : [`Original-Recipient: ${originalRecipient(orcpt, utf8)}`]),
    // As it was when we took the message (RFC 3464 §2.3.2), whatever an alias made of it since.
    `Final-Recipient: ${typedAddress(original, utf8)}`,
    `Action: ${action}`,
    `Status: ${status}`,
    ...(host === undefined ? [] : [`Remote-MTA: dns; ${ascii(host)}`]),
    // RFC 3464 §2.3.6: `smtp` is for what another server said.
    ...(action === 'expanded'
      ? []
      : [
          fold(ascii(`Diagnostic-Code: ${peer === undefined ? 'x-posthorn' : 'smtp'}; ${reply}`), ' '),
          `Last-Attempt-Date: ${dateOf(nowMs)}`,
        ]),
    ...(retryUntilMs === undefined ? [] : [`Will-Retry-Until: ${dateOf(retryUntilMs)}`]),
    '',
  ].join('\r\n');
}

/** A peer as Remote-MTA has it: its name, or its address as a literal where it has none (RFC 3461 §9.3). */
function nameOf(peer: string): string | undefined {
  const [, name, address = ''] = /^([^[\]]*)\[([^\]]*)\]/.exec(peer) ?? [];
  return name === '' ? `[${address.includes(':') ? 'IPv6:' : ''}${address}]` : name;
}

/** @param utf8 the notice is sent as UTF-8: then this is a message/global-delivery-status */
export function forPrograms({ envelope, hostname, nowMs }: NoticeInput, told: readonly Told[], utf8: boolean): string {
  const { envid, hold, deliverBy, receivedAtMs } = envelope;
  const ofMessage = [
    ...(envid === undefined ? [] : [`Original-Envelope-Id: ${ascii(fromXtext(envid))}`]),
    `Reporting-MTA: dns; ${hostname}`,
    `Arrival-Date: ${dateOf(receivedAtMs)}`,
    // RFC 2852 §5.
    ...(deliverBy === undefined ? [] : [`Deliver-By-Date: ${dateOf(deliverBy.atMs)}`]),
    // RFC 4865 §5.1.2.
    ...(hold === undefined ? [] : [`Future-Release-Request: ${hold.request}`]),
    '',
  ];
  return [ofMessage.join('\r\n'), ...told.map((one) => recipientFields(one, nowMs, utf8))].join('\r\n');
}
