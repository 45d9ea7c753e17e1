/** The header of an entity whose content got another form: fields of MIME corrected or added. Used by convert/convert. Pure. */
import { isAscii } from 'node:buffer';
import { asciiHeader } from '../../mail/ascii-header.ts';
import { scanHeader } from '../../mail/header-scan.ts';
import type { Entity } from './entity.ts';

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
  return toAscii ? (asciiHeader(whole) ?? whole) : whole;
}

/** Whether the header can be told in ASCII: it is, or it is UTF-8, of which every reader makes the same. */
export function hasAsciiForm({ header, isDamaged }: Entity): boolean {
  return isAscii(header) || (!isDamaged && asciiHeader(header) !== undefined);
}

const line = (text: string): Uint8Array => Buffer.from(`${text}\r\n`, 'latin1');
