/** The delivery status of a notice (RFC 3464 §2, RFC 6533 §3): fields of the message, then of each recipient. Pure. */
import { originalRecipient, fromXtext, typedAddress } from './address.ts';
import type { NoticeInput } from './build.ts';
import type { Told } from './told.ts';
import { ascii, dateOf, fold } from './text.ts';

function recipientFields(one: Told, nowMs: number, utf8: boolean): string {
  const { recipient, action, status, peer, reply, retryUntilMs } = one;
  const host = peer === undefined ? undefined : /^(?:([^[\]]+)\[|\[)/.exec(peer)?.[1];
  const { orcpt, original } = recipient;
  const given =
    orcpt !== undefined ? originalRecipient(orcpt, utf8) : original === undefined ? undefined : typedAddress(original, utf8);
  return [
    ...(given === undefined ? [] : [`Original-Recipient: ${given}`]),
    `Final-Recipient: ${typedAddress(recipient.address, utf8)}`,
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

/** @param utf8 the notice is sent as UTF-8: then this is a message/global-delivery-status */
export function forPrograms({ envelope, hostname, nowMs }: NoticeInput, told: readonly Told[], utf8: boolean): string {
  const { envid, hold, receivedAtMs } = envelope;
  const ofMessage = [
    ...(envid === undefined ? [] : [`Original-Envelope-Id: ${ascii(fromXtext(envid))}`]),
    `Reporting-MTA: dns; ${hostname}`,
    `Arrival-Date: ${dateOf(receivedAtMs)}`,
    // RFC 4865 §5.1.2.
    ...(hold === undefined ? [] : [`Future-Release-Request: ${hold.request}`]),
    '',
  ];
  return [ofMessage.join('\r\n'), ...told.map((one) => recipientFields(one, nowMs, utf8))].join('\r\n');
}
