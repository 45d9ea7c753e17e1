/**
 * Internationalised messages for clients that did not say UTF8 (RFC 6856 §2.1): the header in ASCII, the body as it is
 * (RFC 6858). Made while it is sent: what lies in the maildrop stays as it came.
 */
import { isAscii } from 'node:buffer';
import { asciiHeader, endOfHeader } from '../mail/ascii-header.ts';
import { bufferOf } from '../wire/buffer-of.ts';

/** A longer header stays in the maildrop until the client says UTF8. */
const MAX_HEADER_BYTES = 512 * 1024;

/** @param message whole. @returns the same bytes where they need no surrogate. */
export function surrogateOf(message: Uint8Array): Uint8Array {
  const bytes = bufferOf(message);
  const end = endOfHeader(bytes);
  const header = asciiHeader(bytes.subarray(0, end));
  return header === undefined ? message : Buffer.concat([header, bytes.subarray(end)]);
}

/**
 * Reads as much of a message as has its header.
 * @returns that, and by how much the whole message is longer in this form; undefined where the header is too long for one.
 */
export async function withSurrogateHeader(
  source: AsyncIterator<Uint8Array>,
): Promise<{ readonly first: Uint8Array | undefined; readonly grownBytes: number } | undefined> {
  let read: Buffer = Buffer.alloc(0);
  for (let end = 0; ;) {
    // What was read so far is the source's again as soon as it is asked for more.
    if (read.length > 0) read = Buffer.from(read);
    const { done, value } = await source.next();
    if (done !== true) read = read.length === 0 ? bufferOf(value) : Buffer.concat([read, value]);
    end = endOfHeader(read);
    const whole = end < read.length || done === true;
    if (!whole && read.length <= MAX_HEADER_BYTES) continue;
    if (!whole && !isAscii(read)) return undefined;
    const header = asciiHeader(read.subarray(0, end));
    if (header === undefined) return { first: read.length === 0 ? undefined : read, grownBytes: 0 };
    return { first: Buffer.concat([header, read.subarray(end)]), grownBytes: header.length - end };
  }
}
