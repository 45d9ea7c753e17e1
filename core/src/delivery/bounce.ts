/**
 * The notice that mail could not be delivered: a multipart/report (RFC 3462) of a text for people, a delivery status for
 * programs (RFC 3464) and the header of the message. Called by delivery/loop when recipients failed. Pure.
 * It is 7-bit ASCII throughout, so that every server on its way takes it, and bounded, whatever the message and the peers
 * brought along. Whether one may be sent at all (never for the null reverse-path) is `mayBounce`.
 */
import type { Envelope, Recipient } from '../mail/envelope.ts';
import { statusOf } from './reply.ts';

/** A recipient that did not get the message. */
export interface Failure {
  readonly recipient: Recipient;
  /** The last reply of a peer, or our own reason. */
  readonly reply: string;
  /** Who said so: `mx.example.org[192.0.2.1]:25`; undefined when it is our own reason. */
  readonly peer: string | undefined;
  /** Tried until the time was over. */
  readonly expired: boolean;
}

export interface BounceInput {
  /** Of the message that failed. */
  readonly envelope: Envelope;
  readonly failures: readonly Failure[];
  /** The header of that message, or its beginning. */
  readonly header: Uint8Array;
  readonly hostname: string;
  /** Queue id of the bounce itself: its Message-ID and boundary. */
  readonly id: string;
  readonly nowMs: number;
}

/** Of the failed message's header that is sent back; also how much of a body to read for it. */
export const MAX_HEADER_BYTES = 32 * 1024;
/** Recipients told of by name; a message has at most a thousand or so. */
const MAX_FAILURES = 1000;

/** False where an answer would loop, or hit somebody who sent nothing. */
export function mayBounce(envelope: Envelope): boolean {
  if (envelope.reversePath === '') return false;
  // Quarantined mail mostly has a forged sender; only one we know is told that it was not relayed.
  return envelope.quarantine === undefined || envelope.origin.user !== undefined;
}

const dateOf = (atMs: number): string => new Date(atMs).toUTCString().replace('GMT', '+0000');
const ascii = (text: string): string => text.replace(/[^\x20-\x7e]/g, '?');

/** A long text in lines of at most 76 characters, the later ones led by `lead`. */
function fold(text: string, lead: string): string {
  const lines: string[] = [];
  let line = '';
  for (const word of ascii(text).split(' ')) {
    if (line !== '' && line.length + word.length > 74) {
      lines.push(line);
      line = lead;
    }
    line += line === '' || line === lead ? word.slice(0, 900) : ` ${word.slice(0, 900)}`;
  }
  return [...lines, line].join('\r\n');
}

/** The status of an expired recipient is that of the time that ran out (RFC 3463 §3.5); its last reply is the diagnostic. */
function statusOfFailure({ reply, expired }: Failure): string {
  const status = statusOf(reply);
  return expired ? '4.4.7' : status.startsWith('5.') ? status : '5.0.0';
}

function forPeople(input: BounceInput): string {
  const { envelope, failures, hostname } = input;
  const lines = [
    `This is the mail server ${hostname}.`,
    '',
    'Your message could not be delivered to the recipients below. The reason',
    'for each follows its address. There will be no further attempts.',
    '',
    `Message: ${envelope.id}, received ${dateOf(envelope.receivedAtMs)}`,
    '',
  ];
  for (const { recipient, reply, peer, expired } of failures.slice(0, MAX_FAILURES)) {
    const said = peer === undefined ? reply : `${peer} said: ${reply}`;
    const given = recipient.original === undefined ? '' : ` (sent to ${recipient.original})`;
    lines.push(fold(`<${recipient.address}>${given}`, '  '));
    lines.push(`  ${fold(expired ? `Not delivered in time (4.4.7). At the last attempt: ${said}` : said, '  ')}`, '');
  }
  return lines.join('\r\n');
}

