/**
 * Finds the next CR or LF in a chunk, four bytes at a time: the inner loop of reception (bench/engine.ts).
 * Called by wire/dot-stream. `indexOf` for each of the two bytes costs a native call a line; a plain byte loop costs
 * four times this. Never reads outside `bytes`, never fails.
 */

const CR = 13;

/** The 32-bit words under `bytes`, for `findLineEnd`; worth making for a chunk of some hundred bytes or more. */
export function wordsUnder(bytes: Uint8Array): Int32Array {
  return new Int32Array(bytes.buffer, 0, bytes.buffer.byteLength >> 2);
}

/**
 * @param words what `wordsUnder(bytes)` gave, or undefined to go byte by byte.
 * @returns index of the first CR or LF in `bytes[from, to)`, or `to`.
 */
export function findLineEnd(bytes: Uint8Array, words: Int32Array | undefined, from: number, to: number): number {
  let at = from;
  const base = bytes.byteOffset;
  while (at < to) {
    if (words !== undefined && ((base + at) & 3) === 0) {
      // Subtracting one from each byte sets its top bit only where it was zero, or large to begin with.
      let word = (base + at) >> 2;
      const end = (base + to) >> 2;
      while (word < end) {
        const value = words[word]!;
        const cr = value ^ 0x0d0d0d0d;
        const lf = value ^ 0x0a0a0a0a;
        if (((((cr - 0x01010101) & ~cr) | ((lf - 0x01010101) & ~lf)) & 0x80808080) !== 0) break;
        word += 1;
      }
      at = (word << 2) - base;
      if (at >= to) return to;
    }
    const byte = bytes[at]!;
    if (byte <= CR && (byte === CR || byte === 10)) return at;
    at += 1;
  }
  return to;
}
