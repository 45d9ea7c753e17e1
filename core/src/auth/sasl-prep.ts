/** SASLprep (RFC 4013): one form of names and passwords, however a keyboard or a program writes them. Pure. */

/** RFC 4013 §2.3: controls, private use, surrogates, no characters, what changes the display, what stands for no text. */
const PROHIBITED =
  /[\p{Cc}\p{Co}\p{Cs}\p{Noncharacter_Code_Point}\u0340\u0341\u06dd\u070f\u180e\u200e\u200f\u2028-\u202e\u2061-\u2063\u206a-\u206f\u2ff0-\u2ffb\ufff9-\ufffd\u{1d173}-\u{1d17a}\u{e0001}\u{e0020}-\u{e007f}]/u;

/**
 * As far as it changes what people type: other blanks become blanks, what is not seen goes away, and compatibility forms
 * become one. Texts with characters it forbids are taken as they are, which harms nobody.
 */
export function saslPrepared(text: string): string {
  return text
    .replace(/[\u00a0\u1680\u2000-\u200b\u202f\u205f\u3000]/g, ' ')
    .replace(/\u00ad|\u034f|\u1806|[\u180b-\u180d]|\u200c|\u200d|\u2060|[\ufe00-\ufe0f]|\ufeff/g, '')
    .normalize('NFKC');
}

/** Is there a character in it that SASLprep forbids? @param prepared by `saslPrepared` */
export function isProhibited(prepared: string): boolean {
  return PROHIBITED.test(prepared);
}
