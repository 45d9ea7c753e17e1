/** UTF8 (RFC 6856 §2): messages go out as they are from here on, and texts of plugins too. */
import type { Conversation } from '../conversation.ts';
import { ok, type Outcome } from '../outcome.ts';

export function utf8(c: Conversation): Outcome {
  return ok(c.texts.utf8, { utf8: true });
}
