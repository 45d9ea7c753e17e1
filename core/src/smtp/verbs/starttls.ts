/**
 * STARTTLS (RFC 3207): 220, then the session throws away all it has read and asks its owner for TLS. What was said
 * before is forgotten once TLS is up, so an attacker in between can put no command into the secured session.
 */
import type { Command } from '../command.ts';
import { asksNobody } from '../command.ts';
import { alreadyTls503, noArgumentAllowed501, notImplemented502, readyForTls220 } from '../replies.ts';

export const starttls: Command<undefined> = {
  verb: 'STARTTLS',
  stage: null,
  rule: ({ tls, profile }) => (tls !== undefined ? alreadyTls503 : profile.starttls ? undefined : notImplemented502),
  check: (_conversation, argument) => (argument === '' ? undefined : noArgumentAllowed501),
  ask: asksNobody,
  proceed: (conversation) => {
    conversation.endTransaction();
    return readyForTls220;
  },
};
