/**
 * What a client may ask of delivery in MAIL and RCPT, and how its values are read: DSN (RFC 3461 §4), DELIVERBY
 * (RFC 2852 §4), FUTURERELEASE (RFC 4865 §4), MT-PRIORITY (RFC 6710 §4), REQUIRETLS (RFC 8689 §4). Called by
 * smtp/parameters. Pure; a value that is none is undefined. What is kept as given ends up in notifications, so nothing
 * that would decode to a control character is taken.
 */
import type { DeliverBy, Notify } from '../mail/envelope.ts';
import { decodeUtf8 } from '../wire/utf8.ts';

/** What a listener takes of it. A keyword is announced only where delivery keeps its word. */
export interface Requests {
  readonly dsn: boolean;
  /** Seconds below which BY with R is refused, 0 for no bound; null: no DELIVERBY. */
  readonly minDeliverBySeconds: number | null;
  /** How far ahead mail may be held, in seconds, on submission listeners; 0: no FUTURERELEASE. */
  readonly maxHoldSeconds: number;
  readonly priority: boolean;
  readonly requireTls: boolean;
}

export const NO_REQUESTS: Requests = {
  dsn: false,
  minDeliverBySeconds: null,
  maxHoldSeconds: 0,
  priority: false,
  requireTls: false,
};

const MAX_ENVID_CHARACTERS = 100;
const MAX_ORCPT_CHARACTERS = 500;

const XTEXT = /^(?:[!-*,-<>-~]|\+[0-9A-F]{2})+$/;
/** An xtext whose hexadecimal characters are printable ASCII. */
const PRINTABLE_XTEXT = /^(?:[!-*,-<>-~]|\+(?:[2-6][0-9A-F]|7[0-9A-E]))+$/;
/** RFC 6533 §3: characters as they are, or in ASCII as `\x{…}`, where blanks and what xtext needs are written so as well. */
const UTF8_XTEXT =
  /^(?:[!-*,-<>-[\]-~\u00a0-\u{10ffff}]|\\x\{(?:20|2B|3D|5C|[A-F][0-9A-F]|[1-9A-F][0-9A-F]{2}|[1-9A-CEF][0-9A-F]{3}|D[0-7][0-9A-F]{2}|[1-9A-F][0-9A-F]{4}|10[0-9A-F]{4})\})+$/u;

/** Any xtext of RFC 3461 §4. */
export function isXtext(value: string): boolean {
  return XTEXT.test(value);
}

/** ENVID=, RFC 3461 §4.4. */
export function isEnvid(value: string): boolean {
  return value.length <= MAX_ENVID_CHARACTERS && PRINTABLE_XTEXT.test(value);
}

/**
 * ORCPT=, RFC 3461 §4.2 and RFC 6533 §3.
 * @param utf8 MAIL said SMTPUTF8: an address of type `utf-8` may have characters beyond ASCII, and one of another type the
 * octets of such characters in hexadecimal (Postfix has `rfc822;gr+C3+BCn@…`; refused, the mail would bounce).
 */
export function isOrcpt(value: string, utf8: boolean): boolean {
  if (Buffer.byteLength(value) > MAX_ORCPT_CHARACTERS) return false;
  const semicolon = value.indexOf(';');
  const type = value.slice(0, semicolon).toLowerCase();
  if (semicolon < 1 || !/^[a-z0-9!#$%&'*/?^_`{|}~-]+$/.test(type)) return false;
  const address = value.slice(semicolon + 1);
  if (type !== 'utf-8') return PRINTABLE_XTEXT.test(address) || (utf8 && isUtf8InXtext(address));
  return UTF8_XTEXT.test(address) && (utf8 || Buffer.byteLength(address) === address.length);
}

/** Are its octets UTF-8, none of them a control character? */
function isUtf8InXtext(value: string): boolean {
  if (!XTEXT.test(value)) return false;
  const octets = value.replace(/\+([0-9A-F]{2})/g, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)));
  const text = decodeUtf8(octets);
  return text !== undefined && !/\p{Cc}/u.test(text);
}

const NOTIFY = new Map<string, Notify>([
  ['SUCCESS', 'success'],
  ['FAILURE', 'failure'],
  ['DELAY', 'delay'],
]);

/** NOTIFY=, RFC 3461 §4.1: NEVER alone, or some of the others. */
export function readNotify(value: string): readonly Notify[] | undefined {
  const upper = value.toUpperCase();
  if (upper === 'NEVER') return [];
  const wanted = new Set<Notify>();
  for (const word of upper.split(',')) {
    const notify = NOTIFY.get(word);
    if (notify === undefined) return undefined;
    wanted.add(notify);
  }
  return [...wanted];
}

/** BY=, RFC 2852 §4: seconds from now on, of nine digits at the most. R has to leave time. */
export function readBy(value: string, nowMs: number): (DeliverBy & { readonly seconds: number }) | undefined {
  const [, digits, mode, trace] = /^([+-]?\d{1,9});([RN])(T?)$/i.exec(value) ?? [];
  if (digits === undefined || mode === undefined) return undefined;
  const seconds = Number(digits);
  const returns = mode.toUpperCase() === 'R';
  if (returns && seconds <= 0) return undefined;
  return { atMs: nowMs + seconds * 1000, mode: returns ? 'return' : 'notify', trace: trace !== '', seconds };
}

/** HOLDFOR=, RFC 4865 §4: seconds, one to nine digits that begin with none of zero. @returns milliseconds */
export function readHoldFor(value: string): number | undefined {
  return /^[1-9]\d{0,8}$/.test(value) ? Number(value) * 1000 : undefined;
}

/** HOLDUNTIL=, RFC 4865 §4: a date-time of RFC 3339. @returns milliseconds since 1970; a leap second is the one before it */
export function readHoldUntil(value: string): number | undefined {
  const parts = /^(\d{4}-\d\d-(\d\d))T((?:[01]\d|2[0-3]):[0-5]\d):([0-5]\d|60)(\.\d+)?(Z|[+-](?:[01]\d|2[0-3]):[0-5]\d)$/i.exec(
    value,
  );
  if (parts === null) return undefined;
  const [, date = '', day = '', minutes = '', second = '', , zone = ''] = parts;
  // A day that the month does not have becomes one of the next.
  const midnight = new Date(`${date}T00:00:00Z`);
  if (Number.isNaN(midnight.getTime()) || midnight.getUTCDate() !== Number(day)) return undefined;
  return Date.parse(`${date}T${minutes}:${second === '60' ? '59' : second}${zone.toUpperCase()}`);
}

/** MT-PRIORITY=, RFC 6710 §4: -9 to 9. */
export function readPriority(value: string): number | undefined {
  return /^(?:0|-?[1-9])$/.test(value) ? Number(value) : undefined;
}
