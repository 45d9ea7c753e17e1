/** RSET (RFC 5321 §4.1.1.5): throws the transaction away; the greeting and the login stay. */
import type { Command } from '../command.ts';
import { anywhere, asksNobody } from '../command.ts';
import { noArgumentAllowed501, ok250 } from '../replies.ts';

export const rset: Command<undefined> = {
  verb: 'RSET',
  idle: true,
  stage: null,
  rule: anywhere,
  check: (_conversation, argument) => (argument === '' ? undefined : noArgumentAllowed501),
  ask: asksNobody,
  proceed: (conversation) => {
    conversation.endTransaction();
    return ok250;
  },
};
