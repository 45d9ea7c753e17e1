/** QUIT (RFC 5321 §4.1.1.10): says goodbye and closes; an open transaction is thrown away. */
import { Reply } from '../../wire/reply.ts';
import type { Command } from '../command.ts';
import { anywhere, asksNobody } from '../command.ts';
import { noArgumentAllowed501 } from '../replies.ts';

export const quit: Command<undefined> = {
  verb: 'QUIT',
  stage: null,
  rule: anywhere,
  check: (_conversation, argument) => (argument === '' ? undefined : noArgumentAllowed501),
  ask: asksNobody,
  proceed: (conversation) => new Reply(221, '2.0.0', `${conversation.profile.hostname} closing connection`, 'close'),
};
