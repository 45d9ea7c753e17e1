/** Counts what a leaf's content has that a hop may not take, chunk by chunk. Used by convert/survey. Pure. */
const CR = 13;
const LF = 10;
/** RFC 5321 §4.5.3.1.6, without CRLF. */
export const MAX_LINE = 998;

export class Tally {
  octets = 0;
  eightBit = 0;
  /** NUL, bare CR, bare LF. */
  odd = 0;
  #longest = 0;
  #line = 0;
  #afterCr = false;
  /** What quoted-printable would write as three. */
  #escapes = 0;

  push(bytes: Uint8Array): void {
    this.octets += bytes.length;
    for (let at = 0; at < bytes.length; at++) {
      const octet = bytes[at]!;
      if (this.#afterCr) {
        this.#afterCr = false;
        if (octet === LF) {
          this.#endLine();
          continue;
        }
        this.odd++;
      }
      if (octet === CR) {
        this.#afterCr = true;
        continue;
      }
      this.#line++;
      if (octet > 127) this.eightBit++;
      else if (octet === 0 || octet === LF) this.odd++;
      else if (octet === 61 || octet < 32) this.#escapes++;
    }
  }

  #endLine(): void {
    if (this.#line > this.#longest) this.#longest = this.#line;
    this.#line = 0;
  }

  /** @param atEnd with the message: then it has to end with a line */
  end(atEnd: boolean): void {
    if (this.#afterCr || (atEnd && this.#line > 0)) this.odd++;
    this.#endLine();
  }

  /** Not to be sent as it is in lines of text. */
  get isUnfit(): boolean {
    return this.odd > 0 || this.#longest > MAX_LINE;
  }

  /** Roughly; base64 comes to four for three. */
  get isShorterQuoted(): boolean {
    const escaped = this.eightBit + this.odd + this.#escapes;
    return (this.octets + 2 * escaped) * 1.03 < (this.octets * 4 * 78) / (3 * 76);
  }
}