function forPrograms({ envelope, failures, hostname, nowMs }: BounceInput): string {
  // RFC 4865 §5.1.2.
  const hold = envelope.hold === undefined ? '' : `Future-Release-Request: ${envelope.hold.request}\r\n`;
  const blocks = [`Reporting-MTA: dns; ${hostname}\r\nArrival-Date: ${dateOf(envelope.receivedAtMs)}\r\n${hold}`];
  for (const failure of failures.slice(0, MAX_FAILURES)) {
    const { recipient, peer, reply } = failure;
    const host = peer === undefined ? undefined : /^(?:([^[\]]+)\[|\[)/.exec(peer)?.[1];
    blocks.push(
      [
        ...(recipient.original === undefined ? [] : [`Original-Recipient: rfc822; ${ascii(recipient.original)}`]),
        `Final-Recipient: rfc822; ${ascii(recipient.address)}`,
        'Action: failed',
        `Status: ${statusOfFailure(failure)}`,
        ...(host === undefined ? [] : [`Remote-MTA: dns; ${ascii(host)}`]),
        fold(`Diagnostic-Code: smtp; ${reply}`, ' '),
        `Last-Attempt-Date: ${dateOf(nowMs)}`,
        '',
      ].join('\r\n'),
    );
  }
  return blocks.join('\r\n');
}

/** The header section as 7-bit lines of bounded length, none of which could end a MIME part; ends before the empty line. */
function headerText(header: Uint8Array): string {
  const bytes = Buffer.from(header.buffer, header.byteOffset, Math.min(header.length, MAX_HEADER_BYTES));
  const end = bytes.indexOf('\r\n\r\n', 0, 'latin1');
  const text = bytes.toString('latin1', 0, end < 0 ? bytes.length : end);
  const lines = text.split('\r\n').map((line) => line.replace(/^--|[^\t\x20-\x7e]/g, '?').slice(0, 990));
  // Cut in the middle of a line or of the header: whole lines only.
  if (end < 0 && bytes.length === MAX_HEADER_BYTES) lines.pop();
  return lines.filter((line, index) => line !== '' || index === 0).join('\r\n');
}

/** The Message-ID of the failed message, for threads in mail readers. */
function referenceTo(header: string): string[] {
  const id = /^message-id:[ \t]*(?:\r\n[ \t]+)?(<[^\s<>]{1,250}>)/im.exec(header)?.[1];
  return id === undefined ? [] : [`In-Reply-To: ${id}`, `References: ${id}`];
}

/** The whole bounce with CRLF line ends; to be sent to `envelope.reversePath` with the null reverse-path. */
export function buildBounce(input: BounceInput): Uint8Array {
  const { envelope, hostname, id, nowMs } = input;
  const original = headerText(input.header);
  // Not in what is quoted: no line of it begins with two dashes.
  const boundary = `=_${id}/${hostname}`;
  const part = (type: string, body: string): string => `--${boundary}\r\nContent-Type: ${type}\r\n\r\n${body}\r\n`;
  const text = [
    `Date: ${dateOf(nowMs)}`,
    `From: Mail Delivery System <MAILER-DAEMON@${hostname}>`,
    `To: <${ascii(envelope.reversePath)}>`,
    'Subject: Undelivered mail returned to sender',
    `Message-ID: <${id}@${hostname}>`,
    ...referenceTo(original),
    'Auto-Submitted: auto-replied',
    'MIME-Version: 1.0',
    `Content-Type: multipart/report; report-type=delivery-status;\r\n\tboundary="${boundary}"`,
    '',
    'This is a report in MIME format.',
    '',
    part('text/plain; charset=us-ascii', forPeople(input)) +
      part('message/delivery-status', forPrograms(input)) +
      part('text/rfc822-headers', `${original}\r\n`) +
      `--${boundary}--\r\n`,
  ].join('\r\n');
  return Buffer.from(text, 'latin1');
}
