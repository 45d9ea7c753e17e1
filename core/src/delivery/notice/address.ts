/**
 * Addresses in the fields of a delivery status (RFC 3464 §2.1.2): a type and the address. One beyond ASCII has the type
 * `utf-8` (RFC 6533 §3): as it is where the notice itself is sent as UTF-8, else in ASCII as `\x{…}`. Pure.
 */
import { isAscii } from '../../wire/address.ts';
import { ascii, printable } from './text.ts';

/** The value of an xtext (RFC 3461 §4), such as ORCPT and ENVID bring; what is none stays as it is. */
export function fromXtext(text: string): string {
  return text.replace(/\+([0-9A-F]{2})/g, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)));
}

/** The xtext of an address in ASCII. */
export function toXtext(text: string): string {
  return text.replace(/[^!-*,-<>-~]/g, (one) => `+${one.charCodeAt(0).toString(16).toUpperCase().padStart(2, '0')}`);
}

/** RFC 6533 §3, utf-8-addr-xtext: characters beyond ASCII, and those that an xtext has other uses for, by number. */
export function toUnicodeXtext(text: string): string {
  return printable(text).replace(/[^!-*,-<>-[\]-~]/gu, (one) => `\\x{${one.codePointAt(0)!.toString(16).toUpperCase()}}`);
}

/** Characters beyond ASCII by number, in what is an xtext otherwise. */
export function escapeBeyondAscii(text: string): string {
  return text.replace(/[^\0-\x7f]/gu, (one) => `\\x{${one.codePointAt(0)!.toString(16).toUpperCase()}}`);
}

/** @param utf8 the notice is sent as UTF-8 */
export function typedAddress(address: string, utf8: boolean): string {
  if (isAscii(address)) return `rfc822; ${ascii(address)}`;
  return `utf-8; ${utf8 ? printable(address) : toUnicodeXtext(address)}`;
}

/** ORCPT as the sender gave it, decoded; the type is kept (RFC 3464 §2.3.1). */
export function originalRecipient(orcpt: string, utf8: boolean): string {
  const semicolon = orcpt.indexOf(';');
  const type = orcpt.slice(0, semicolon);
  const address = orcpt.slice(semicolon + 1);
  if (type.toLowerCase() !== 'utf-8') {
    const decoded = fromXtext(address);
    if (isAscii(decoded)) return `${type}; ${ascii(decoded)}`;
    // Octets of UTF-8 in hexadecimal: a notice can show them as the type that is for them alone.
    return typedAddress(Buffer.from(decoded, 'latin1').toString('utf8'), utf8);
  }
  if (utf8) return `${type}; ${printable(fromUnicodeXtext(address))}`;
  return `${type}; ${escapeBeyondAscii(address)}`;
}

function fromUnicodeXtext(text: string): string {
  return text.replace(/\\x\{([0-9A-F]{1,6})\}/g, (_, hex: string) => String.fromCodePoint(Number.parseInt(hex, 16)));
}

/** ORCPT for the next hop where our client gave none (RFC 3461 §5.2.1): the address of its RCPT. */
export function ownOrcpt(address: string): string {
  return isAscii(address) ? `rfc822;${toXtext(address)}` : `utf-8;${toUnicodeXtext(address)}`;
}
