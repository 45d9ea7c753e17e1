/**
 * "The same below the trace headers": a server puts header fields in front of a message and changes nothing else.
 * Used wherever what was fetched is compared with what was sent.
 */

/** Field names a server may put in front: trace (RFC 5321 §4.4), what the delivery knew, what filters found. */
const TRACE = /^(return-path|delivered-to|x-original-to|received|authentication-results|x-posthorn-[a-z-]+)$/i;

/**
 * @param sent with CRLF line ends, the last one too.
 * @returns names of the fields in front of it, in order; a text that says what differs when it is not the same.
 */
export function compareBelowTrace(fetched: Buffer, sent: Buffer): { readonly added: string[] } | { readonly differs: string } {
  const front = fetched.length - sent.length;
  if (front < 0 || !fetched.subarray(front).equals(sent)) return { differs: firstDifference(fetched, sent) };
  const fields = fetched.toString('latin1', 0, front);
  if (fields !== '' && !fields.endsWith('\r\n')) return { differs: `in front of it: ${JSON.stringify(fields)}` };
  const added = fields
    .split(/\r\n(?![ \t])/)
    .filter(Boolean)
    .map((field) => field.slice(0, field.indexOf(':')));
  const foreign = added.find((name) => !TRACE.test(name));
  return foreign === undefined ? { added } : { differs: `no trace field: ${foreign}` };
}

/** Counted from the end, since the front is longer by what was added. */
function firstDifference(fetched: Buffer, sent: Buffer): string {
  let same = 0;
  while (same < Math.min(fetched.length, sent.length) && fetched[fetched.length - 1 - same] === sent[sent.length - 1 - same])
    same++;
  const around = (bytes: Buffer) => JSON.stringify(bytes.toString('latin1', bytes.length - same - 40, bytes.length - same + 20));
  return `${fetched.length} and ${sent.length} bytes, the same for the last ${same}: fetched …${around(fetched)}, sent …${around(sent)}`;
}
