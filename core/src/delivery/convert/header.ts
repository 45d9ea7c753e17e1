/** The header of an entity whose content got another form: fields of MIME corrected or added. Used by convert/convert. Pure. */
import { isAscii } from 'node:buffer';
import { scanHeader } from '../../mail/header-scan.ts';
import type { Entity } from './entity.ts';
import { sevenBitHeader } from './seven-bit-header.ts';

/** What the content became, as Content-Transfer-Encoding says it; undefined: nothing is said anew. */
export type Label = '7bit' | '8bit' | 'quoted-printable' | 'base64';

/**
 * The header as lines with CRLF.
 * @param label undefined: none is said anew
 * @param needsVersion it is a message of which some part was changed, which MIME-Version stands for
 * @param toAscii the hop takes 7-bit headers only; the header was found to have such a form
 */
export function rewriteHeader(entity: Entity, label: Label | undefined, needsVersion: boolean, toAscii: boolean): Uint8Array {
  const { header } = entity;
  const pieces: Uint8Array[] = [];
  let from = 0;
  let isLabelled = false;
  let hasVersion = false;
  for (const field of label === undefined && !needsVersion ? [] : scanHeader(header)) {
    if (field.name === 'mime-version') hasVersion = true;
    if (field.name !== 'content-transfer-encoding' || label === undefined) continue;
    pieces.push(header.subarray(from, field.from));
    // A second one would contradict the first.
    if (!isLabelled) pieces.push(line(`Content-Transfer-Encoding: ${label}`));
    isLabelled = true;
    from = field.to;
  }
  pieces.push(header.subarray(from));
  if (label !== undefined || needsVersion) {
    if (header.length > 0 && header[header.length - 1] !== 10) pieces.push(line(''));
    const isEncoded = label === 'quoted-printable' || label === 'base64';
    if (needsVersion && !hasVersion) pieces.push(line('MIME-Version: 1.0'));
    // RFC 1428 §3: what nobody named is not guessed.
    if (entity.kind === 'leaf' && !entity.isTyped && isEncoded)
      pieces.push(line('Content-Type: text/plain; charset=unknown-8bit'));
    if (label !== undefined && !isLabelled) pieces.push(line(`Content-Transfer-Encoding: ${label}`));
  }
  const whole = Buffer.concat(pieces);
  const ascii = toAscii ? sevenBitHeader(whole) : whole;
  return typeof ascii === 'string' ? whole : ascii;
}

/** Why the header cannot be told in ASCII, as a reply; it can where it is UTF-8, of which every reader makes the same. */
export function headerRefusal({ header, isDamaged }: Entity): string | undefined {
  if (isAscii(header)) return undefined;
  if (isDamaged) return MALFORMED;
  const ascii = sevenBitHeader(header);
  return typeof ascii === 'string' ? ascii : undefined;
}

const MALFORMED = '554 5.6.3 header has 8-bit text and is malformed, and the mail host takes none';

const line = (text: string): Uint8Array => Buffer.from(`${text}\r\n`, 'latin1');
