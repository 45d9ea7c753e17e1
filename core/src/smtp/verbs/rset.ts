/** RSET (RFC 5321 §4.1.1.5): throws the transaction away; the greeting and the login stay. */
import type { Reply } from '../../wire/reply.ts';
import type { Conversation } from '../conversation.ts';
import { ok250 } from '../replies.ts';

export function reset(conversation: Conversation): Reply {
  conversation.endTransaction();
  return ok250;
}
