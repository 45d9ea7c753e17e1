/**
 * One entity of a MIME message (RFC 2045): what its header says of it, and what may be done to its content. Made by
 * convert/walker from the bytes of a header; convert/convert decides on it. Pure.
 */
import { isAscii } from '../../wire/address.ts';
import { type HeaderField, scanHeader, unfoldedValue } from '../../mail/header-scan.ts';

/**
 * - `leaf`: content that may get another transfer encoding.
 * - `multipart`, `message`: holds other entities; never gets an encoding itself (RFC 2045 §6.4).
 * - `sealed`: content that must stay as it is, octet by octet; `why` says why.
 */
export type Kind = 'leaf' | 'multipart' | 'message' | 'sealed';
export type Encoding = 'identity' | 'quoted-printable' | 'base64';

export interface Entity {
  readonly kind: Kind;
  readonly header: Buffer;
  /** Content is text, which quoted-printable may suit better. */
  readonly isText: boolean;
  /** Content is fields that are read as they are, and MUST be 7-bit without an encoding (RFC 3464 §2.1, RFC 8098 §3.1, RFC 5965 §3). */
  readonly isStatus: boolean;
  /** Has a Content-Type of its own. */
  readonly isTyped: boolean;
  readonly encoding: Encoding;
  /** The word of Content-Transfer-Encoding in lower case; empty when there is none. */
  readonly label: string;
  /** Readers disagree: a line of the header is no field, or what says of which type it is can be read in two ways. */
  readonly isDamaged: boolean;
  /** NUL, a bare CR or LF in the header, which no hop that takes lines may get. */
  readonly isUnfit: boolean;
  readonly boundary?: Buffer;
  readonly isDigest: boolean;
  /** The message itself, or one that is attached: what comes with MIME-Version. */
  readonly isMessage: boolean;
  /** For `sealed`: the reply that content in need of conversion deserves. */
  readonly why: string;
}

export interface EntityContext {
  readonly isMessage: boolean;
  /** Default type is message/rfc822 (RFC 2046 §5.1.5). */
  readonly inDigest: boolean;
  /** Signed and encrypted content is no different from other. */
  readonly opensSealed: boolean;
}

/** RFC 2046 §5.1.1 allows 70; some programs make longer ones. */
const MAX_BOUNDARY = 200;
const TYPE = /^\s*([^\s/;()]+\/[^\s;()]+)/;
const STATUS = /^message\/(?:delivery-status|disposition-notification|feedback-report)$/;
const FIELD = /^[\x21-\x39\x3b-\x7e]+:/;

const SIGNED = '554 5.6.2 signed or encrypted content is not 7-bit, must not be altered, and the mail host takes none';
const PARTIAL = '554 5.6.2 message/partial or external-body is not 7-bit, must not be encoded, and the mail host takes none';
const BROKEN = '554 5.6.3 multipart without a boundary is not 7-bit, and the mail host takes none';
const FOREIGN = '554 5.6.3 content with an encoding of its own is not 7-bit, and the mail host takes none';

/** @param header lines with CRLF, without the empty line */
export function readEntity(header: Buffer, context: EntityContext): Entity {
  const fields = scanHeader(header);
  const valueOf = (name: string): string | undefined => {
    const field = fields.find((one) => one.name === name);
    return field === undefined ? undefined : unfoldedValue(header, field);
  };
  const typeValue = valueOf('content-type');
  const type = (
    TYPE.exec(typeValue ?? '')?.[1] ?? (context.inDigest && typeValue === undefined ? 'message/rfc822' : 'text/plain')
  ).toLowerCase();
  const label = (valueOf('content-transfer-encoding') ?? '')
    .replace(/\([^)]*\)/g, '')
    .trim()
    .toLowerCase();
  const encoding = label === 'quoted-printable' || label === 'base64' ? label : 'identity';
  const boundary = type.startsWith('multipart/') ? boundaryOf(typeValue ?? '') : undefined;
  const { kind, why } = kindOf(type, label, encoding, boundary, context.opensSealed);
  return {
    kind,
    why,
    header,
    encoding,
    label,
    isText: type.startsWith('text/'),
    isStatus: STATUS.test(type),
    isTyped: typeValue !== undefined,
    isDamaged: isDamaged(header, fields) || isAmbiguous(fields, typeValue ?? '', type),
    isUnfit: /\0|\r(?!\n)|(?<!\r)\n/.test(header.toString('latin1')),
    ...(kind === 'multipart' && boundary !== undefined ? { boundary } : {}),
    isDigest: type === 'multipart/digest',
    isMessage: context.isMessage,
  };
}

function kindOf(
  type: string,
  label: string,
  encoding: Encoding,
  boundary: Buffer | undefined,
  opensSealed: boolean,
): { readonly kind: Kind; readonly why: string } {
  // RFC 1847 §2.1, §2.2: nobody on the way may touch it.
  if (/^multipart\/(?:signed|encrypted)$/.test(type) && !opensSealed) return { kind: 'sealed', why: SIGNED };
  if (type.startsWith('multipart/'))
    return boundary === undefined ? { kind: 'sealed', why: BROKEN } : { kind: 'multipart', why: '' };
  // RFC 2046 §5.2.2, §5.2.3: 7bit, always.
  if (type === 'message/partial' || type === 'message/external-body') return { kind: 'sealed', why: PARTIAL };
  // One that is encoded against the rules is read as encoded by some, and not by others.
  if (type === 'message/rfc822') return encoding === 'identity' ? { kind: 'message', why: '' } : { kind: 'sealed', why: FOREIGN };
  // An encoding cannot be put over another (RFC 2045 §6.4).
  if (/^uu(?:encode)?$|^x-|^binhex|^mac-binhex40$/.test(label)) return { kind: 'sealed', why: FOREIGN };
  return { kind: 'leaf', why: '' };
}

/** The boundary parameter; undefined when there is none that could stand in a line of ASCII. */
function boundaryOf(value: string): Buffer | undefined {
  const parameter = /;\s*([^\s=;]+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s;]*))[^;]*/gy;
  parameter.lastIndex = Math.max(0, value.indexOf(';'));
  for (let match = parameter.exec(value); match !== null; match = parameter.exec(value)) {
    if (match[1]!.toLowerCase() !== 'boundary') continue;
    const text = (match[2]?.replace(/\\(.)/g, '$1') ?? match[3]!).trimEnd();
    return text === '' || text.length > MAX_BOUNDARY || !isAscii(text) ? undefined : Buffer.from(text, 'latin1');
  }
  return undefined;
}

/** Said twice, of which some take the first and others the last; or a comment where a type or a boundary is looked for. */
function isAmbiguous(fields: readonly HeaderField[], value: string, type: string): boolean {
  const count = (name: string): number => fields.reduce((sum, one) => sum + (one.name === name ? 1 : 0), 0);
  if (count('content-type') > 1 || count('content-transfer-encoding') > 1) return true;
  const unquoted = value.replace(/"(?:[^"\\]|\\.)*"/g, '""');
  const isMultipart = type.startsWith('multipart/');
  if (unquoted.includes('(') && (isMultipart || !TYPE.test(value))) return true;
  return isMultipart && (unquoted.match(/;\s*boundary\*?\d*\*?\s*=/gi)?.length ?? 0) > 1;
}

function isDamaged(header: Buffer, fields: readonly HeaderField[]): boolean {
  let at = 0;
  for (const { from, to } of fields) {
    // What lies between is no field; a blank before the colon is read by some only.
    if (from !== at || !FIELD.test(header.toString('latin1', from, Math.min(to, from + 1000)))) return true;
    at = to;
  }
  return at !== header.length;
}
