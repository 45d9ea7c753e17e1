/**
 * Binary mail (RFC 3030 §3) for a mailbox: in lines, since nothing else comes out of one by POP3, which ends each of them
 * with CRLF whatever stands in the file. Called by delivery/local for messages that came as BODY=BINARYMIME, and no others.
 * Memory is bounded as in convert/convert: the body is read once to decide, once for its size, and once as it is written.
 */
import { convert, survey } from './convert.ts';

export interface ForMailbox {
  readonly body: AsyncIterable<Uint8Array>;
  readonly sizeBytes: number;
  /** Why it should have stayed as it is, as a reply: something signed or encrypted is in it, and is broken now. */
  readonly broken: string | undefined;
}

/**
 * @param body reads the message from its beginning, each time
 * @returns the message in lines of any octets, or the permanent reply that says why there is no such form
 * @throws what `body` throws
 */
export async function forMailbox(body: () => AsyncIterable<Uint8Array>): Promise<ForMailbox | string> {
  const gentle = await survey(body(), '8bit', false);
  // A signature that does not hold says less than content that cannot be read: nobody comes after us who could do better.
  const plan = typeof gentle === 'string' ? await survey(body(), '8bit', true) : gentle;
  if (typeof plan === 'string') return plan;
  let sizeBytes = 0;
  for await (const chunk of convert(body(), plan)) sizeBytes += chunk.length;
  return { body: convert(body(), plan), sizeBytes, broken: typeof gentle === 'string' ? gentle : undefined };
}
