/**
 * Mail addresses as RFC 5321 §4.1.2 writes them: paths in angle brackets (MAIL, RCPT) and bare mailboxes.
 * Called by the SMTP verbs, by recipient edits of plugins and by whoever reads an address from a configuration.
 * Pure; never throws: a problem is a value. Characters beyond ASCII are taken as RFC 6531 §3.3 adds them, so the text has
 * to be decoded (`wire/utf8`); whether the client may use them is for the caller to say.
 */
import { domainToASCII } from 'node:url';
import { addressLiteral } from './address-literal.ts';

export interface Address {
  /** Local part in its plainest form: quoted only where it must be. */
  readonly local: string;
  /** Lower case, in A-labels (RFC 5890); `[192.0.2.1]` or `[IPv6:2001:db8::1]` for a literal; empty only for `postmaster` without a domain. */
  readonly domain: string;
  /** `local@domain`, or `postmaster`. */
  readonly text: string;
}

export type AddressProblem = 'syntax' | 'too-long';

/** `address` is null for the null path `<>`; `end` is the index after the closing bracket. */
export type PathResult =
  | { readonly ok: true; readonly address: Address | null; readonly end: number }
  | { readonly ok: false; readonly problem: AddressProblem };

/** RFC 5321 §4.5.3.1.1 to .3, in octets of UTF-8; the path counts its brackets. */
const MAX_LOCAL_BYTES = 64;
const MAX_DOMAIN_BYTES = 255;
const MAX_PATH_BYTES = 256;
const MAX_LABEL_BYTES = 63;

const QUOTE = 34;
const DOT = 46;
const COLON = 58;
const LESS = 60;
const GREATER = 62;
const AT = 64;
const BACKSLASH = 92;

/** Characters of RFC 5322 atext. */
const ATEXT = new Uint8Array(128);
for (const character of "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789!#$%&'*+-/=?^_`{|}~") {
  ATEXT[character.charCodeAt(0)] = 1;
}

const SYNTAX = { ok: false, problem: 'syntax' } as const;
const TOO_LONG = { ok: false, problem: 'too-long' } as const;

/**
 * Reads a path, `<local@domain>`, at `from` of `text`. A source route before the mailbox is taken and ignored
 * (RFC 5321 §4.1.1.3).
 * @param bare what a local part without a domain may be: `postmaster` for RCPT, nothing for MAIL.
 */
export function parsePath(text: string, from: number, bare: 'postmaster' | 'nothing'): PathResult {
  if (text.charCodeAt(from) !== LESS) return SYNTAX;
  let at = from + 1;
  if (text.charCodeAt(at) === GREATER) return { ok: true, address: null, end: at + 1 };
  if (text.charCodeAt(at) === AT) {
    at = skipRoute(text, at);
    if (at < 0) return SYNTAX;
  }
  const localEnd = endOfLocal(text, at);
  if (localEnd < 0) return SYNTAX;
  const local = plainLocal(text, at, localEnd);
  let end = localEnd;
  let domain = '';
  if (text.charCodeAt(localEnd) === AT) {
    end = endOfDomain(text, localEnd + 1);
    if (end < 0) return end === LONG ? TOO_LONG : SYNTAX;
    const ascii = asciiDomain(text.slice(localEnd + 1, end));
    if (typeof ascii === 'number') return ascii === LONG ? TOO_LONG : SYNTAX;
    domain = ascii;
  } else if (bare === 'nothing' || local.toLowerCase() !== 'postmaster') {
    return SYNTAX;
  }
  if (text.charCodeAt(end) !== GREATER) return SYNTAX;
  if (isLonger(text, at, localEnd, MAX_LOCAL_BYTES) || isLonger(text, from, end + 1, MAX_PATH_BYTES)) return TOO_LONG;
  return { ok: true, address: makeAddress(local, domain), end: end + 1 };
}

/** Reads a whole text as one mailbox, `local@domain`, without brackets; undefined when it is none. */
export function parseMailbox(text: string): Address | undefined {
  const result = parsePath(`<${text}>`, 0, 'nothing');
  if (!result.ok || result.address === null || result.end !== text.length + 2) return undefined;
  return text.startsWith('@') ? undefined : result.address;
}

/**
 * Reads a whole text as a domain name in ASCII, as HELO and EHLO send it; underscores are taken, since many hosts have
 * them.
 * @returns the name in lower case, or undefined.
 */
export function parseDomain(text: string): string | undefined {
  if (!isAscii(text) || endOfDomain(text, 0) !== text.length) return undefined;
  const found = asciiDomain(text);
  return typeof found === 'string' ? found : undefined;
}

/** True when there is no character beyond ASCII: when neither address nor mail needs SMTPUTF8. */
export function isAscii(text: string): boolean {
  return !BEYOND_ASCII.test(text);
}

