/**
 * Reads the addresses of a header field such as From or To (RFC 5322 §3.4, groups of RFC 6854 in it, UTF-8 of RFC 6532).
 * Called where an address in a header decides something, so whatever could be read in two ways is not read at all. One
 * pass without going back: a header of nothing but brackets takes no longer than any other of its size. Of libraries for
 * this, one takes what no grammar has, another needs 145 ms for a thousand addresses.
 */
import { type Address, parseMailbox } from '../wire/address.ts';

/** `before`: a display name or a bare address; `inside` of angle brackets; `after` them, where nothing may stand. */
type Place = 'before' | 'inside' | 'after';

/** What stands between blanks and characters with a meaning of their own. */
const WORD = /[^ \t\r\n()<>,;:"[\]\\]+/y;

/**
 * @param value of the field, without its name, decoded.
 * @returns the addresses, those in groups too, none for an empty list; undefined when it is no address list.
 */
export function readAddressList(value: string): readonly Address[] | undefined {
  const found: Address[] = [];
  let place: Place = 'before';
  let inGroup = false;
  /** Words of one address, or of what may turn out to be its display name. */
  let words: string[] = [];
  let blank = false;

  /** Blanks count between words, not around `.` and `@` (RFC 5322 §4.4). */
  const add = (word: string): boolean => {
    if (place === 'after') return false;
    const last = words.at(-1);
    if (blank && last !== undefined && !/[.@]$/.test(last) && !/^[.@]/.test(word)) words.push(' ');
    words.push(word);
    blank = false;
    return true;
  };
  /** One address ends. */
  const finish = (): boolean => {
    if (place === 'inside') return false;
    if (place === 'before' && words.length > 0) {
      const address = parseMailbox(words.join(''));
      if (address === undefined) return false;
      found.push(address);
    }
    place = 'before';
    words = [];
    return true;
  };
  /** Angle brackets are closed. The route that RFC 822 had in them (`@a,@b:`) is nobody's address, and none is read. */
  const close = (): boolean => {
    const address = place === 'inside' ? parseMailbox(words.join('')) : undefined;
    place = 'after';
    return address !== undefined && found.push(address) > 0;
  };

  for (let at = 0; at < value.length;) {
    const character = value[at]!;
    let end = at + 1;
    let right = true;
    if (character === '(') {
      end = endOfComment(value, at);
      blank = true;
    } else if (character === '"' || character === '[') {
      end = endOf(value, at, character === '"' ? '"' : ']');
      right = end > 0 && add(value.slice(at, end));
    } else if (/[ \t\r\n]/.test(character)) {
      blank = true;
    } else if (character === '<') {
      right = place === 'before';
      place = 'inside';
      words = [];
    } else if (character === '>') {
      right = close();
    } else if (character === ',') {
      right = finish();
    } else if (character === ':') {
      // A name that looks like an address could be taken for one.
      right = place === 'before' && !inGroup && words.length > 0 && !words.some((word) => /^[^"].*@|^@/.test(word));
      inGroup = true;
      words = [];
    } else if (character === ';') {
      right = inGroup && finish();
      inGroup = false;
      place = 'after';
    } else {
      WORD.lastIndex = at;
      end = WORD.test(value) ? WORD.lastIndex : -1;
      right = end > 0 && add(value.slice(at, end));
    }
    if (!right || end < 0) return undefined;
    at = end;
  }
  return !inGroup && finish() ? found : undefined;
}

/** @returns index after what `last` closes, or -1. */
function endOf(value: string, from: number, last: string): number {
  for (let at = from + 1; at < value.length; at += 1) {
    if (value[at] === last) return at + 1;
    if (value[at] === '\\') at += 1;
  }
  return -1;
}

/** Comments may be nested (RFC 5322 §3.2.2). @returns index after the one at `from`, or -1. */
function endOfComment(value: string, from: number): number {
  let depth = 0;
  for (let at = from; at < value.length; at += 1) {
    const character = value[at];
    if (character === '\\') at += 1;
    else if (character === '(') depth += 1;
    else if (character === ')' && (depth -= 1) === 0) return at + 1;
  }
  return -1;
}
