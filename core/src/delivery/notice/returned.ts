/**
 * What a notice brings back of the message (RFC 3461 §4.3): its header, or the whole where a failure was to bring that and
 * it is small enough. Pure. What is not ASCII goes as it is in a notice that is itself sent as UTF-8, and in base64 as
 * message/global otherwise (RFC 6533 §4); a message that is 8-bit without being international comes back as it was.
 */
import { base64Lines } from './text.ts';

/** Of a header that is sent back; also how much of a body to read for it. */
export const MAX_HEADER_BYTES = 32 * 1024;
/** RFC 5321 §4.5.3.1.6, without CRLF. */
const MAX_LINE = 998;

/** One MIME part. */
export interface Returned {
  readonly type: string;
  readonly encoding?: '8bit' | 'base64';
  readonly content: string | Buffer;
}

const isAsciiOnly = (bytes: Buffer): boolean => bytes.every((byte) => byte < 128);

/** The header section, whole lines of it. */
function headerOf(bytes: Buffer): string {
  const end = bytes.indexOf('\r\n\r\n', 0, 'latin1');
  const text = bytes.toString('latin1', 0, end < 0 ? Math.min(bytes.length, MAX_HEADER_BYTES) : Math.min(end, MAX_HEADER_BYTES));
  const lines = text.split('\r\n');
  // Cut in the middle of a line or of the header: whole lines only.
  if (end < 0 ? bytes.length >= MAX_HEADER_BYTES : end > MAX_HEADER_BYTES) lines.pop();
  return lines.filter((line, index) => line !== '' || index === 0).join('\r\n');
}

/** 7-bit lines of bounded length, none of which could end a MIME part. */
function sevenBit(header: string): string {
  return header
    .split('\r\n')
    .map((line) => line.replace(/^--|[^\t\x20-\x7e]/g, '?').slice(0, 990))
    .join('\r\n');
}

/** True for bytes that can stand in a part as they are: lines of what SMTP carries, none that could end the part. */
function isPlain(bytes: Buffer, boundary: string): boolean {
  if (bytes.includes(`--${boundary}`) || bytes.includes(0)) return false;
  // Line by line: one expression for it all would try each length at each octet.
  return bytes
    .toString('latin1')
    .split('\r\n')
    .every((line) => line.length <= MAX_LINE && !/[\r\n]/.test(line));
}

/**
 * @param message the whole message, or the beginning of it with its header
 * @param whole `message` is all of it, and is to come back
 * @param international it was sent with SMTPUTF8
 * @param utf8 the notice is sent as UTF-8
 */
export function returned(
  message: Buffer,
  { whole, international, utf8, boundary }: { whole: boolean; international: boolean; utf8: boolean; boundary: string },
): Returned {
  const header = headerOf(message);
  const headerBytes = Buffer.from(header, 'latin1');
  if (whole && isPlain(message, boundary)) {
    if (isAsciiOnly(message)) return { type: 'message/rfc822', content: message };
    if (!international) return { type: 'message/rfc822', encoding: '8bit', content: message };
    return utf8
      ? { type: 'message/global', encoding: '8bit', content: message }
      : { type: 'message/global', encoding: 'base64', content: base64Lines(message) };
  }
  if (!international || isAsciiOnly(headerBytes)) return { type: 'text/rfc822-headers', content: `${sevenBit(header)}\r\n` };
  return { type: 'message/global-headers', encoding: 'base64', content: base64Lines(Buffer.from(`${header}\r\n`, 'latin1')) };
}

/** The Message-ID of the message, for threads in mail readers. */
export function referenceTo(message: Buffer): string[] {
  const header = sevenBit(headerOf(message));
  const id = /^message-id:[ \t]*(?:\r\n[ \t]+)?(<[^\s<>]{1,250}>)/im.exec(header)?.[1];
  return id === undefined ? [] : [`In-Reply-To: ${id}`, `References: ${id}`];
}
