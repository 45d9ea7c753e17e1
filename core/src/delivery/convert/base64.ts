/** Base64 (RFC 2045 §6.8) of any octets, chunk by chunk, in lines of 76 characters. Used by convert/convert. Pure. */

const LINE_BYTES = 57;

export class Base64 {
  #rest: Uint8Array = new Uint8Array(0);
  #isFirst = true;

  /** @returns whole lines, with a line end before each but the first */
  push(bytes: Uint8Array): Uint8Array {
    const all = this.#rest.length === 0 ? bytes : Buffer.concat([this.#rest, bytes]);
    // At least one octet is left for the last line.
    const whole = Math.max(0, Math.ceil(all.length / LINE_BYTES) - 1) * LINE_BYTES;
    this.#rest = Uint8Array.prototype.slice.call(all, whole);
    return this.#lines(all.subarray(0, whole));
  }

  /** @param closesLine nothing follows that would end the last line */
  end(closesLine: boolean): Uint8Array {
    const last = this.#lines(this.#rest);
    this.#rest = new Uint8Array(0);
    return closesLine && !this.#isFirst ? Buffer.concat([last, Buffer.from('\r\n', 'latin1')]) : last;
  }

  #lines(bytes: Uint8Array): Uint8Array {
    const source = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
    const lines: string[] = this.#isFirst || source.length === 0 ? [] : [''];
    for (let at = 0; at < source.length; at += LINE_BYTES) lines.push(source.toString('base64', at, at + LINE_BYTES));
    if (source.length > 0) this.#isFirst = false;
    return Buffer.from(lines.join('\r\n'), 'latin1');
  }
}
