/**
 * Command text that may be UTF-8 (RFC 6531): the line reader gives one character for each byte. Strict: what is not
 * UTF-8 is not repaired. Called by the SMTP verbs.
 */
import { isUtf8 } from 'node:buffer';
import { isAscii } from './address.ts';

/** @returns the text that these bytes are, or undefined when they are not UTF-8. */
export function decodeUtf8(bytesAsText: string): string | undefined {
  if (isAscii(bytesAsText)) return bytesAsText;
  const bytes = Buffer.from(bytesAsText, 'latin1');
  return isUtf8(bytes) ? bytes.toString('utf8') : undefined;
}
