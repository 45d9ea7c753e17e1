/**
 * The arguments of XCLIENT and XFORWARD (Postfix, XCLIENT_README and XFORWARD_README): `NAME=value` with values in xtext
 * (RFC 3461 §4), `[UNAVAILABLE]` and `[TEMPUNAVAIL]` where the proxy knows none. Called by the two verbs. Strict: who
 * may send them says who the client is. Pure.
 */
import { addressLiteral } from '../wire/address-literal.ts';
import { Reply } from '../wire/reply.ts';
import { argumentNeeded501 } from './replies.ts';

/** What XCLIENT may say; EHLO announces these, in this order. */
export const XCLIENT_NAMES = ['NAME', 'ADDR', 'PORT', 'PROTO', 'HELO', 'LOGIN', 'DESTADDR', 'DESTPORT'] as const;
export const XFORWARD_NAMES = ['NAME', 'ADDR', 'PORT', 'PROTO', 'HELO', 'IDENT', 'SOURCE'] as const;

export type AttributeName = (typeof XCLIENT_NAMES)[number] | (typeof XFORWARD_NAMES)[number];

/** Those that were given; undefined where the value is not known. ADDR and DESTADDR are plain addresses. */
export type Attributes = ReadonlyMap<AttributeName, string | undefined>;

const MAX_VALUE_CHARACTERS = 255;
/** Printable ASCII without blanks, for what may come to stand in a header line. */
const WORD = /^[\x21-\x7e]+$/;

const VALUES: Readonly<Record<AttributeName, (value: string) => string | undefined>> = {
  NAME: hostName,
  ADDR: address,
  PORT: port,
  PROTO: oneOf('SMTP', 'ESMTP', 'LMTP'),
  HELO: helloName,
  LOGIN: word,
  DESTADDR: address,
  DESTPORT: port,
  IDENT: word,
  SOURCE: oneOf('LOCAL', 'REMOTE'),
};

/** @returns 501 for what is malformed, unknown or there twice. */
export function parseAttributes(argument: string, known: readonly AttributeName[]): Attributes | Reply {
  if (argument === '') return argumentNeeded501;
  const attributes = new Map<AttributeName, string | undefined>();
  for (const part of argument.split(/ +/)) {
    const equals = part.indexOf('=');
    const given = part.slice(0, Math.max(equals, 0)).toUpperCase();
    const name = known.find((one) => one === given);
    if (name === undefined) return new Reply(501, '5.5.4', 'Attribute not known here');
    if (attributes.has(name)) return new Reply(501, '5.5.4', `${name} given twice`);
    const text = decodeXtext(part.slice(equals + 1));
    if (text === '[UNAVAILABLE]' || text === '[TEMPUNAVAIL]') {
      attributes.set(name, undefined);
      continue;
    }
    const value = text === undefined || text.length > MAX_VALUE_CHARACTERS ? undefined : VALUES[name](text);
    if (value === undefined) return new Reply(501, '5.5.4', `Bad ${name} value`);
    attributes.set(name, value);
  }
  return attributes;
}

/** `+2B` is a plus sign; undefined where it is no xtext. Postfix writes brackets as they are. */
function decodeXtext(text: string): string | undefined {
  if (!/^(?:[!-*,-<>-~]|\+[0-9A-Fa-f]{2})+$/.test(text)) return undefined;
  return text.replace(/\+([0-9A-Fa-f]{2})/g, (_all, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)));
}

function word(value: string): string | undefined {
  return WORD.test(value) ? value : undefined;
}

/** What may stand in a trace header. */
function helloName(value: string): string | undefined {
  if (/^[A-Za-z0-9_.:-]+$/.test(value)) return value;
  return value.indexOf(']') === value.length - 1 ? addressLiteral(value, 0) : undefined;
}

function hostName(value: string): string | undefined {
  return /^[A-Za-z0-9_.-]+$/.test(value) ? value : undefined;
}

/** `192.0.2.1`, or an IPv6 address with its tag. */
function address(value: string): string | undefined {
  const literal = addressLiteral(`[${value}]`, 0);
  return literal?.replace(/^\[(?:IPv6:)?(.*)\]$/, '$1');
}

function port(value: string): string | undefined {
  return /^(0|[1-9]\d{0,4})$/.test(value) && Number(value) <= 65_535 ? value : undefined;
}

function oneOf(...values: string[]): (value: string) => string | undefined {
  return (value) => values.find((one) => one === value.toUpperCase());
}
