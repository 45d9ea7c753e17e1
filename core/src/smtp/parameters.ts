/**
 * The ESMTP parameters of MAIL and RCPT (RFC 5321 §4.1.1.11, SIZE RFC 1870, BODY RFC 6152 and 3030 §3, SMTPUTF8 RFC 6531 §3.4,
 * AUTH RFC 4954 §5).
 * Called by the verbs with what stands after the path; strict: what is not understood is refused, never skipped.
 */
import type { BodyKind } from '../mail/envelope.ts';
import type { Reply } from '../wire/reply.ts';
import { badParameter501, duplicateParameter501, unknownParameter555 } from './replies.ts';

export interface MailParameters {
  /** SIZE=, in bytes. */
  readonly sizeBytes: number | undefined;
  readonly body: BodyKind;
  /** SMTPUTF8 (RFC 6531 §3.4). */
  readonly smtpUtf8: boolean;
  /** PRDR: the client reads a verdict for each recipient (draft-hall-prdr §4.2). */
  readonly prdr: boolean;
}

const NO_PARAMETERS: MailParameters = { sizeBytes: undefined, body: '7bit', smtpUtf8: false, prdr: false };

/**
 * Reads MAIL's parameters.
 * @param rest what stands after the closing bracket of the path, trailing blanks taken off.
 * @param auth true when AUTH is announced, so that AUTH= is a known parameter; its value is not used.
 * @returns 501 for a bad or repeated parameter, 555 for an unknown one.
 */
export function parseMailParameters(rest: string, auth: boolean): MailParameters | Reply {
  if (rest === '') return NO_PARAMETERS;
  let sizeBytes: number | undefined;
  let body: BodyKind | undefined;
  let authSeen = false;
  let smtpUtf8 = false;
  let prdr = false;
  const words = splitParameters(rest);
  if (words === undefined) return badParameter501;
  for (const word of words) {
    const equals = word.indexOf('=');
    const keyword = (equals < 0 ? word : word.slice(0, equals)).toUpperCase();
    const value = equals < 0 ? '' : word.slice(equals + 1);
    if (keyword === 'SIZE') {
      if (sizeBytes !== undefined) return duplicateParameter501;
      sizeBytes = parseSize(value);
      if (sizeBytes === undefined) return badParameter501;
    } else if (keyword === 'BODY') {
      if (body !== undefined) return duplicateParameter501;
      const kind = value.toUpperCase();
      if (kind === '7BIT') body = '7bit';
      else if (kind === '8BITMIME') body = '8bitmime';
      else if (kind === 'BINARYMIME') body = 'binarymime';
      else return value === '' ? badParameter501 : unknownParameter555;
    } else if (keyword === 'SMTPUTF8') {
      if (equals >= 0) return badParameter501;
      if (smtpUtf8) return duplicateParameter501;
      smtpUtf8 = true;
    } else if (keyword === 'PRDR') {
      if (equals >= 0) return badParameter501;
      if (prdr) return duplicateParameter501;
      prdr = true;
    } else if (keyword === 'AUTH' && auth) {
      if (authSeen) return duplicateParameter501;
      authSeen = true;
      // xtext of RFC 3461 §4, or <>.
      if (value !== '<>' && !/^(?:[!-*,-<>-~]|\+[0-9A-F]{2})+$/.test(value)) return badParameter501;
    } else {
      return unknownParameter555;
    }
  }
  return { sizeBytes, body: body ?? '7bit', smtpUtf8, prdr };
}

/** RCPT's parameters: none is announced. @returns the refusal, undefined when there is nothing. */
export function refuseRcptParameters(rest: string): Reply | undefined {
  if (rest === '') return undefined;
  return splitParameters(rest) === undefined ? badParameter501 : unknownParameter555;
}

/** Parameters stand after a blank each, as keyword or keyword=value in printable ASCII; undefined when they do not. */
function splitParameters(rest: string): string[] | undefined {
  const words = rest.split(' ');
  if (words[0] !== '') return undefined;
  const parameters = words.filter((word) => word !== '');
  return parameters.every((word) => /^[A-Za-z0-9][A-Za-z0-9-]*(?:=[!-<>-~]+)?$/.test(word)) ? parameters : undefined;
}

/** Digits, at most 20 (RFC 1870 §4). A size that a number holds only roughly is too large whatever its last digits are. */
function parseSize(value: string): number | undefined {
  return /^\d{1,20}$/.test(value) ? Number(value) : undefined;
}
