/**
 * VRFY (RFC 5321 §3.5, RFC 6531 §3.7.4.2): 252 for everybody, so that nobody can ask for names; where the listener says so,
 * the truth for clients that logged in or may send anywhere. A stranger gets the same answer either way.
 */
import { isAscii, parseMailbox } from '../../wire/address.ts';
import { Reply } from '../../wire/reply.ts';
import { decodeUtf8 } from '../../wire/utf8.ts';
import type { Conversation } from '../conversation.ts';
import {
  argumentNeeded501,
  cannotVerify252,
  mailboxUnavailable550,
  notUtf8501,
  unicodeRecipient553,
  utf8ReplyNeeded252,
} from '../replies.ts';

interface Somebody {
  /** An address, in angle brackets or without them, or the name of a user. */
  readonly text: string;
  readonly smtpUtf8: boolean;
}

export function somebody(_conversation: Conversation, bytes: string): Somebody | Reply {
  const argument = decodeUtf8(bytes);
  if (argument === undefined) return notUtf8501;
  if (argument === '') return argumentNeeded501;
  const [, text = argument, keyword] = /^(.*[^ ]) +(SMTPUTF8)$/i.exec(argument) ?? [];
  const smtpUtf8 = keyword !== undefined;
  return smtpUtf8 || isAscii(text) ? { text, smtpUtf8 } : unicodeRecipient553;
}

export function verify(conversation: Conversation, asked: Somebody): Reply {
  return conversation.profile.vrfy === 'users' && conversation.client.mayRelay ? lookUp(conversation, asked) : cannotVerify252;
}

function lookUp({ ports: { directory } }: Conversation, { text: given, smtpUtf8 }: Somebody): Reply {
  const text = given.replace(/^<(.*)>$/, '$1');
  const user = text.includes('@') ? undefined : directory.user(text);
  const address = user?.addresses[0] ?? parseMailbox(text)?.text ?? text;
  switch (directory.resolve(address).is) {
    case 'known':
      return found(address, smtpUtf8);
    case 'unknown':
      // A name without a domain that nobody logs in with may be an alias of one of the domains.
      return text.includes('@') ? mailboxUnavailable550 : cannotVerify252;
    default:
      return cannotVerify252;
  }
}

function found(address: string, smtpUtf8: boolean): Reply {
  const reply = new Reply(250, '2.1.5', `<${address}>`);
  if (isAscii(address)) return reply;
  return smtpUtf8
    ? new Reply(250, '2.1.5', reply.text, 'continue', Buffer.from(`250 2.1.5 ${reply.text}\r\n`))
    : utf8ReplyNeeded252;
}
