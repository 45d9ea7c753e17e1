/**
 * VRFY (RFC 5321 §3.5): 252 for everybody, so that nobody can ask for names; where the listener says so, the truth for
 * clients that logged in or may send anywhere. A stranger gets the same answer either way.
 */
import { parseMailbox } from '../../wire/address.ts';
import { Reply } from '../../wire/reply.ts';
import type { Command } from '../command.ts';
import { anywhere, asksNobody } from '../command.ts';
import type { Conversation } from '../conversation.ts';
import { argumentNeeded501, cannotVerify252, mailboxUnavailable550 } from '../replies.ts';

export const vrfy: Command<string> = {
  verb: 'VRFY',
  idle: true,
  stage: null,
  rule: anywhere,
  check: (_conversation, argument) => (argument === '' ? argumentNeeded501 : argument),
  ask: asksNobody,
  proceed: (conversation, argument) =>
    conversation.profile.vrfy === 'users' && conversation.mayRelay ? verify(conversation, argument) : cannotVerify252,
};

/** @param argument an address, in angle brackets or without them, or the name of a user. */
function verify({ ports: { directory } }: Conversation, argument: string): Reply {
  const text = argument.replace(/^<(.*)>$/, '$1');
  const user = text.includes('@') ? undefined : directory.user(text);
  const address = user?.addresses[0] ?? parseMailbox(text)?.text ?? text;
  switch (directory.resolve(address).is) {
    case 'known':
      return new Reply(250, '2.1.5', `<${address}>`);
    case 'unknown':
      return mailboxUnavailable550;
    default:
      return text.includes('@') ? cannotVerify252 : mailboxUnavailable550;
  }
}