function makeAddress(local: string, domain: string): Address {
  if (domain === '') return { local: 'postmaster', domain, text: 'postmaster' };
  return { local, domain, text: `${local}@${domain}` };
}

/** Is `text[from, to)` more than so many octets of UTF-8? One character is three at the most. */
function isLonger(text: string, from: number, to: number, limit: number): boolean {
  return (to - from) * 3 > limit && Buffer.byteLength(text.slice(from, to), 'utf8') > limit;
}

const BEYOND_ASCII = /[^\0-\x7f]/;
const WRONG = -1;
const LONG = -2;

/** `@a,@b:` at `at`. @returns index after the colon, negative when it is none. */
function skipRoute(text: string, at: number): number {
  for (;;) {
    if (text.charCodeAt(at) !== AT) return WRONG;
    at = endOfDomain(text, at + 1);
    if (at < 0) return WRONG;
    if (text.charCodeAt(at) === COLON) return at + 1;
    if (text[at] !== ',') return WRONG;
    at += 1;
  }
}

/** Beyond ASCII, and no control character of ISO 8859 (U+0080 to U+009F): those are nobody's name. */
function isInternational(code: number): boolean {
  return code > 0x9f;
}

/** @returns index after the local part that starts at `from`, or WRONG. */
function endOfLocal(text: string, from: number): number {
  if (text.charCodeAt(from) === QUOTE) return endOfQuoted(text, from);
  let at = from;
  let atomFrom = from;
  for (; at < text.length; at += 1) {
    const code = text.charCodeAt(at);
    if (ATEXT[code] === 1 || isInternational(code)) continue;
    if (code !== DOT) break;
    if (at === atomFrom) return WRONG;
    atomFrom = at + 1;
  }
  return at === atomFrom ? WRONG : at;
}

function endOfQuoted(text: string, from: number): number {
  for (let at = from + 1; at < text.length; at += 1) {
    let code = text.charCodeAt(at);
    if (code === QUOTE) return at + 1;
    // RFC 6531 §3.3 adds to what may stand in quotes, not to what a backslash may stand before.
    if (code === BACKSLASH) code = text.charCodeAt((at += 1));
    else if (isInternational(code)) continue;
    if (!(code >= 32 && code < 127)) return WRONG;
  }
  return WRONG;
}

/** The local part with quotes and backslashes taken off where they say nothing: `"alice"` is `alice`. */
function plainLocal(text: string, from: number, to: number): string {
  if (text.charCodeAt(from) !== QUOTE) return text.slice(from, to);
  const value = text.slice(from + 1, to - 1).replace(/\\(.)/g, '$1');
  if (endOfLocal(value, 0) === value.length && value.charCodeAt(0) !== QUOTE) return value;
  return `"${value.replace(/["\\]/g, '\\$&')}"`;
}

/** @returns index after the domain or address literal that starts at `from`, or WRONG or LONG. */
function endOfDomain(text: string, from: number): number {
  if (text[from] === '[') {
    return addressLiteral(text, from) === undefined ? WRONG : text.indexOf(']', from) + 1;
  }
  let at = from;
  let labelFrom = from;
  for (; at < text.length; at += 1) {
    const code = text.charCodeAt(at);
    if (isLetterOrDigit(code) || code === 95 || isInternational(code)) continue;
    if (code === 45) {
      if (at === labelFrom) return WRONG;
      continue;
    }
    if (code !== DOT) break;
    const wrong = labelProblem(text, labelFrom, at);
    if (wrong !== 0) return wrong;
    labelFrom = at + 1;
  }
  const lastWrong = labelProblem(text, labelFrom, at);
  if (lastWrong !== 0) return lastWrong;
  return at - from > MAX_DOMAIN_BYTES ? LONG : at;
}

/** A domain as `endOfDomain` found it: lower case, U-labels as A-labels (RFC 5891 §5), which may be too long, or none. */
function asciiDomain(domain: string): string | number {
  if (domain.startsWith('[')) return addressLiteral(domain, 0) ?? WRONG;
  if (isAscii(domain)) return domain.toLowerCase();
  const ascii = domainToASCII(domain);
  const end = ascii === '' ? WRONG : endOfDomain(ascii, 0);
  return end < 0 ? end : end === ascii.length ? ascii : WRONG;
}

function labelProblem(text: string, from: number, to: number): number {
  if (from === to || text.charCodeAt(to - 1) === 45) return WRONG;
  return to - from > MAX_LABEL_BYTES ? LONG : 0;
}

function isLetterOrDigit(code: number): boolean {
  return (code >= 97 && code <= 122) || (code >= 65 && code <= 90) || (code >= 48 && code <= 57);
}
