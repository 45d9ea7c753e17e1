/** The text of an answer of an identity provider, which may send as much as it likes. */

/** @throws Error for more than so many bytes. */
export async function answerText(response: Response, maxBytes: number): Promise<string> {
  const pieces: Uint8Array[] = [];
  let sizeBytes = 0;
  for await (const piece of response.body ?? []) {
    sizeBytes += piece.length;
    if (sizeBytes > maxBytes) throw new Error(`more than ${maxBytes} bytes came from ${response.url}`);
    pieces.push(piece);
  }
  return Buffer.concat(pieces).toString('utf8');
}
