/**
 * Quoted-printable (RFC 2045 §6.7) of any octets, chunk by chunk: CRLF stays a line end, everything else is kept octet by
 * octet, a bare CR or LF and blanks at the end of a line among it. Lines are 76 characters at most. Used by convert/convert. Pure.
 */
const CR = 13;
const LF = 10;
const TAB = 9;
const SPACE = 32;
const DASH = 45;
const EQUALS = 61;
const HEX = Buffer.from('0123456789ABCDEF', 'latin1');
/** Without the `=` of a soft line break. */
const MAX_COLUMN = 75;

export class QuotedPrintable {
  #out: Buffer = Buffer.alloc(0);
  #to = 0;
  #column = 0;
  /** A blank or CR whose form depends on what follows. */
  #held: number | undefined;

  push(bytes: Uint8Array): Uint8Array {
    // Three for each octet, and a soft break for each 25 of them.
    this.#begin(bytes.length + 1);
    for (let at = 0; at < bytes.length; at++) this.#octet(bytes[at]!);
    return this.#out.subarray(0, this.#to);
  }

  /** @param closesLine nothing follows that would end the last line: an end that is not of the content is put there */
  end(closesLine: boolean): Uint8Array {
    this.#begin(2);
    const held = this.#held;
    this.#held = undefined;
    if (held !== undefined) this.#escape(held);
    if (closesLine && this.#column > 0) this.#softBreak();
    return this.#out.subarray(0, this.#to);
  }

  #begin(octets: number): void {
    this.#out = Buffer.allocUnsafe(octets * 4 + 16);
    this.#to = 0;
  }

  #octet(octet: number): void {
    const held = this.#held;
    if (held !== undefined) {
      this.#held = undefined;
      if (held === CR && octet === LF) return this.#lineEnd();
      if (held === CR || octet === CR) this.#escape(held);
      else this.#literal(held);
    }
    if (octet === CR || octet === SPACE || octet === TAB) this.#held = octet;
    else if (octet < 33 || octet > 126 || octet === EQUALS) this.#escape(octet);
    // A line that a soft break begins must not pass for a delimiter.
    else if (octet === DASH && (this.#column === 0 || this.#column >= MAX_COLUMN)) this.#escape(octet);
    else this.#literal(octet);
  }

  #literal(octet: number): void {
    if (this.#column + 1 > MAX_COLUMN) this.#softBreak();
    this.#out[this.#to++] = octet;
    this.#column++;
  }

  #escape(octet: number): void {
    if (this.#column + 3 > MAX_COLUMN) this.#softBreak();
    this.#out[this.#to++] = EQUALS;
    this.#out[this.#to++] = HEX[octet >> 4]!;
    this.#out[this.#to++] = HEX[octet & 15]!;
    this.#column += 3;
  }

  #softBreak(): void {
    this.#out[this.#to++] = EQUALS;
    this.#lineEnd();
  }

  #lineEnd(): void {
    this.#out[this.#to++] = CR;
    this.#out[this.#to++] = LF;
    this.#column = 0;
  }
}
