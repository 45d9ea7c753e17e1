/**
 * VRFY (RFC 5321 §3.5): 252 for everybody, so that nobody can ask for names; where the listener says so, the truth for
 * clients that logged in or may send anywhere. A stranger gets the same answer either way.
 */
import { parseMailbox } from '../../wire/address.ts';
import { Reply } from '../../wire/reply.ts';
import type { Conversation } from '../conversation.ts';
import { argumentNeeded501, cannotVerify252, mailboxUnavailable550 } from '../replies.ts';

export const somebody = (_conversation: Conversation, argument: string): string | Reply =>
  argument === '' ? argumentNeeded501 : argument;

export function verify(conversation: Conversation, argument: string): Reply {
  return conversation.profile.vrfy === 'users' && conversation.client.mayRelay ? lookUp(conversation, argument) : cannotVerify252;
}

/** @param argument an address, in angle brackets or without them, or the name of a user. */
function lookUp({ ports: { directory } }: Conversation, argument: string): Reply {
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
