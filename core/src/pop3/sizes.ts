/** Octets as this session's RETR sends them (RFC 1939 §11): those of the surrogate where the client did not say UTF8. */
import type { Conversation } from './conversation.ts';
import type { DropMessage, Maildrop } from './ports.ts';

export function sizeFor({ utf8 }: Conversation, { sizeBytes, surrogateBytes }: DropMessage): number {
  return utf8 ? sizeBytes : (surrogateBytes ?? sizeBytes);
}

/** Of all messages but those that are marked. */
export function totalFor(c: Conversation, { messages }: Maildrop, marks: ReadonlySet<number>): number {
  let totalBytes = 0;
  for (const message of messages) totalBytes += sizeFor(c, message);
  for (const index of marks) totalBytes -= sizeFor(c, messages[index]!);
  return totalBytes;
}
