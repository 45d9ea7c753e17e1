/**
 * Makes lines of ASCII, none too long, of octets that should have been that already: what no reader looks at (between the
 * parts of a multipart), and content whose encoding is broken by what it must not have. Used by convert/convert. Pure.
 * - `mark`: another octet becomes `?`.
 * - `break`: there is none; only lines are broken, for base64.
 * - `escape`: it is written as quoted-printable has it.
 */
const CR = 13;
const LF = 10;
const DASH = 45;
const EQUALS = 61;
/** Well under the 998 of RFC 5321 §4.5.3.1.6. */
const MAX_COLUMN = 900;

export class Mender {
  readonly #how: 'mark' | 'break' | 'escape';
  readonly #keepsEightBit: boolean;
  #out: number[] = [];
  #column = 0;
  #heldCr = false;
  /** Octets since the last `=`: a sequence is not torn apart. */
  #sinceEquals = 3;

  constructor(how: 'mark' | 'break' | 'escape', keepsEightBit: boolean) {
    this.#how = how;
    this.#keepsEightBit = keepsEightBit;
  }

  push(bytes: Uint8Array): Uint8Array {
    for (const octet of bytes) {
      if (this.#heldCr) {
        this.#heldCr = false;
        if (octet === LF) {
          this.#out.push(CR, LF);
          this.#column = 0;
          continue;
        }
        this.#odd(CR);
      }
      if (octet === CR) this.#heldCr = true;
      else if (octet === 0 || octet === LF || (octet > 127 && !this.#keepsEightBit)) this.#odd(octet);
      else this.#put(octet);
    }
    return this.#taken();
  }

  end(): Uint8Array {
    if (this.#heldCr) this.#odd(CR);
    this.#heldCr = false;
    return this.#taken();
  }

  #taken(): Uint8Array {
    const bytes = Buffer.from(this.#out);
    this.#out = [];
    return bytes;
  }

  #odd(octet: number): void {
    if (this.#how === 'mark') this.#put(63);
    else if (this.#how === 'escape') this.#escape(octet);
  }

  #escape(octet: number): void {
    for (const digit of `=${octet.toString(16).toUpperCase().padStart(2, '0')}`) this.#put(digit.charCodeAt(0));
  }

  #put(octet: number): void {
    if (this.#column >= MAX_COLUMN && this.#sinceEquals > 2) {
      this.#column = 0;
      if (this.#how === 'escape') {
        this.#out.push(EQUALS, CR, LF);
        // No new line may pass for a delimiter.
        if (octet === DASH) return this.#escape(octet);
      } else {
        this.#out.push(CR, LF, 32);
      }
    }
    this.#out.push(octet);
    this.#column++;
    this.#sinceEquals = octet === EQUALS ? 1 : this.#sinceEquals + 1;
  }
}
