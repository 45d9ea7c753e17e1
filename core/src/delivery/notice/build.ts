/**
 * A delivery status notification: a multipart/report (RFC 6522) of a text for people, a delivery status for programs
 * (RFC 3464) and what comes back of the message. Called by notice/send. Pure, and bounded whatever the message and the
 * peers brought along. It is 7-bit ASCII, so that every server on its way takes it, but where its recipient has an address
 * that is not (then it is sent with SMTPUTF8), and where an 8-bit message comes back whole.
 */
import type { BodyKind, Envelope } from '../../mail/envelope.ts';
import { isAscii } from '../../wire/address.ts';
import { forPeople, SUBJECTS } from './for-people.ts';
import { forPrograms } from './for-programs.ts';
import { referenceTo, returned } from './returned.ts';
import type { Told } from './told.ts';
import { base64Lines, dateOf, printable } from './text.ts';

export interface NoticeInput {
  /** Of the message it is about. */
  readonly envelope: Envelope;
  /** At least one, and at most MAX_TOLD. */
  readonly told: readonly Told[];
  /** That message, or the beginning of it with its header. */
  readonly message: Uint8Array;
  /** `message` is all of it, and is to come back. */
  readonly whole: boolean;
  readonly hostname: string;
  /** Queue id of the notice itself: its Message-ID and boundary. */
  readonly id: string;
  readonly nowMs: number;
}

export interface Notice {
  readonly bytes: Uint8Array;
  readonly body: BodyKind;
  /** It is to be sent with SMTPUTF8. */
  readonly smtpUtf8: boolean;
}

/** Recipients in one notice; of more, there are several. */
export const MAX_TOLD = 1000;

/** The notice with CRLF line ends; to be sent to `envelope.reversePath` with the null reverse-path. */
export function buildNotice(input: NoticeInput): Notice {
  const { envelope, told, hostname, id, nowMs, whole } = input;
  const message = Buffer.from(input.message.buffer, input.message.byteOffset, input.message.length);
  const utf8 = !isAscii(envelope.reversePath);
  const international = envelope.smtpUtf8 === true;
  const boundary = `=_${id}/${hostname}`;
  const text = forPeople(input, told);
  const original = returned(message, { whole, international, utf8, boundary });
  const body = utf8 || original.encoding === '8bit' ? '8bitmime' : '7bit';
  const part = (type: string, encoding?: string): string =>
    `--${boundary}\r\nContent-Type: ${type}\r\n${encoding === undefined ? '' : `Content-Transfer-Encoding: ${encoding}\r\n`}\r\n`;
  const pieces = [
    [
      `Date: ${dateOf(nowMs)}`,
      `From: Mail Delivery System <MAILER-DAEMON@${hostname}>`,
      `To: <${printable(envelope.reversePath)}>`,
      `Subject: ${SUBJECTS[told[0]!.action]}`,
      `Message-ID: <${id}@${hostname}>`,
      ...referenceTo(message),
      'Auto-Submitted: auto-replied',
      'MIME-Version: 1.0',
      ...(body === '7bit' ? [] : ['Content-Transfer-Encoding: 8bit']),
      `Content-Type: multipart/report; report-type=delivery-status;\r\n\tboundary="${boundary}"`,
      '',
      'This is a report in MIME format.',
      '',
      '',
    ].join('\r\n'),
    isAscii(text)
      ? part('text/plain; charset=us-ascii') + text
      : utf8
        ? part('text/plain; charset=utf-8', '8bit') + text
        : part('text/plain; charset=utf-8', 'base64') + base64Lines(Buffer.from(text)),
    `\r\n${utf8 ? part('message/global-delivery-status', '8bit') : part('message/delivery-status')}`,
    forPrograms(input, told, utf8),
    `\r\n${part(original.type, original.encoding)}`,
    original.content,
    `\r\n--${boundary}--\r\n`,
  ];
  const bytes = Buffer.concat(pieces.map((piece) => (typeof piece === 'string' ? Buffer.from(piece) : piece)));
  return { bytes, body, smtpUtf8: utf8 };
}
